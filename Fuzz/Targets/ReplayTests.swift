import Foundation
import Testing

/// Inputs that once made a parser trap, and a few that lead far into one.
@Suite("Kept inputs of the fuzzer") struct ReplayTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../corpus")
        .standardizedFileURL

    @Test(arguments: FuzzTarget.all.map(\.name)) func `every input is taken without a trap`(_ name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.corpus.appending(path: name),
            includingPropertiesForKeys: nil,
        )
        #expect(!files.isEmpty)
        for file in files { target.run(Array(try Data(contentsOf: file))) }
        for count in [0, 1, 2, 1000] { target.run([UInt8](repeating: 0xFF, count: count)) }
    }

    @Test func `there are inputs for every target, and for no other`() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path)
        #expect(Set(names) == Set(FuzzTarget.all.map(\.name)))
    }
}
