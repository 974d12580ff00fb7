internal import HostSession
internal import LinuxSystem
internal import Runs
internal import UnixSignals

/// This process's terminal, shown a program that another process holds.
struct TerminalClient {
    let channel: TerminalChannel
    let keys: DetachKeys

    /// Shows it until it has ended, was left, or is somebody else's. Returns what to exit with.
    func run() async throws -> ExitStatus {
        let thread = try EventLoopThread(name: "signals")
        let (interrupts, interrupted) = AsyncStream.makeStream(of: Void.self)
        try await Interrupts.trap(on: thread, secondExitsWith: ExitStatus.interrupted.code) { interrupted.yield() }
        let windowChanges = await UnixSignalsSequence(trapping: .sigwinch)
        try await channel.send(.size(HostTerminal.size))
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                // A holder that is gone is told of by the end of its frames.
                for await _ in interrupts { try? await channel.send(.interrupt) }
            }
            group.addTask {
                for await _ in windowChanges { try? await channel.send(.size(HostTerminal.size)) }
            }
            defer { group.cancelAll() }
            return try await show(&group)
        }
    }

    private func show(_ group: inout ThrowingTaskGroup<Void, any Error>) async throws -> ExitStatus {
        let output = try Streams.Writer(descriptor: 1)
        var raw: RawTerminal?
        var run = ""
        var hasBegun = false
        while let frame = try await channel.receive() {
            switch frame {
            case .began(let id):
                guard !hasBegun else { continue }
                hasBegun = true
                run = id
                raw = try TerminalMode.makeRaw(0)
                let input = try Streams.Reader(descriptor: 0)
                group.addTask { [mayLeave = !id.isEmpty] in await forward(input, mayLeave: mayLeave) }
            case .output(let bytes):
                do {
                    try await output.write(bytes)
                } catch let error as SyscallError {
                    throw StandardOutputError(errno: error.errno)
                }
            case .exited:
                _ = raw.take()
                try await channel.send(.restored)
            case .ended(let status, let text):
                _ = raw.take()
                if !text.isEmpty { Console.error(text) }
                return ExitStatus(code: status)
            case .detached:
                _ = raw.take()
                Console.error("\ndetached; come back with: voidbox attach \(run)")
                return .success
            case .dismissed(let why):
                _ = raw.take()
                Console.error("\n\(why)")
                return .runFailed
            case .input, .size, .detach, .interrupt, .restored: continue
            }
        }
        _ = raw.take()
        Console.error(
            """

            error: the process that held the box has ended, and the box with it; or this terminal stood still and was given up: \
            voidbox ps tells
            """
        )
        return .boxFailed
    }

    private func forward(_ input: Streams.Reader, mayLeave: Bool) async {
        var keys = keys
        do {
            while let bytes = try await input.read() {
                guard mayLeave else {
                    try await channel.send(.input(bytes))
                    continue
                }
                let (forwarded, isComplete) = keys.take(bytes)
                if !forwarded.isEmpty { try await channel.send(.input(forwarded)) }
                if isComplete { return try await channel.send(.detach) }
            }
        } catch {
            // A holder that is gone is told of by the end of its frames.
        }
        // The terminal itself is gone.
        channel.close()
    }
}
