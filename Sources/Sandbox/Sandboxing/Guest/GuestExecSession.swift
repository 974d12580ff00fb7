internal import FoundationEssentials
internal import GuestAPI
internal import Primitives
internal import Synchronization
internal import TTRPC

extension GuestClient {
    func exec(_ request: ExecRequest) async throws -> any ExecSession {
        guard let program = request.argv.first, !program.isEmpty else {
            throw SandboxError(.invalidArgument, resource: "exec", "there is no program to run")
        }
        var input = Voidbox_Guest_V1_ExecInput()
        input.start = Voidbox_Guest_V1_ExecStart(request)
        do {
            return try await GuestExecSession.open(self, input, program: program)
        } catch let error as SandboxError where error.code == .notPermitted {
            throw SandboxError(
                .programNotAllowed,
                resource: program,
                error.message,
                hint: error.hint,
                cause: error.cause
            )
        } catch let error as SandboxError where error.code == .notFound {
            throw SandboxError(.cannotStart, resource: program, error.message, hint: error.hint, cause: error.cause)
        }
    }

    func attach(to id: String) async throws -> any ExecSession {
        var input = Voidbox_Guest_V1_ExecInput()
        input.attach = id
        return try await GuestExecSession.open(self, input, program: "exec \(id)")
    }
}

/// A program in the guest. A task of its own takes what the guest sends, so that credit for stdin arrives while nobody
/// asks for output; what it holds is bounded by the credit for output.
final class GuestExecSession: ExecSession {
    let id: String
    private let guest: GuestClient
    private let stream: TTRPCClientStream
    private let program: String
    private let inbox = Inbox<ExecEvent>()
    private let gate = SendGate(capacity: StreamLimit.execInput)
    private let consumed = ReceiveMeter(capacity: StreamLimit.execOutput)
    private let pump = Mutex<Task<Void, Never>?>(nil)

    static func open(
        _ guest: GuestClient,
        _ input: Voidbox_Guest_V1_ExecInput,
        program: String,
    ) async throws -> GuestExecSession {
        let stream = try guest.openStream("Exec", input, on: program)
        let first = try await guest.receive(Voidbox_Guest_V1_ExecOutput.self, from: stream, on: program)
        guard case .started(let started)? = first?.kind else {
            throw SandboxError(.protocolViolation, resource: program, "the guest agent did not say that it started")
        }
        return GuestExecSession(guest, stream, id: started.execID, program: program)
    }

    private init(_ guest: GuestClient, _ stream: TTRPCClientStream, id: String, program: String) {
        self.id = id
        self.guest = guest
        self.stream = stream
        self.program = program
        let task = Task { [guest, stream, inbox, gate, consumed, program] in
            do {
                while let output = try await guest.receive(
                    Voidbox_Guest_V1_ExecOutput.self,
                    from: stream,
                    on: program,
                ) {
                    try Self.take(output, inbox, gate, consumed, program)
                }
                inbox.finish()
            } catch {
                inbox.finish(.failure(error))
                gate.close(error)
            }
            gate.close(SandboxError(.inputClosed, resource: program, "the program has ended"))
        }
        pump.withLock { $0 = task }
    }

    deinit {
        pump.withLock { $0 }?.cancel()
    }

    func nextEvent() async throws -> ExecEvent? {
        let event = try await inbox.next()
        switch event {
        case .stdout(let bytes), .stderr(let bytes):
            let credit = consumed.consume(bytes.count)
            if credit > 0 { try sendUnlessEnded(.outputCredit(credit)) }
        case .exited, nil: break
        }
        return event
    }

    func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try await gate.pass(rest.count)
            try send(.stdin(Data(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
    }

    func closeInput() async throws {
        gate.close(SandboxError(.inputClosed, resource: program, "its stdin was closed"))
        try sendUnlessEnded(.closeStdin(Voidbox_Guest_V1_Empty()))
    }

    func resize(_ size: TerminalSize) async throws {
        try send(.resize(Voidbox_Guest_V1_Terminal(size)))
    }

    func signal(_ signal: Int32) async throws {
        guard let number = UInt32(exactly: signal) else {
            throw SandboxError(.invalidArgument, resource: program, "there is no signal \(signal)")
        }
        try send(.signal(number))
    }

    func detach() async throws {
        try send(.detach(Voidbox_Guest_V1_Empty()))
    }

    func close() async {
        stream.cancel()
        let task = pump.withLock { $0.take() }
        task?.cancel()
        await task?.value
    }

    private func send(_ kind: Voidbox_Guest_V1_ExecInput.OneOf_Kind) throws {
        var input = Voidbox_Guest_V1_ExecInput()
        input.kind = kind
        try guest.send(input, to: stream, on: program)
    }

    /// For messages that mean nothing once the machine has ended: what is left of the events is still worth reading.
    private func sendUnlessEnded(_ kind: Voidbox_Guest_V1_ExecInput.OneOf_Kind) throws {
        do {
            try send(kind)
        } catch let error as SandboxError where error.code == .machineEnded {
            return
        }
    }

    private static func take(
        _ output: Voidbox_Guest_V1_ExecOutput,
        _ inbox: Inbox<ExecEvent>,
        _ gate: SendGate,
        _ window: ReceiveMeter,
        _ program: String,
    ) throws {
        func violation(_ what: String) -> SandboxError {
            SandboxError(.protocolViolation, resource: program, "the guest agent \(what)")
        }
        switch output.kind {
        case .stdout(let data), .stderr(let data):
            guard window.accept(data.count) else { throw violation("sent output beyond its credit") }
            if case .stdout = output.kind { inbox.put(.stdout(Array(data))) } else { inbox.put(.stderr(Array(data))) }
        case .stdinCredit(let credit):
            guard gate.giveBack(credit) else { throw violation("credited input that it was not sent") }
        case .exited(let exited): inbox.put(.exited(try ExecExit(exited, program: program)))
        case .started, nil: throw violation("started a program twice")
        }
    }
}

extension Voidbox_Guest_V1_ExecStart {
    fileprivate init(_ request: ExecRequest) {
        self.init()
        argv = request.argv
        environment = request.environment
        workingDirectory = request.workingDirectory
        user = request.user
        timeoutNanos = request.timeout.map(\.wholeNanoseconds) ?? 0
        if let size = request.terminal { terminal = Voidbox_Guest_V1_Terminal(size) }
        detached = request.isDetached
        stdinOpen = request.keepsInputOpen || request.terminal != nil
    }
}

extension Voidbox_Guest_V1_Terminal {
    fileprivate init(_ size: TerminalSize) {
        self.init()
        columns = UInt32(size.columns)
        rows = UInt32(size.rows)
    }
}

extension ExecExit {
    fileprivate init(_ exited: Voidbox_Guest_V1_ExecExited, program: String) throws {
        let status: Status
        switch exited.how {
        case .code(let code): status = .code(UInt8(truncatingIfNeeded: code))
        case .signal(let signal): status = .signal(Int32(truncatingIfNeeded: signal))
        case nil: throw SandboxError(.protocolViolation, resource: program, "the guest agent did not say how it ended")
        }
        self.init(
            status: status,
            timedOut: exited.timedOut,
            outOfMemory: exited.outOfMemory,
            duration: Duration(wholeNanoseconds: exited.durationNanos),
            droppedOutputBytes: exited.droppedOutputBytes,
        )
    }
}
