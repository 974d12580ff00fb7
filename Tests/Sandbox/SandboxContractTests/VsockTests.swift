import Foundation
import LinuxSystem
import Sandboxing
import TestSupport
import Testing

/// Stream sockets between programs of the host and of the guest.
@Suite("Vsock of a box", .takesBoxSlot, .timeLimit(.minutes(40))) struct VsockTests {
    /// Prints what it has got of each connection, after sending it back.
    private static let echo = """
        import hashlib, socket
        s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        s.bind((socket.VMADDR_CID_ANY, 5000))
        s.listen(4)
        print("ready", flush=True)
        c, _ = s.accept()
        digest, count = hashlib.sha256(), 0
        while data := c.recv(65536):
            digest.update(data)
            count += len(data)
            c.sendall(data)
        c.close()
        print(count, digest.hexdigest(), flush=True)
        """

    /// Sends, closes its half, and prints what comes until the host closes the other.
    private static let client = """
        import hashlib, socket
        s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        s.connect((socket.VMADDR_CID_HOST, 1234))
        s.sendall(bytes(range(256)) * 12288)
        s.shutdown(socket.SHUT_WR)
        digest, count = hashlib.sha256(), 0
        while data := s.recv(65536):
            digest.update(data)
            count += len(data)
        print(count, digest.hexdigest())
        """

    private static let refused = """
        import socket
        s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        s.settimeout(20)
        try:
            s.connect((socket.VMADDR_CID_HOST, 9))
        except ConnectionResetError:
            print("reset")
        """

    private static func path() -> String {
        FileManager.default.temporaryDirectory.appending(path: "voidbox-vsock-\(UUID())").path
    }

    @Test(arguments: ContractBackend.withVsock)
    func `a program of the host talks to a port of the guest`(_ backend: ContractBackend) async throws {
        let path = Self.path()
        try await backend.withBox({ $0.vsock = .init(socketPath: path) }) { box in
            let server = try await box.exec(ExecRequest(["python3", "-c", Self.echo]))
            #expect(try await server.nextEvent() == .stdout(Array("ready\n".utf8)))

            let data = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 997) }
            let echoed = try await HostProgram.exchange(path, "CONNECT 5000\n", data)
            let line = Array(echoed.prefix { $0 != 0x0A })
            #expect(String(decoding: line, as: UTF8.self).hasPrefix("OK "))
            #expect(Array(echoed.dropFirst(line.count + 1)) == data)

            var said = ""
            while let event = try await server.nextEvent() {
                if case .stdout(let bytes) = event { said += String(decoding: bytes, as: UTF8.self) }
            }
            #expect(said.hasPrefix("3000000 "))
        }
        #expect(!FileManager.default.fileExists(atPath: path), "the socket goes with the box")
    }

    @Test(arguments: ContractBackend.withVsock)
    func `a program of the guest talks to a port of the host`(_ backend: ContractBackend) async throws {
        let path = Self.path()
        try await backend.withBox({ $0.vsock = .init(socketPath: path) }) { box in
            let answer = [UInt8](repeating: 0x5A, count: 1_000_000)
            let received = try await HostProgram.serve("\(path)_1234", answer: answer) {
                let result = try await box.run("python3", "-c", Self.client)
                #expect(result.text.hasPrefix("1000000 "), "\(result.errorText)")
            }
            #expect(received == (0..<12288).flatMap { _ in (0...255).map { UInt8($0) } })
        }
    }

    @Test(arguments: ContractBackend.withVsock)
    func `a port that nobody listens on is refused, in both directions`(_ backend: ContractBackend) async throws {
        let path = Self.path()
        try await backend.withBox({ $0.vsock = .init(socketPath: path) }) { box in
            let result = try await box.run("python3", "-c", Self.refused)
            #expect(result.text == "reset\n", "\(result.errorText)")
            let answer = try await HostProgram.exchange(path, "CONNECT 4999\n", [])
            #expect(answer == [])
            let health = try await box.health()
            #expect(health.warnings == [])
        }
    }

    @Test(arguments: ContractBackend.withVsock)
    func `a path that is taken is refused before there is a machine, and stays`(_ backend: ContractBackend)
        async throws
    {
        let path = Self.path()
        try Data("mine".utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = try await backend.bootError { $0.vsock = .init(socketPath: path) }
        #expect(error?.code == .alreadyExists)
        #expect(error?.resource == path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "mine")
    }

    @Test(arguments: ContractBackend.all.filter { $0 != .kvm })
    func `a backend without a vsock says so`(_ backend: ContractBackend) async throws {
        let error = try await backend.bootError { $0.vsock = .init(socketPath: Self.path()) }
        #expect(error?.code == .unsupported)
    }
}

/// What programs of the host do at the other end. Each blocks a thread of its own.
private enum HostProgram {
    /// Connects, says a line and sends the data while it reads to the end.
    static func exchange(_ path: String, _ line: String, _ data: [UInt8]) async throws -> [UInt8] {
        let stream = Stream(try OwnedFD.connected(toUnixSocket: path))
        let reader = try EventLoopThread(name: "reader")
        let writer = try EventLoopThread(name: "writer")
        defer {
            reader.stop()
            writer.stop()
        }
        async let writing: Void = writer.run { _ in
            // One whose line is refused finds the stream closed.
            guard (try? stream.descriptor.writeAll(Array(line.utf8))) != nil, !data.isEmpty else { return }
            try stream.descriptor.writeAll(data)
            try stream.descriptor.shutDownWriting()
        }
        let received = try await reader.run { _ in try stream.descriptor.readAll(limit: 64 << 20) }
        try await writing
        return received
    }

    /// Listens at a path while `body` runs; takes one connection, reads it to the end, and answers.
    static func serve(
        _ path: String,
        answer: [UInt8],
        _ body: () async throws -> Void,
    ) async throws -> [UInt8] {
        let listener = Stream(try OwnedFD.listening(onUnixSocket: path, backlog: 1))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let thread = try EventLoopThread(name: "server")
        defer { thread.stop() }
        async let received = thread.run { _ in
            guard try listener.descriptor.waitUntilReadable(for: .seconds(60)) else { throw Silence() }
            let stream = Stream(try listener.descriptor.acceptStream())
            var received: [UInt8] = []
            while try stream.descriptor.waitUntilReadable(for: .seconds(60)) {
                guard case .bytes(let bytes) = try stream.descriptor.read(upTo: 1 << 20) else { break }
                received += bytes
            }
            try stream.descriptor.setBlocking()
            try stream.descriptor.writeAll(answer)
            return received
        }
        try await body()
        return try await received
    }

    struct Silence: Error {}

    private final class Stream: Sendable {
        let descriptor: OwnedFD

        /// Nil where nobody listens, or nobody came.
        init(_ descriptor: consuming OwnedFD?) {
            guard let descriptor else { preconditionFailure("there is a stream") }
            self.descriptor = descriptor
        }
    }
}
