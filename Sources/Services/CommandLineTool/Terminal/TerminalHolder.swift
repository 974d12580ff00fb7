internal import LinuxSystem
internal import Runs
internal import Sandboxing

/// The program of a box and whoever watches it: nobody, or one terminal at a time.
///
/// A terminal that goes without saying so takes the box with it: only one that was left on purpose may be come back to.
actor TerminalHolder {
    /// Of the output, for those who come back.
    private static let tailLimit = 256 << 10
    /// Of what was typed and the program has not read.
    private static let typedLimit = 4 << 20
    /// Of one piece of that, beside its bytes.
    private static let pieceWeight = 64
    /// How long a terminal that stands still holds up those who wait for it to hear something.
    private static let patience = Duration.seconds(1)
    /// The same where nobody waits: while it comes, and when all is over.
    private static let longPatience = Duration.seconds(30)

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
    /// What that weighs.
    private var typedWeight = 0
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
                    await withDiscardingTaskGroup { group in
                        for await channel in door.arrivals { group.addTask { await self?.admit(channel) } }
                    }
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
                case .input(let bytes):
                    guard take(typed: bytes) else { return await refuse(channel) }
                case .size(let size): await take(size)
                case .interrupt: interrupt()
                case .detach where place != nil: return await part(from: channel, .detached)
                case .restored: stopWaiting()
                case .detach, .began, .output, .exited, .ended, .detached, .dismissed: continue
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

    /// Lets a terminal go, with a last word. The program goes on.
    private func part(from channel: TerminalChannel, _ word: TerminalFrame) async {
        if channel === client { client = nil }
        muteErrors()
        // It may not be able to hear this, which may be why it goes.
        try? await tell(word, to: channel, within: Self.patience)
        channel.close()
    }

    /// Whether there is room for it until the program reads it.
    private func take(typed bytes: [UInt8]) -> Bool {
        let weight = bytes.count + Self.pieceWeight
        guard typedWeight + weight <= Self.typedLimit else { return false }
        typedWeight += weight
        typing.yield(bytes)
        return true
    }

    /// Nothing that was typed is dropped without a word, and no more can be taken.
    private func refuse(_ channel: TerminalChannel) async {
        let back = place.map { "; come back with: voidbox attach \($0.id)" } ?? ", and the box is stopped"
        await part(
            from: channel,
            .dismissed("the program does not read what is typed, and the last of it was not taken\(back)")
        )
        if place == nil, !isOver { interrupt() }
    }

    /// Waits for a terminal that is slow: its program is slowed down with it. With a limit, or once the work is cancelled, one
    /// that stands still is given up.
    private func tell(
        _ frame: TerminalFrame,
        to channel: TerminalChannel,
        within limit: Duration? = nil,
    ) async throws {
        guard let limit = limit ?? (Task.isCancelled ? Self.patience : nil) else {
            return try await channel.send(frame)
        }
        let deadline = givingUp(channel, after: limit)
        defer { deadline.cancel() }
        try await channel.send(frame)
    }

    /// Closes it in time, unless cancelled before. That is not the end of the box, as its going by itself is.
    private func givingUp(_ channel: TerminalChannel, after limit: Duration) -> Task<Void, Never> {
        Task {
            guard (try? await Task.sleep(for: limit)) != nil, !Task.isCancelled else { return }
            if channel === client { lose(channel) } else { channel.close() }
        }
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

    /// Gives a terminal the place of the one before, once it has said its size and taken what it missed.
    private func admit(_ channel: TerminalChannel) async {
        let deadline = givingUp(channel, after: Self.longPatience)
        defer { deadline.cancel() }
        guard case .size(let size)? = try? await channel.receive() else { return channel.close() }
        // One that is gone again takes nobody's place.
        if session != nil, (try? await replay(to: channel)) == nil { return channel.close() }
        guard !channel.isClosed else { return }
        deadline.cancel()
        if let before = client {
            tasks.append(
                Task { await part(from: before, .dismissed("the terminal is shown elsewhere now")) }
            )
        }
        muteErrors()
        client = channel
        listen(to: channel)
        await take(size)
    }

    /// Tells the end of the output. What comes meanwhile is told, too, but a program that never stops is not waited for.
    private func replay(to channel: TerminalChannel) async throws {
        try await tell(.began(run: place?.id.text ?? ""), to: channel)
        var shown = written - UInt64(tail.count)
        for _ in 0..<3 where shown < written {
            let missing = tail.suffix(Int(min(written - shown, UInt64(Self.tailLimit))))
            shown = written
            try await tell(.output(Array(missing)), to: channel)
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
        try await withTaskCancellationHandler {
            try await follow(session)
        } onCancel: {
            Task { await hurry() }
        }
    }

    /// The work is cancelled: a terminal that stands still does not hold that up.
    private func hurry() async {
        // It is told nothing, behind all that it was told before.
        if let client { try? await tell(.output([]), to: client, within: Self.patience) }
    }

    private func follow(_ session: any ExecSession) async throws -> ExecExit {
        self.session = session
        // First of all: a terminal that comes from now on is told by what it is shown of before.
        if let client { try? await tell(.began(run: place?.id.text ?? ""), to: client) }
        tasks.append(
            Task { [typed] in
                for await bytes in typed {
                    // A program that reads no more ends, and says so by that.
                    try? await session.write(bytes)
                    typedWeight -= bytes.count + Self.pieceWeight
                }
            }
        )
        if let size { try? await session.resize(size) }
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
        try? await tell(.output(bytes), to: client)
    }

    /// Waits until the terminal is as it was before: others write to it, too.
    private func giveBack() async {
        isOver = true
        session = nil
        guard let client, (try? await tell(.exited, to: client)) != nil, self.client === client else { return }
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
        if let client { try? await tell(.ended(status.code, text), to: client, within: Self.longPatience) }
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
