package import LinuxSystem
package import Sandboxing
internal import UnixSignals

/// stdout does not take what it should get.
package struct StandardOutputError: Error, CustomStringConvertible {
    package let errno: Errno

    package init(errno: Errno) {
        self.errno = errno
    }

    /// As `head` goes once it has what it wants: no reason to complain.
    package var readerIsGone: Bool { errno == .brokenPipe }

    package var description: String { "stdout cannot be written: \(errno)" }
}

/// Connects a program in a box with this process's own streams.
package enum Streams {
    /// Returns how the program ended. With `followsWindow`, it learns when the terminal changes its size.
    package static func connect(
        _ session: any ExecSession,
        passesInput: Bool,
        followsWindow: Bool = false,
    ) async throws -> ExecExit {
        let output = try Writer(descriptor: 1)
        let errors = try Writer(descriptor: 2)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            if passesInput {
                let input = try Reader(descriptor: 0)
                group.addTask { await forward(input, to: session) }
            }
            if followsWindow {
                let signals = await UnixSignalsSequence(trapping: .sigwinch)
                group.addTask {
                    for await _ in signals {
                        guard let size = TerminalMode.windowSize(of: 1) else { continue }
                        try await session.resize(TerminalSize(columns: size.columns, rows: size.rows))
                    }
                }
            }
            defer { group.cancelAll() }
            while let event = try await session.nextEvent() {
                switch event {
                case .stdout(let bytes):
                    do {
                        try await output.write(bytes)
                    } catch let error as SyscallError {
                        await session.close()
                        throw StandardOutputError(errno: error.errno)
                    }
                // As with our own lines: a reader of stderr that is gone does not end the program.
                case .stderr(let bytes): try? await errors.write(bytes)
                case .exited(let exit):
                    await session.close()
                    return exit
                }
            }
            throw SandboxError(.protocolViolation, resource: "exec", "the program ended without a status")
        }
    }

    private static func forward(_ input: Reader, to session: any ExecSession) async {
        do {
            while let bytes = try await input.read() { try await session.write(bytes) }
            try await session.closeInput()
        } catch {
            // The program reads no more: how it ends is reported by its exit.
        }
    }

    /// Writes on a thread of its own: a reader that is slow blocks it and, through the credit, the guest.
    package struct Writer: Sendable {
        private let thread: EventLoopThread
        private let descriptor: Int32

        package init(descriptor: Int32) throws {
            thread = try EventLoopThread(name: "output-\(descriptor)")
            self.descriptor = descriptor
        }

        package func write(_ bytes: [UInt8]) async throws {
            try await thread.run { [descriptor] _ in try StandardStream.write(bytes, to: descriptor) }
        }
    }

    /// Reads on a thread of its own, when asked. Once a task that waits for it is cancelled, it leaves what comes to others.
    package final class Reader: Sendable {
        private final class Bell: Sendable {
            let value: Doorbell
            init() throws(SyscallError) { value = try Doorbell() }
        }

        private let chunks: AsyncThrowingStream<[UInt8], any Error>
        private let requests: AsyncStream<Void>.Continuation

        package init(descriptor: Int32) throws {
            let (requested, requests) = AsyncStream.makeStream(of: Void.self)
            self.requests = requests
            let thread = try EventLoopThread(name: "input")
            let bell = try Bell()
            chunks = AsyncThrowingStream { continuation in
                let task = Task {
                    defer { thread.stop() }
                    do {
                        for await _ in requested {
                            let bytes = try await thread.run { _ in
                                try StandardStream.read(from: descriptor, until: bell.value)
                            }
                            guard let bytes else { return continuation.finish() }
                            continuation.yield(bytes)
                        }
                    } catch {
                        continuation.finish(throwing: error)
                    }
                }
                continuation.onTermination = { _ in
                    task.cancel()
                    bell.value.ring()
                }
            }
        }

        deinit { requests.finish() }

        /// Nil at the end.
        package func read() async throws -> [UInt8]? {
            requests.yield()
            var iterator = chunks.makeAsyncIterator()
            return try await iterator.next()
        }
    }
}
