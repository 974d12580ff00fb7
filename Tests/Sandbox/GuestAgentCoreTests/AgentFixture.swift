import FoundationEssentials
import GuestAPI
import LinuxSystem
import SwiftProtobuf
import TTRPC
import Testing

@testable import GuestAgentCore

/// An agent on this host, served over a socket pair: everything but the boot and the machine.
final class AgentFixture: Sendable {
    /// Confined to the agent's loop.
    private final class Holder: @unchecked Sendable {
        var agent: GuestAgent?
    }

    static let service = "voidbox.guest.v1.Guest"
    let client: TTRPCClient
    /// An own directory, open to the sandbox user.
    let directory: String
    private let holder: Holder
    private let agentThread: EventLoopThread
    private let clientThread: EventLoopThread
    private let controlGroup: String?

    /// Execs change their user, so the agent needs to be root.
    static let mayRun = Machine.mayChangeUsers

    init(
        _ change: (inout Voidbox_Guest_V1_BootParameters) -> Void = { _ in },
        outputGrace: Duration? = nil,
    ) async throws {
        let unique = String(UInt64.random(in: .min ... .max), radix: 36)
        directory = "/tmp/voidbox-agent-\(unique)"
        try FileSystem.makeDirectories(directory)
        try FileSystem.setMode(of: directory, 0o777)
        controlGroup = Self.makeControlGroup(unique)

        var parameters = Voidbox_Guest_V1_BootParameters()
        parameters.policy.allowAnyProgram = true
        // Below what any host gives a process.
        parameters.policy.maxOpenFiles = 256
        change(&parameters)
        var settings = GuestAgentSettings(parameters)
        settings.workingDirectory = directory
        if let outputGrace { settings.outputGrace = outputGrace }
        settings.controlGroup = controlGroup
        // The user's other processes on this host would count, and its cgroups may lack the controller.
        settings.limits.processes = 0

        agentThread = try EventLoopThread(name: "agent")
        clientThread = try EventLoopThread(name: "client")
        holder = Holder()
        let ends = try OwnedFD.socketPair(nonBlocking: true).split { (Box($0), Box($1)) }
        Machine.ignoreBrokenPipes()
        let settingsBox = Carried(settings)
        try await agentThread.run { [holder] loop in
            let agent = GuestAgent(on: loop, settings: settingsBox.value)
            holder.agent = agent
            try agent.serve(try ends.0.fd.duplicate()) { _ in }
        }
        client = try TTRPCClient(adopting: try ends.1.fd.duplicate(), on: clientThread)
    }

    /// Where this host lets us make a cgroup (v2); its controllers do not matter here.
    private static func makeControlGroup(_ name: String) -> String? {
        for mount in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] where FileSystem.exists("\(mount)/cgroup.procs") {
            let path = "\(mount)/voidbox-\(name)"
            if (try? FileSystem.makeDirectories(path)) != nil, FileSystem.exists("\(path)/cgroup.kill") { return path }
        }
        return nil
    }

    /// Runs `body` with an agent and leaves nothing behind.
    static func with(
        _ change: (inout Voidbox_Guest_V1_BootParameters) -> Void = { _ in },
        outputGrace: Duration? = nil,
        _ body: (AgentFixture) async throws -> Void,
    ) async throws {
        let fixture = try await AgentFixture(change, outputGrace: outputGrace)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(fixture))
        } catch {
            result = .failure(error)
        }
        try await fixture.tearDown()
        try result.get()
    }

    private func tearDown() async throws {
        client.close()
        // The agent's execs go with the connection; their cgroups are gone when nothing is active any more.
        let holder = holder
        var active = 1
        while active > 0 {
            active = try await agentThread.run { _ in holder.agent?.activeExecs ?? 0 }
            await Task.yield()
        }
        try await agentThread.run { _ in holder.agent = nil }
        agentThread.stop()
        clientThread.stop()
        if let controlGroup { try FileSystem.remove(controlGroup) }
        try Self.removeTree(directory)
    }

    private static func removeTree(_ path: String) throws {
        for name in try Directory(path).names() {
            let entry = "\(path)/\(name)"
            if try Directory(path).status(of: name).kind == .directory {
                try removeTree(entry)
            } else {
                try FileSystem.remove(entry)
            }
        }
        try FileSystem.remove(path)
    }

    // MARK: Calls

    func call<Response: Message>(
        _ name: String,
        _ request: some Message,
        _ type: Response.Type = Voidbox_Guest_V1_Empty.self,
    ) async throws -> Response {
        let method = TTRPCMethod(service: Self.service, name: name)
        return try Response(serializedBytes: try await client.call(method, try request.serializedBytes()))
    }

    func stream<Input: Message, Output: Message>(
        _ name: String,
        _ first: Input,
        _ type: Output.Type,
    ) throws -> GuestStream<Input, Output> {
        let method = TTRPCMethod(service: Self.service, name: name)
        return GuestStream(stream: try client.openStream(method, try first.serializedBytes()))
    }

    /// The status that a call fails with.
    func status(of body: () async throws -> Void) async -> TTRPCStatus? {
        do {
            try await body()
            return nil
        } catch TTRPCError.status(let status) {
            return status
        } catch {
            Issue.record(error)
            return nil
        }
    }

    func exec(
        _ argv: [String],
        _ change: (inout Voidbox_Guest_V1_ExecStart) -> Void = { _ in },
    ) throws -> ExecClient {
        var input = Voidbox_Guest_V1_ExecInput()
        input.start.argv = argv
        change(&input.start)
        return ExecClient(try stream("Exec", input, Voidbox_Guest_V1_ExecOutput.self))
    }

    func attach(_ id: String) throws -> ExecClient {
        var input = Voidbox_Guest_V1_ExecInput()
        input.attach = id
        return ExecClient(try stream("Exec", input, Voidbox_Guest_V1_ExecOutput.self))
    }

    func shell(_ script: String) async throws -> ExecClient {
        let exec = try exec(["/bin/bash", "-c", script])
        try await exec.finish()
        return exec
    }
}

