import Foundation
import LinuxSystem
import TTRPC
import TestSupport
import Testing

/// Against containerd's own implementation (unary calls: protocol 1.1), in both directions.
@Suite("Go peer", .timeLimit(.minutes(10))) struct GoPeerTests {
    @Test func `we call a Go server`() async throws {
        try await GoPeer.run("server") { descriptor, thread in
            let client = try TTRPCClient(adopting: descriptor, on: thread)
            defer { client.close() }
            for value in ["", "hello", String(repeating: "x", count: 3 << 20)] {
                let answer = try await client.call(GoPeer.method("Echo"), GoPeer.encode(value))
                #expect(answer == GoPeer.encode(value))
            }
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        let payload = GoPeer.encode("parallel \(number)")
                        return (try? await client.call(GoPeer.method("Echo"), payload)) == payload
                    }
                }
                for await isRight in group { #expect(isRight) }
            }
            await #expect(throws: TTRPCError.status(TTRPCStatus(.failedPrecondition, "not today"))) {
                try await client.call(GoPeer.method("Fail"), [])
            }
            let missing = await #expect(throws: TTRPCError.self) { try await client.call(GoPeer.method("Missing"), []) }
            guard case .status(let status)? = missing else {
                Issue.record("a missing method answered \(String(describing: missing))")
                return
            }
            #expect(status.code == .unimplemented)
            await #expect(throws: TTRPCError.self) {
                try await client.call(GoPeer.method("Slow"), [], timeout: .milliseconds(200))
            }
            let answer = try await client.call(GoPeer.method("Metadata"), [], metadata: [(key: "key", value: "value")])
            #expect(answer == GoPeer.encode("value"))
        }
    }

    @Test func `a Go client calls us`() async throws {
        let output = try await GoPeer.run("client") { descriptor, thread in
            let server = Server()
            let raw = descriptor.relinquish()
            try await thread.run { loop in try server.start(OwnedFD(adopting: raw), loop) }
            return server
        }
        #expect(output == "ok\n")
    }

    /// Serves the methods that the peer calls. Confined to the loop.
    private final class Server: @unchecked Sendable {
        private var connection: TTRPCServerConnection?

        func start(_ descriptor: consuming OwnedFD, _ loop: EventLoop) throws {
            connection = try TTRPCServerConnection(adopting: descriptor, on: loop) { call in
                switch call.method.name {
                case "Echo": call.finish(call.payload)
                case "Fail": call.fail(TTRPCStatus(.failedPrecondition, "not today"))
                case "Slow": break
                case "Metadata": call.finish(GoPeer.encode(call.metadata.first { $0.key == "key" }?.value ?? ""))
                default: call.fail(TTRPCStatus(.unimplemented, "no method \(call.method)"))
                }
            } onClose: { _ in
            }
        }
    }
}

enum GoPeer {
    static func method(_ name: String) -> TTRPCMethod {
        TTRPCMethod(service: "voidbox.test.Peer", name: name)
    }

    /// `google.protobuf.StringValue`: field 1, a string.
    static func encode(_ text: String) -> [UInt8] {
        if text.isEmpty { return [] }
        var length = text.utf8.count
        var bytes: [UInt8] = [0x0A]
        repeat {
            bytes.append(UInt8(length & 0x7F) | (length > 0x7F ? 0x80 : 0))
            length >>= 7
        } while length > 0
        return bytes + Array(text.utf8)
    }

    /// Runs the peer with `body` on the other end of its connection and returns what it printed. What `body` returns is
    /// kept until the peer has ended.
    @discardableResult
    static func run<Kept>(
        _ role: String,
        _ body: (consuming OwnedFD, EventLoopThread) async throws -> Kept,
    ) async throws -> String {
        let program = try await Build.program()
        let thread = try EventLoopThread(name: "peer")
        defer { thread.stop() }
        let connection = try OwnedFD.socketPair()
        let output = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let process = try ChildProcess.spawn(
            SpawnRequest(path: program, argv: [program, role], environment: []),
            descriptors: [nothing.rawValue, output.second.rawValue, 2, connection.second.rawValue],
        )
        defer { try? process.signal(Signal.kill) }
        let printed = output.keepFirst()
        let kept = try await body(connection.keepFirst(), thread)
        if role == "server" { return "" }
        let text = String(decoding: try printed.readAll(limit: 1 << 20), as: UTF8.self)
        return withExtendedLifetime(kept) { text }
    }

    /// The peer, built once for all tests.
    private enum Build {
        private static let built = Task { try await build() }

        static func program() async throws -> String {
            let environment = ProcessInfo.processInfo.environment
            guard HostFacts.exists("/usr/share/gocode/src/github.com/containerd/ttrpc"), HostFacts.exists("/usr/bin/go")
            else {
                if environment["VOIDBOX_REQUIRE_VM"] == "1" { throw Missing() }
                try Test.cancel("the Go implementation of ttrpc is not installed (make setup)")
            }
            return try await built.value
        }

        private static func build() async throws -> String {
            let source = URL(filePath: #filePath).deletingLastPathComponent()
                .appending(path: "../../Interop/ttrpc/main.go").standardizedFileURL.path
            // Beside the build's products, where the next run finds it.
            guard let products = Bundle.main.executableURL?.deletingLastPathComponent() else { throw Missing() }
            let directory = products.appending(path: "ttrpc-peer")
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            let program = directory.appending(path: "peer").path
            let go = try await TestProcess.start(
                ["/usr/bin/go", "build", "-o", program, source],
                environment: [
                    "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "PATH": "/usr/bin:/bin",
                    "GOCACHE": directory.appending(path: "cache").path, "HOME": directory.path,
                ],
            )
            guard try await go.end().status == 0 else { throw Missing() }
            return program
        }

        private struct Missing: Error, CustomStringConvertible {
            var description: String { "the Go peer cannot be built; run: make setup" }
        }
    }
}
