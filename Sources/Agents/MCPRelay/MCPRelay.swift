internal import BoxHTTP
package import Logging
internal import Primitives
package import Sandboxing
package import Skills

/// Lets the agent in one box use MCP servers of the host. It carries messages of MCP and nothing else, over a tunnel from
/// the box's own loopback: nothing listens on the host.
package actor MCPRelay {
    /// The servers as the box reaches them.
    package nonisolated let servers: [MCPServer]
    private let upstreams: [any MCPUpstream]
    private let server: BoxServer

    /// - Parameters:
    ///   - hostServers: Programs of the host, by their path, or addresses. A program starts when the agent says hello.
    ///   - environment: The host's variables; programs get a few of them beside their own.
    package static func start(
        _ hostServers: [MCPServer],
        in sandbox: any SandboxInstance,
        environment: [String: String],
        logger: Logger,
    ) async throws -> MCPRelay {
        var upstreams: [String: any MCPUpstream] = [:]
        for server in hostServers {
            upstreams[server.name] =
                switch server.transport {
                case .stdio(let command, let args, let env):
                    try StdioUpstream(
                        name: server.name,
                        program: command,
                        arguments: args,
                        environment: StdioUpstream.basics(of: environment).merging(env) { $1 },
                        logger: logger,
                    )
                case .http(let url, let headers): HTTPUpstream(url: url, headers: headers)
                }
        }
        let token = BoxToken()
        let handler = MCPRelayHandler(token: token, upstreams: upstreams, logger: logger)
        let listener = try await sandbox.listen(port: 0)
        let server = BoxServer(
            listener,
            limits: BoxServerLimits(maxConnections: 64),
            logger: logger,
            respond: { request, writer, _ in try await handler.respond(to: request, writer: writer) },
        )
        let authorization = ["Authorization": "Bearer \(token.value.reveal())"]
        let servers = hostServers.map { host in
            let url = "\(server.guestBaseURL)\(MCPRelayHandler.prefix)\(host.name)"
            return MCPServer(name: host.name, transport: .http(url: url, headers: authorization))
        }
        return MCPRelay(servers, Array(upstreams.values), server)
    }

    private init(_ servers: [MCPServer], _ upstreams: [any MCPUpstream], _ server: BoxServer) {
        self.servers = servers
        self.upstreams = upstreams
        self.server = server
    }

    /// Stops listening and ends every program that it started. Idempotent.
    package func close() async {
        await server.close()
        for upstream in upstreams { await upstream.close() }
    }
}
