internal import GuestAPI
internal import LinuxSystem
internal import Primitives
internal import TTRPC

/// One program and everything that descends from it. Confined to the loop's thread.
///
/// It is over when the program has ended, nothing that it left behind lives any more, and all output has been passed on:
/// 1. the program ends, by itself or killed;
/// 2. descendants that still hold its output may write for the grace, then they are killed: they belong to the exec;
/// 3. what is in the pipes is read under the client's credit, and `exited` follows the last byte.
final class Exec {
    /// Killed processes that do not go for this long hang in the kernel: the client is not made to wait for them.
    private static let longestDeath = Duration.seconds(5)

    private enum Phase {
        case running
        /// The program ended; its descendants may not have.
        case ending(Outcome)
        /// Nothing writes any more.
        case draining(Outcome)
        case over(Voidbox_Guest_V1_ExecExited)
    }

    private struct Outcome {
        let status: TerminationStatus
        let duration: Duration
    }

    let id: String
    let arguments: [String]
    private let loop: EventLoop
    private let process: ExecProcess
    private let grace: Duration
    private let started = ContinuousClock.now
    private let onOver: (Exec) -> Void

    private var phase = Phase.running
    private var timedOut = false
    private var isDetached: Bool
    private var isCancelled = false
    private var attachment: ExecAttachment?
    private var ring = OutputRing(capacity: StreamLimit.execOutput)
    private var timer: EventLoop.Timer?

    /// - Parameters:
    ///   - grace: See `GuestAgentSettings.outputGrace`.
    ///   - onOver: Called once, when the exec is over and nobody needs it any more.
    init(
        id: String,
        arguments: [String],
        process: ExecProcess,
        isDetached: Bool,
        timeout: Duration?,
        grace: Duration,
        on loop: EventLoop,
        onOver: @escaping (Exec) -> Void,
    ) throws(SyscallError) {
        self.id = id
        self.arguments = arguments
        self.process = process
        self.isDetached = isDetached
        self.grace = grace
        self.loop = loop
        self.onOver = onOver
        for source in process.sources {
            source.descriptor?.ready = { [weak self] _ in self?.pump(source) }
        }
        try process.onEnd { [weak self] in self?.collect() }
        if let timeout {
            timer = loop.schedule(after: timeout) { [weak self] in self?.timeOut() }
        }
    }

    var pid: Int32 { process.pid }
    var isAttached: Bool { attachment != nil }
    var age: Duration { started.duration(to: .now) }
    var isRunning: Bool {
        if case .running = phase { return true }
        return false
    }
    var isOver: Bool {
        if case .over = phase { return true }
        return false
    }

    // MARK: The client

    /// Passes the output to a client from now on, beginning with what was kept for it.
    func attach(_ call: Call) throws(TTRPCStatus) {
        guard attachment == nil else {
            throw TTRPCStatus(.failedPrecondition, "exec \(id) has a client already")
        }
        guard process.input?.takesAttachment ?? true else {
            throw TTRPCStatus(.resourceExhausted, "exec \(id) does not read the input that it was sent before")
        }
        let attachment = ExecAttachment(call)
        self.attachment = attachment
        call.onMessage(Voidbox_Guest_V1_ExecInput.self) { [weak self] input throws(TTRPCStatus) in
            guard let self else { return }
            do throws(TTRPCStatus) {
                try self.take(input, from: attachment)
            } catch {
                // The client has broken the protocol and loses its stream, as if it had left.
                self.clientLeft()
                throw error
            }
        }
        call.onAbandoned { [weak self] in self?.clientLeft() }
        attachment.sendStarted(id: id, pid: pid)
        for chunk in ring.takeAll() {
            // The ring is no larger than the window, and its chunks no larger than a message.
            attachment.send(chunk.bytes, from: chunk.stream)
        }
        if case .over(let exited) = phase {
            conclude(exited)
        } else {
            pumpAll()
        }
    }

    private func take(
        _ input: Voidbox_Guest_V1_ExecInput,
        from attachment: ExecAttachment,
    ) throws(TTRPCStatus) {
        switch input.kind {
        case .stdin(let data):
            try attachment.accept(input: data.count)
            if let input = process.input {
                input.append(Array(data), from: attachment)
            } else {
                attachment.inputConsumed(data.count)
            }
        case .closeStdin: process.input?.close()
        case .resize(let size): process.resize(columns: size.columns, rows: size.rows)
        case .signal(let signal): try self.signal(signal)
        case .outputCredit(let count):
            try attachment.addCredit(count)
            pumpAll()
        case .detach: isDetached = true
        case .start, .attach, nil:
            throw TTRPCStatus(.invalidArgument, "exec \(id) has begun: this input cannot follow")
        }
    }

