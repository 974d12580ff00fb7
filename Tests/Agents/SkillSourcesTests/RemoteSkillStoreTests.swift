internal import Crypto
internal import Foundation
internal import HTTPSupport
internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import Primitives
internal import Skills
internal import Synchronization
internal import Testing

@testable internal import SkillSources

/// A code host on the loopback: repositories of git objects, by GitHub's API.
private final class CodeHost: Sendable {
    static let commit = "1111111111111111111111111111111111111111"
    private static let skillTree = "2222222222222222222222222222222222222222"
    private static let skillsTree = "3333333333333333333333333333333333333333"

    struct Entry: Sendable {
        var path: String
        var content: String
        var mode = "100644"
        /// What the host says that it is, where it lies.
        var hash: String?
    }

    let entries: [Entry]
    let endpoint = EndpointStandIn()

    init(_ entries: [Entry]) {
        self.entries = entries
    }

    var requests: [String] { endpoint.seen.map(\.target) }

    private static func hash(_ entry: Entry) -> String {
        entry.hash ?? SkillCache.gitBlobHash(Array(entry.content.utf8))
    }

    private func tree(_ rows: [(path: String, mode: String, type: String, sha: String)]) -> Response {
        let list = rows.map { #"{"path":"\#($0.path)","mode":"\#($0.mode)","type":"\#($0.type)","sha":"\#($0.sha)"}"# }
        return .json(200, #"{"tree":[\#(list.joined(separator: ","))],"truncated":false}"#)
    }

    func answer(_ target: String) -> Response {
        let base = "/repos/owner/repo/git"
        switch target {
        case "\(base)/ref/tags/v1":
            return .json(200, #"{"object":{"sha":"\#(String(repeating: "4", count: 40))","type":"tag"}}"#)
        case "\(base)/tags/\(String(repeating: "4", count: 40))":
            return .json(200, #"{"object":{"sha":"\#(Self.commit)","type":"commit"}}"#)
        case "\(base)/trees/\(Self.commit)":
            return tree([
                ("README.md", "100644", "blob", Self.skillTree), ("skills", "040000", "tree", Self.skillsTree),
            ])
        case "\(base)/trees/\(Self.skillsTree)": return tree([("tidy", "040000", "tree", Self.skillTree)])
        case "\(base)/trees/\(Self.skillTree)?recursive=1":
            return tree(entries.map { ($0.path, $0.mode, $0.mode == "160000" ? "commit" : "blob", Self.hash($0)) })
        default:
            let entry = entries.first { target == "\(base)/blobs/\(Self.hash($0))" }
            guard let entry else { return .json(404, #"{"message":"Not Found"}"#) }
            return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: entry.content)))
        }
    }
}

@Suite("Remote skills", .timeLimit(.minutes(2))) struct RemoteSkillStoreTests {
    private static let document = CodeHost.Entry(
        path: "SKILL.md",
        content: "---\nname: tidy\ndescription: d\n---\nTidy."
    )
    private static let script = CodeHost.Entry(path: "scripts/run.sh", content: "#!/bin/sh\n", mode: "100755")

    /// Hands `body` the address of the host and a directory for the cache.
    private func run(
        _ host: CodeHost,
        _ body: @escaping @Sendable (_ source: String, _ cache: String) async throws -> Void,
    ) async throws {
        let cache = FileManager.default.temporaryDirectory.appending(path: "skills-\(UUID())")
        defer { try? FileManager.default.removeItem(at: cache) }
        try await host.endpoint.run(answer: { host.answer($0.target) }) { url in try await body(url, cache.path) }
    }

    private func fetch(_ text: String, _ source: String, _ cache: String) async throws -> SkillBundle {
        try await RemoteSkillStore(cacheDirectory: cache, source: source, token: Secret("t")).skill(
            RemoteSkillReference(text)
        )
    }

    @Test func `a skill of a commit comes whole, and from then on from the cache`() async throws {
        let host = CodeHost([Self.script, Self.document])
        let reference = "owner/repo/skills/tidy@\(CodeHost.commit)"
        try await run(host) { source, cache in
            let first = try await fetch(reference, source, cache)
            #expect(first.files.map(\.path) == ["SKILL.md", "scripts/run.sh"])
            #expect(first.files.map(\.isExecutable) == [false, true])
            #expect(String(decoding: first.files[0].bytes, as: UTF8.self) == Self.document.content)
            let asked = host.requests.count
            #expect(try await fetch(reference, "http://127.0.0.1:1", cache) == first)
            #expect(host.requests.count == asked)
        }
        #expect(host.endpoint.seen.allSatisfy { $0.headers[.authorization] == "Bearer t" })
    }

    @Test func `a tag is looked up once and stays what it was`() async throws {
        try await run(CodeHost([Self.document])) { source, cache in
            let first = try await fetch("owner/repo/tidy@v1", source, cache)
            #expect(try await fetch("owner/repo/tidy@v1", "http://127.0.0.1:1", cache) == first)
        }
    }

    @Test func `a branch is not a tag`() async throws {
        try await run(CodeHost([Self.document])) { source, cache in
            let error = await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/skills/tidy@main", source, cache)
            }
            #expect(error?.message == "remote:owner/repo/skills/tidy@main: there is no tag main in owner/repo")
        }
    }

    @Test func `a file in the cache that was changed is fetched again`() async throws {
        let host = CodeHost([Self.document])
        let reference = "owner/repo/skills/tidy@\(CodeHost.commit)"
        try await run(host) { source, cache in
            let first = try await fetch(reference, source, cache)
            let hash = SkillCache.sha256(Array(Self.document.content.utf8))
            let blob = URL(filePath: "\(cache)/blobs/\(hash.prefix(2))/\(hash)")
            try Data("---\nname: tidy\ndescription: evil\n---\n".utf8).write(to: blob)
            await #expect(throws: SkillSourceError.self) { try await fetch(reference, "http://127.0.0.1:1", cache) }
            #expect(try await fetch(reference, source, cache) == first)
        }
    }

    @Test func `content that is not what its hash says is refused`() async throws {
        var entry = Self.document
        entry.hash = String(repeating: "5", count: 40)
        try await run(CodeHost([entry])) { source, cache in
            let error = await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/tidy@\(CodeHost.commit)", source, cache)
            }
            #expect(error?.message.contains("SKILL.md is not what its hash") == true)
        }
    }

    @Test(arguments: [
        CodeHost.Entry(path: "link", content: "/etc/passwd", mode: "120000"),
        CodeHost.Entry(path: "module", content: "", mode: "160000"),
        CodeHost.Entry(path: "../out", content: "x"),
    ])
    fileprivate func `links, modules and paths that lead out are refused`(_ entry: CodeHost.Entry) async throws {
        try await run(CodeHost([Self.document, entry])) { source, cache in
            await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/tidy@\(CodeHost.commit)", source, cache)
            }
        }
    }

    @Test func `what is wrong with its document is told with its field`() async throws {
        let bad = CodeHost.Entry(path: "SKILL.md", content: "---\nname: other\ndescription: d\n---\n")
        try await run(CodeHost([bad])) { source, cache in
            let error = await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/tidy@\(CodeHost.commit)", source, cache)
            }
            #expect(error?.message.contains("field name: is \"other\", but the skill's directory is \"tidy\"") == true)
        }
    }

    @Test func `a directory that is not there, and a host that does not answer, are told`() async throws {
        try await run(CodeHost([Self.document])) { source, cache in
            let gone = await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/skills/none@\(CodeHost.commit)", source, cache)
            }
            #expect(gone?.message.contains("there is no directory skills/none at") == true)
            let silent = await #expect(throws: SkillSourceError.self) {
                try await fetch("owner/repo/tidy@v1", "http://127.0.0.1:1", cache)
            }
            #expect(silent?.hint?.contains("VOIDBOX_SKILLS_SOURCE") == true)
        }
    }
}
