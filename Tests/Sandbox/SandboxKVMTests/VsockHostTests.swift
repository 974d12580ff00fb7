import Foundation
import LinuxSystem
import Sandboxing
import Testing

@testable import SandboxKVM

/// The name of a box's vsock on the host.
@Suite("Vsock host") final class VsockHostTests {
    private let path = FileManager.default.temporaryDirectory.appending(path: "voidbox-vsock-\(UUID())").path

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Opens one, and closes what a worker would get of it.
    private func open() throws {
        let opened = try VsockHost.open(path, on: EventLoopThread(name: "vsock"))
        for socket in opened.sockets { _ = OwnedFD(adopting: socket) }
    }

    @Test func `a socket at which nobody listens any more is taken over`() throws {
        let abandoned = try OwnedFD.listening(onUnixSocket: path, backlog: 1)
        // A process that another test spawns meanwhile has a copy until its program runs, and that would still listen.
        try abandoned.shutDown()
        _ = consume abandoned
        #expect(HostFacts.exists(path))
        try open()
    }

    @Test func `a socket at which somebody listens stays`() throws {
        let listener = try OwnedFD.listening(onUnixSocket: path, backlog: 1)
        #expect { try open() } throws: { ($0 as? SandboxError)?.code == .alreadyExists }
        _ = try OwnedFD.connectedAtOnce(toUnixSocket: path)
        _ = try #require(try listener.acceptStream()?.rawValue)
    }

    @Test func `a file that is no socket stays`() throws {
        try Data("kept".utf8).write(to: URL(filePath: path))
        #expect { try open() } throws: { ($0 as? SandboxError)?.code == .alreadyExists }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "kept")
    }
}