    private func clientLeft() {
        var unconsumed = attachment?.unconsumed
        attachment = nil
        guard isDetached else { return cancel() }
        for chunk in unconsumed?.takeAll() ?? [] { ring.append(Array(chunk.bytes), from: chunk.stream) }
        pumpAll()
    }

    // MARK: The program

    func signal(_ signal: UInt32) throws(TTRPCStatus) {
        guard case .running = phase else { return }
        guard signal >= 1, signal <= 64, let number = Int32(exactly: signal) else {
            throw TTRPCStatus(.invalidArgument, "\(signal) is no signal")
        }
        if number == ProcessGroup.kill { process.cage.kill() } else { ProcessGroup.signal(pid, number) }
    }

    /// Ends it without a client to tell: its output is of no use any more.
    func cancel() {
        isCancelled = true
        attachment = nil
        for source in process.sources { source.close() }
        if case .over = phase { return onOver(self) }
        process.cage.kill()
        settle()
    }

    private func timeOut() {
        guard case .running = phase else { return }
        timedOut = true
        process.cage.kill()
    }

    /// Takes the program's status, if it has ended.
    func collect() {
        guard case .running = phase, let status = process.reap() else { return }
        if let timer { loop.cancel(timer) }
        timer = nil
        phase = .ending(Outcome(status: status, duration: started.duration(to: .now)))
        settle()
        guard case .ending = phase else { return }
        process.cage.whenEmpty(on: loop) { [weak self] in self?.nothingLives() }
        timer = loop.schedule(after: grace) { [weak self] in self?.endDescendants() }
    }

    private func endDescendants() {
        guard case .ending = phase else { return }
        process.cage.kill()
        timer = loop.schedule(after: Self.longestDeath) { [weak self] in
            guard let self else { return }
            KernelLog.shared.warning("exec \(self.id): killed processes do not end")
            self.nothingLives()
        }
    }

    private func nothingLives() {
        guard case .ending(let outcome) = phase else { return }
        if let timer { loop.cancel(timer) }
        timer = nil
        phase = .draining(outcome)
        pumpAll()
        settle()
    }

    private func settle() {
        switch phase {
        case .running, .over: return
        case .ending:
            if !process.cage.isPopulated { return nothingLives() }
            // Nobody writes to the output any more, so there is nothing to wait for.
            if process.sources.allSatisfy(\.isClosed) { process.cage.kill() }
        case .draining(let outcome):
            guard process.sources.allSatisfy(\.isClosed) else { return }
            let exited = makeExited(outcome)
            process.input?.discard()
            process.cage.remove()
            phase = .over(exited)
            conclude(exited)
        }
    }

    private func makeExited(_ outcome: Outcome) -> Voidbox_Guest_V1_ExecExited {
        var exited = Voidbox_Guest_V1_ExecExited()
        switch outcome.status {
        case .exited(let code): exited.code = UInt32(bitPattern: code)
        case .signalled(let signal): exited.signal = UInt32(bitPattern: signal)
        }
        exited.timedOut = timedOut
        exited.outOfMemory = process.cage.ranOutOfMemory
        exited.durationNanos = outcome.duration.wholeNanoseconds
        return exited
    }

    private func conclude(_ exited: Voidbox_Guest_V1_ExecExited) {
        if let attachment {
            var exited = exited
            exited.droppedOutputBytes = ring.dropped
            attachment.finish(exited)
            self.attachment = nil
            onOver(self)
        } else if isCancelled || !isDetached {
            onOver(self)
        }
    }

    // MARK: Output

    private func pumpAll() {
        for source in process.sources { pump(source) }
    }

    /// Passes on what a source has, as far as the client has room. One read a turn, so that a chatty program leaves time
    /// for the others; but all there is, once nothing is left that could write more.
    private func pump(_ source: ExecOutputSource) {
        while let descriptor = source.descriptor {
            let room = attachment?.room ?? ExecOutputSource.readSize
            guard room > 0 else { return descriptor.unwatch() }
            switch source.read(upTo: room) {
            case .bytes(let bytes):
                deliver(bytes, from: source.stream)
                guard case .draining = phase else { return descriptor.watch(for: .readable) }
            case .wouldBlock:
                guard case .draining = phase else { return descriptor.watch(for: .readable) }
                source.close()
                settle()
            case .endOfFile:
                source.close()
                settle()
            }
        }
    }

    private func deliver(_ bytes: [UInt8], from stream: OutputRing.Stream) {
        if let attachment {
            attachment.send(bytes, from: stream)
        } else if isDetached {
            ring.append(bytes, from: stream)
        }
    }
}
