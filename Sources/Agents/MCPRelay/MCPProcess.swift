internal import AsyncAlgorithms
internal import LinuxSystem
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Primitives
internal import Sandboxing
internal import Synchronization

/// One running MCP server of the host: a message is a line. Any thread; guarded by `state`.
///
/// It dies with this process, and with it all that it started where the host lets it have a process namespace of its own.
final class MCPProcess: Sendable {
    /// Starts processes, and reads what they complain of.
    struct Host: Sendable {
        let spawner: Spawner
        let loop: EventLoopThread

        init() throws {
            spawner = try Spawner()
            loop = try EventLoopThread(name: "mcp-servers")
        }
    }

    struct Ended: Error, CustomStringConvertible {
        let description: String
    }

    /// Messages that nobody listens for are kept up to this number, the newest ones.
    private static let maxEvents = 1000
    /// How long a program has after its stdin is closed.
    private static let grace = Duration.seconds(2)

    private struct State {
        var waiting: [MCPMessage.ID: CheckedContinuation<[UInt8], any Error>] = [:]
        var end: Ended?
        var events: AsyncThrowingStream<[UInt8], any Error>?
    }

    private let state: Mutex<State>
    private let process: Spawner.SpawnedProcess
    private let errors: ConsoleTail
    private let outgoing = AsyncChannel<[UInt8]>()
    private let pushed: AsyncThrowingStream<[UInt8], any Error>.Continuation
    private let logger: Logger
    private let ended: Task<TerminationStatus?, Never>
    private let serving = Mutex<Task<Void, Never>?>(nil)

    static func start(
        program: String,
        arguments: [String],
        environment: [String: String],
        host: Host,
        logger: Logger,
    ) async throws -> MCPProcess {
        let pair = try OwnedFD.socketPair()
        let errors = try OwnedFD.pipe()
        var request = SpawnRequest(
            path: program,
            argv: [program] + arguments,
            environment: environment.map { "\($0.key)=\($0.value)" }.sorted(),
        )
        request.parentDeathSignal = Signal.kill
        request.startsSession = true
        request.startsProcessNamespace = true
        let descriptors = [pair.second.rawValue, pair.second.rawValue, errors.second.rawValue]
        let process: Spawner.SpawnedProcess
        do {
            process = try await host.spawner.spawn(request, descriptors: descriptors)
        } catch let error as SpawnError where error.step == .clone {
            request.startsProcessNamespace = false
            process = try await host.spawner.spawn(request, descriptors: descriptors)
        }
        let tail = try ConsoleTail(adopting: errors.keepFirst(), on: host.loop)
        let wire = pair.keepFirst()
        try wire.setNonBlocking()
        // From here NIO owns the descriptor.
        let descriptor = wire.relinquish()
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .withConnectedSocket(descriptor) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true),
                    )
                }
            }
        return MCPProcess(process, tail, channel, logger)
    }

    private init(
        _ process: Spawner.SpawnedProcess,
        _ errors: ConsoleTail,
        _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>,
        _ logger: Logger,
    ) {
        self.process = process
        self.errors = errors
        self.logger = logger
        let (events, pushed) = AsyncThrowingStream.makeStream(
            of: [UInt8].self,
            throwing: (any Error).self,
            bufferingPolicy: .bufferingNewest(Self.maxEvents),
        )
        self.pushed = pushed
        state = Mutex(State(events: events))
        // Nobody else reaps it; that it cannot be waited for means that it is gone.
        ended = Task { try? await process.waitForEnd() }
        let task = Task { await self.serve(channel) }
        serving.withLock { $0 = task }
    }

    // MARK: Messages

    /// Sends a message and, if it is a request, waits for the answer.
    func send(_ message: MCPMessage) async throws -> [UInt8]? {
        guard case .request(let id, _) = message.kind else {
            try checkEnd()
            await outgoing.send(message.bytes + [0x0A])
            return nil
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let refusal = state.withLock { state -> (any Error)? in
                    if let end = state.end { return end }
                    if Task.isCancelled { return CancellationError() }
                    guard state.waiting[id] == nil else {
                        return Ended(description: "has a request of that id already")
                    }
                    state.waiting[id] = continuation
                    return nil
                }
                if let refusal { return continuation.resume(throwing: refusal) }
                Task { [outgoing] in await outgoing.send(message.bytes + [0x0A]) }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(throwing: CancellationError())
        }
    }

    /// What the server sends of its own accord, for one listener; nil if there is one.
    func takeEvents() -> AsyncThrowingStream<[UInt8], any Error>? {
        state.withLock { $0.events.take() }
    }

    private func checkEnd() throws(Ended) {
        if let end = state.withLock({ $0.end }) { throw end }
    }

    private func take(_ line: [UInt8]) {
        guard !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D }) else { return }
        let message: MCPMessage
        do throws(MCPMessage.Malformed) {
            message = try MCPMessage(line)
        } catch {
            logger.warning("an MCP server wrote what is no message", metadata: ["error": "\(error)"])
            return
        }
        if case .response(let id) = message.kind {
            // An answer that nobody waits for any more.
            state.withLock { $0.waiting.removeValue(forKey: id) }?.resume(returning: message.bytes)
        } else {
            pushed.yield(message.bytes)
        }
    }

    // MARK: The process

    private func serve(_ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>) async {
        var why = "closed its output"
        do {
            try await channel.executeThenClose { inbound, outbound in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { [outgoing] in
                        for await bytes in outgoing { try await outbound.write(ByteBuffer(bytes: bytes)) }
                        outbound.finish()
                    }
                    var splitter = LineSplitter(limit: MCPMessage.maxBytes)
                    for try await buffer in inbound {
                        for line in try splitter.feed(Array(buffer.readableBytesView)) { take(line) }
                    }
                    group.cancelAll()
                }
            }
        } catch let error as LineSplitter.TooLong {
            why = "wrote a line of more than \(error.limit >> 20) MiB"
        } catch {
            why = "broke off: \(error)"
        }
        await stop()
        outgoing.finish()
        pushed.finish()
        await errors.catchUp()
        let said = errors.text.split(separator: "\n").suffix(3).joined(separator: "; ")
        switch await ended.value {
        case .exited(let code)?: why = "exited with status \(code)"
        case .signalled(let signal)? where signal != Signal.kill: why = "was ended by signal \(signal)"
        default: break
        }
        let end = Ended(description: said.isEmpty ? why : "\(why): \(said)")
        let waiting = state.withLock { state in
            state.end = end
            defer { state.waiting = [:] }
            return state.waiting
        }
        for continuation in waiting.values { continuation.resume(throwing: end) }
    }

    /// Ends the process: politely, then by force. Whether this task is cancelled makes no difference.
    private func stop() async {
        let killing = Task { [process] in
            try await Task.sleep(for: Self.grace)
            // One that has ended refuses the signal, which is as good.
            try? process.signal(Signal.kill)
        }
        _ = await ended.value
        killing.cancel()
    }

    /// Closes its stdin, waits a little, kills it, and returns when it is gone. Idempotent.
    func close() async {
        outgoing.finish()
        serving.withLock { $0 }?.cancel()
        await serving.withLock { $0 }?.value
    }
}
