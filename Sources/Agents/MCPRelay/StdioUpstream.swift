internal import HTTPTypes
internal import Logging
internal import NIOCore
internal import Primitives

/// A program of the host that speaks MCP on its stdin and stdout. Each session of the agent has a process of its own.
actor StdioUpstream: MCPUpstream {
    /// An agent has one; a second one when it is asked again.
    private static let maxSessions = 8

    private let name: String
    private let program: String
    private let arguments: [String]
    private let environment: [String: String]
    private let logger: Logger
    private let host: MCPProcess.Host
    private var sessions: [(id: String, process: MCPProcess)] = []
    private var isClosed = false

    init(
        name: String,
        program: String,
        arguments: [String],
        environment: [String: String],
        logger: Logger,
    ) throws {
        self.name = name
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.logger = logger
        host = try MCPProcess.Host()
    }

    /// What a program needs to run at all, and no key of anybody.
    static func basics(of environment: [String: String]) -> [String: String] {
        environment.filter { ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER"].contains($0.key) }
    }

    // MARK: MCPUpstream

    func send(_ message: MCPMessage, _ fields: HTTPFields) async -> MCPAnswer {
        var session = fields[.session]
        if message.isInitialize, session == nil {
            do {
                session = try await open()
            } catch {
                logger.warning("an MCP server does not start", metadata: ["server": "\(name)", "error": "\(error)"])
                return .refusal(502, "the MCP server \(name) cannot be started: \(error)", id: message.requestID)
            }
        }
        guard let session else { return .refusal(400, "the header Mcp-Session-Id is missing", id: message.requestID) }
        guard let process = sessions.first(where: { $0.id == session })?.process else {
            return .refusal(404, "there is no such session; initialize again", id: message.requestID)
        }
        do {
            guard let answer = try await process.send(message) else { return MCPAnswer(status: 202) }
            return MCPAnswer(status: 200, body: .json(answer), session: message.isInitialize ? session : nil)
        } catch {
            if !Task.isCancelled { await end(session) }
            return .refusal(502, "the MCP server \(name) \(error)", id: message.requestID)
        }
    }

    func listen(_ fields: HTTPFields) async -> MCPAnswer {
        guard let id = fields[.session] else { return .refusal(400, "the header Mcp-Session-Id is missing") }
        guard let process = sessions.first(where: { $0.id == id })?.process else {
            return .refusal(404, "there is no such session; initialize again")
        }
        guard let events = process.takeEvents() else { return .refusal(405, "somebody listens already") }
        return MCPAnswer(
            status: 200,
            body: .stream(
                contentType: "text/event-stream",
                events.map { ByteBuffer(bytes: Array("event: message\ndata: ".utf8) + $0 + Array("\n\n".utf8)) },
            ),
            session: id,
        )
    }

    func endSession(_ fields: HTTPFields) async -> MCPAnswer {
        guard let id = fields[.session] else { return .refusal(400, "the header Mcp-Session-Id is missing") }
        guard await end(id) else { return .refusal(404, "there is no such session") }
        return MCPAnswer(status: 204)
    }

    func close() async {
        isClosed = true
        let all = sessions
        sessions = []
        for session in all { await session.process.close() }
    }

    // MARK: Sessions

    private func open() async throws -> String {
        var surplus: [MCPProcess] = []
        while sessions.count >= Self.maxSessions { surplus.append(sessions.removeFirst().process) }
        for process in surplus { await process.close() }
        let process = try await MCPProcess.start(
            program: program,
            arguments: arguments,
            environment: environment,
            host: host,
            logger: logger,
        )
        guard !isClosed else {
            await process.close()
            throw CancellationError()
        }
        let digits = Array("0123456789abcdef")
        var generator = SystemRandomNumberGenerator()
        let id = String((0..<32).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
        sessions.append((id, process))
        return id
    }

    @discardableResult
    private func end(_ id: String) async -> Bool {
        guard let index = sessions.firstIndex(where: { $0.id == id }) else { return false }
        await sessions.remove(at: index).process.close()
        return true
    }
}

extension MCPMessage {
    fileprivate var requestID: ID? {
        if case .request(let id, _) = kind { return id }
        return nil
    }
}
