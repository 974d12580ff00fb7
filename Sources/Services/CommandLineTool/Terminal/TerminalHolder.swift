internal import LinuxSystem
internal import Runs
internal import Sandboxing

/// The program of a box and whoever watches it: nobody, or one terminal at a time.
///
/// A terminal that goes without saying so takes the box with it: only one that was left on purpose may be come back to.
actor TerminalHolder {
    /// Of the output, for those who come back.
    private static let tailLimit = 256 << 10

    private var client: TerminalChannel?
    private var isFirstClient = true
    private var needsRepaint = false
    private var size: TerminalSize?
    private var session: (any ExecSession)?
    private var tail: [UInt8] = []
    /// Bytes of output, all of them.
    private var written: UInt64 = 0
    /// What was typed and waits for the program to read it: leaving must not wait for that.
    private let (typed, typing) = AsyncStream.makeStream(of: [UInt8].self)
    private var place: (id: RunID, directory: String)?
    private var isOver = false
    private var hasRestored = false
    private var restored: CheckedContinuation<Void, Never>?
    private var tasks: [Task<Void, Never>] = []

    /// - Parameter first: The terminal that the box was started from.
    init(first: TerminalChannel) {
        client = first
    }

    /// Serves the first terminal, and those that come to the run's socket if it is recorded.
    func begin(_ run: (id: RunID, directory: String)?) {
        if let client { listen(to: client) }
        guard let run else { return }
        do {
            let door = try Doorway(run.directory)
            tasks.append(
                Task { [weak self] in
                    for await channel in door.arrivals { await self?.admit(channel) }
                }
            )
            place = run
        } catch {
            Console.error("warning: the terminal cannot be left: \(error)")
        }
    }

    private func listen(to channel: TerminalChannel) {
        tasks.append(Task { [weak self] in await self?.serve(channel) })
    }

    private func serve(_ channel: TerminalChannel) async {
        do {
            while let frame = try await channel.receive() {
                guard channel === client else { return }
                switch frame {
                case .input(let bytes): typing.yield(bytes)
                case .size(let size): await take(size)
                case .interrupt: interrupt()
                case .detach: return await leave(channel)
                case .restored: stopWaiting()
                case .began, .output, .exited, .ended, .detached, .dismissed: continue
                }
            }
        } catch {
            // It is gone, or speaks another language, which comes to the same.
        }
        guard channel === client else { return }
        lose(channel)
        if !isOver { interrupt() }
    }

    private func lose(_ channel: TerminalChannel) {
        client = nil
        channel.close()
        stopWaiting()
        muteErrors()
    }

    /// As Ctrl-C of a run: the box stops, and the report says so.
    private func interrupt() {
        // This process is there.
        try? ProcessIdentity.current?.signal(Signal.terminate)
    }

    private func leave(_ channel: TerminalChannel) async {
        guard place != nil else { return }
        client = nil
        muteErrors()
        // Who does not wait for the answer has left all the same.
        try? await channel.send(.detached)
        channel.close()
    }

    /// What is told on stderr is for the terminal that the box was started from, as long as it watches.
    private func muteErrors() {
        guard isFirstClient else { return }
        isFirstClient = false
        do {
            if let place {
                let log = try Directory(place.directory).create(RunFiles.terminalLog, mode: 0o600)
                try StandardStream.replace(2, by: log)
            } else {
                try StandardStream.replace(2, by: try OwnedFD.open("/dev/null", OwnedFD.readWrite))
            }
        } catch {
            // Then it goes where it went before, which may be nowhere.
        }
    }

    private func admit(_ channel: TerminalChannel) async {
        if let before = client {
            client = nil
            muteErrors()
            // It may not be able to hear this, which is why somebody else has come.
            let farewell = Task {
                try? await before.send(.dismissed("the terminal is shown elsewhere now"))
                before.close()
            }
            tasks.append(farewell)
        }
        muteErrors()
        do {
            if session != nil { try await replay(to: channel) }
        } catch {
            // It is gone again; nobody watches.
            return channel.close()
        }
        client = channel
        listen(to: channel)
    }

    /// Tells the end of the output. What comes meanwhile is told, too, but a program that never stops is not waited for.
    private func replay(to channel: TerminalChannel) async throws {
        try await channel.send(.began(run: place?.id.text ?? ""))
        var shown = written - UInt64(tail.count)
        for _ in 0..<3 where shown < written {
            let missing = tail.suffix(Int(min(written - shown, UInt64(Self.tailLimit))))
            shown = written
            try await channel.send(.output(Array(missing)))
        }
        needsRepaint = true
    }

    /// The terminal has a size. Only a change of it makes a program draw its screen again.
    private func take(_ size: TerminalSize) async {
        self.size = size
        guard let session else { return }
        if needsRepaint {
            needsRepaint = false
            try? await session.resize(TerminalSize(columns: size.columns, rows: size.rows &+ 1))
        }
        try? await session.resize(size)
    }

    // MARK: The program

    /// Shows the program to whoever watches until it has ended.
    func show(_ session: any ExecSession) async throws -> ExecExit {
        self.session = session
        tasks.append(
            Task { [typed] in
                // A program that reads no more ends, and says so by that.
                for await bytes in typed { try? await session.write(bytes) }
            }
        )
        if let size { try? await session.resize(size) }
        if let client { try? await client.send(.began(run: place?.id.text ?? "")) }
        do {
            while let event = try await session.nextEvent() {
                switch event {
                case .stdout(let bytes), .stderr(let bytes): await take(bytes)
                case .exited(let exit):
                    await session.close()
                    await giveBack()
                    return exit
                }
            }
            throw SandboxError(.protocolViolation, resource: "exec", "the program ended without a status")
        } catch {
            await session.close()
            await giveBack()
            throw error
        }
    }

    private func take(_ bytes: [UInt8]) async {
        tail += bytes
        written += UInt64(bytes.count)
        // Not each time: it would be copied each time.
        if tail.count > 2 * Self.tailLimit { tail.removeFirst(tail.count - Self.tailLimit) }
        guard let client else { return }
        // One that is gone is found out by who serves it.
        try? await client.send(.output(bytes))
    }

    /// Waits until the terminal is as it was before: others write to it, too.
    private func giveBack() async {
        isOver = true
        session = nil
        guard let client, (try? await client.send(.exited)) != nil, self.client === client else { return }
        guard !hasRestored else { return }
        let patience = Task {
            // Cancelled when the answer is there.
            guard (try? await Task.sleep(for: .seconds(2))) != nil else { return }
            self.stopWaiting()
        }
        await withCheckedContinuation { restored = $0 }
        patience.cancel()
    }

    private func stopWaiting() {
        hasRestored = true
        restored?.resume()
        restored = nil
    }

    /// Tells what the command ends with. Nothing is told afterwards.
    func end(_ status: ExitStatus, _ failure: RunFailure?) async {
        isOver = true
        if let place, let directory = try? Directory(place.directory) { try? directory.unlink(RunFiles.terminal) }
        // The first terminal has read it on stderr.
        let text = isFirstClient ? "" : failure.map { "error: \($0)" } ?? ""
        if let client { try? await client.send(.ended(status.code, text)) }
    }
}

/// The socket of a run's terminal: where its user comes back.
private final class Doorway: Sendable {
    let arrivals: AsyncStream<TerminalChannel>
    private let listener: OwnedFD
    private let thread: EventLoopThread

    init(_ directory: String) throws {
        let place = try Directory(directory)
        listener = try OwnedFD.listening(onUnixSocket: RunFiles.terminal, in: place, backlog: 4)
        thread = try EventLoopThread(name: "terminal-door")
        let (arrivals, arrived) = AsyncStream.makeStream(of: TerminalChannel.self)
        self.arrivals = arrivals
        thread.submit { [self] loop in
            do {
                // It lives as long as the process.
                try loop.whileReadable(listener) {
                    do {
                        while let socket = try self.listener.acceptStream() {
                            guard try socket.peerUserID() == HostFacts.userID else { continue }
                            arrived.yield(try TerminalChannel(socket))
                        }
                        return true
                    } catch {
                        // Without descriptors or memory the next try would fail at once: nobody comes back any more.
                        arrived.finish()
                        return false
                    }
                }
            } catch {
                arrived.finish()
            }
        }
    }
}