/// Carries a descriptor between threads.
private final class Box: Sendable {
    let fd: OwnedFD
    init(_ fd: consuming OwnedFD) { self.fd = fd }
}

private struct Carried<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// A stream of messages in both directions.
struct GuestStream<Input: Message, Output: Message>: Sendable {
    let stream: TTRPCClientStream

    func send(_ change: (inout Input) -> Void) throws {
        var input = Input()
        change(&input)
        try stream.send(try input.serializedBytes())
    }

    func receive() async throws -> Output? {
        guard let bytes = try await stream.receive() else { return nil }
        return try Output(serializedBytes: bytes)
    }
}

/// A client that takes all output and gives credit for it. Used by one task.
final class ExecClient {
    let stream: GuestStream<Voidbox_Guest_V1_ExecInput, Voidbox_Guest_V1_ExecOutput>
    private(set) var id = ""
    private(set) var stdout: [UInt8] = []
    private(set) var stderr: [UInt8] = []
    private(set) var inputCredit = 1 << 20
    private(set) var exited: Voidbox_Guest_V1_ExecExited?

    init(_ stream: GuestStream<Voidbox_Guest_V1_ExecInput, Voidbox_Guest_V1_ExecOutput>) {
        self.stream = stream
    }

    var out: String { String(decoding: stdout, as: UTF8.self) }
    var errors: String { String(decoding: stderr, as: UTF8.self) }

    /// Takes one message. False at the end.
    func step() async throws -> Bool {
        guard let output = try await stream.receive() else { return false }
        switch output.kind {
        case .started(let started): id = started.execID
        case .stdout(let data):
            stdout += data
            try stream.send { $0.outputCredit = UInt32(data.count) }
        case .stderr(let data):
            stderr += data
            try stream.send { $0.outputCredit = UInt32(data.count) }
        case .stdinCredit(let credit): inputCredit += Int(credit)
        case .exited(let exited): self.exited = exited
        case nil: break
        }
        return true
    }

    func step(until condition: (ExecClient) -> Bool) async throws {
        while !condition(self) { guard try await step() else { return } }
    }

    func finish() async throws {
        while try await step() {}
    }

    /// Sends under credit, taking output meanwhile.
    func write(_ bytes: [UInt8]) async throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(min(inputCredit, 65536))
            if piece.isEmpty {
                guard try await step() else { return }
                continue
            }
            inputCredit -= piece.count
            rest = rest.dropFirst(piece.count)
            try stream.send { $0.stdin = Data(piece) }
        }
    }

    func closeInput() throws {
        try stream.send { $0.closeStdin = Voidbox_Guest_V1_Empty() }
    }
}
