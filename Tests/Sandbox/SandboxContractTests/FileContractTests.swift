import Foundation
import Primitives
import Sandboxing
import TestSupport
import Testing

@Suite("Contract: files", .takesBoxSlot) struct FileContractTests {
    @Test(arguments: ContractBackend.all)
    func `a file that was written is there for a program`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        try await box.writeFile("/workspace/written.txt", Array("from the host".utf8))
        #expect(try await box.run("cat", "/workspace/written.txt").text == "from the host")
    }

    @Test(arguments: ContractBackend.all)
    func `directories are made with their parents`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        try await box.makeDirectory("/workspace/a/b/c", parents: true)
        #expect(try await box.stat("/workspace/a/b/c", followLinks: true).kind == .directory)
        try await box.makeDirectory("/workspace/a/b/c", parents: true)
        await #expect(throws: SandboxError.self) { try await box.makeDirectory("/workspace/a", parents: false) }
    }

    @Test(arguments: ContractBackend.all)
    func `stat tells the size of a file and misses what is not there`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        try await box.writeFile("/workspace/five", Array("12345".utf8))
        #expect(try await box.stat("/workspace/five", followLinks: true).size == ByteCount(bytes: 5))
        let error = await #expect(throws: SandboxError.self) {
            try await box.stat("/workspace/missing", followLinks: true)
        }
        #expect(error?.code == .notFound)
        #expect(error?.description.contains("/workspace/missing") == true)
    }

    @Test(arguments: ContractBackend.all)
    func `16 MiB come back as they were written`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let contents = (0..<16 << 20).map { UInt8(truncatingIfNeeded: $0 ^ ($0 >> 8)) }
        try await box.writeFile("/workspace/large", contents)
        #expect(try await box.readFile("/workspace/large", limit: 32 << 20) == contents)
        try await box.remove("/workspace/large", recursive: false)
    }

    @Test(arguments: ContractBackend.all)
    func `reading what is not there is an error`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        let error = await #expect(throws: SandboxError.self) {
            try await box.readFile("/workspace/nothing", limit: 100)
        }
        #expect(error?.code == .notFound)
    }

    @Test(arguments: ContractBackend.all)
    func `files are listed in order, renamed and removed`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        for name in ["zebra", "ant", "mole"] { try await box.writeFile("/workspace/zoo/\(name)", Array(name.utf8)) }
        #expect(try await box.listDirectory("/workspace/zoo").map(\.name) == ["ant", "mole", "zebra"])
        try await box.rename("/workspace/zoo/ant", to: "/workspace/zoo/bee")
        #expect(try await box.listDirectory("/workspace/zoo").map(\.name) == ["bee", "mole", "zebra"])
        await #expect(throws: SandboxError.self) { try await box.remove("/workspace/zoo", recursive: false) }
        try await box.remove("/workspace/zoo", recursive: true)
        await #expect(throws: SandboxError.self) { try await box.listDirectory("/workspace/zoo") }
    }

    @Test(arguments: ContractBackend.all)
    func `a write that fails half way leaves the old file`(_ backend: ContractBackend) async throws {
        struct Interrupted: Error {}
        let box = try await backend.sharedBox()
        try await box.writeFile("/workspace/steady", Array("old".utf8))
        var pieces = 0
        await #expect(throws: Interrupted.self) {
            try await box.writeFile("/workspace/steady", options: WriteOptions()) {
                pieces += 1
                if pieces > 3 { throw Interrupted() }
                return [UInt8](repeating: 1, count: 100_000)
            }
        }
        #expect(try await box.readFile("/workspace/steady", limit: 100) == Array("old".utf8))
    }

    @Test(arguments: ContractBackend.all)
    func `a file call answers in under 100 ms while a program sleeps`(_ backend: ContractBackend) async throws {
        let box = try await backend.sharedBox()
        try await box.writeFile("/workspace/quick", Array("12345".utf8))
        let alone = try await Self.fastestStat(box)
        let sleeper = try await box.exec(ExecRequest(["sleep", "600"]))
        let beside = try await Self.fastestStat(box)
        await sleeper.close()
        // On an emulated machine, or a busy host, a call may need that long with nothing beside it.
        #expect(beside < max(.milliseconds(100), alone * 10))
    }

    /// The fastest: other tests load both processors with emulated machines, and what they take says nothing about the agent.
    /// One that is blocked by a sleeping program is slow every time.
    private static func fastestStat(_ box: any SandboxInstance) async throws -> Duration {
        var durations: [Duration] = []
        for _ in 0..<9 {
            let start = ContinuousClock.now
            _ = try await box.stat("/workspace/quick", followLinks: true)
            durations.append(.now - start)
        }
        return try #require(durations.min())
    }
}
