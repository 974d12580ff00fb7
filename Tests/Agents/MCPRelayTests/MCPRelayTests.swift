internal import AsyncHTTPClient
internal import Foundation
internal import HTTPSupport
internal import HTTPTypes
internal import Hummingbird
internal import JSONCoding
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import Primitives
internal import Skills
internal import Testing

@testable internal import MCPRelay

/// A client of MCP's transport "Streamable HTTP", as an agent in a box is.
private struct Agent: Sendable {
    let server: MCPServer
    var session: String?

    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var body: String

        var json: JSONValue? { try? JSONValue(decoding: Array(body.utf8)) }
    }

    var url: String {
        guard case .http(let url, _) = server.transport else { return "" }
        return url
    }

    func request(_ method: HTTPMethod, _ body: String? = nil, _ extra: [String: String] = [:]) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: url)
        request.method = method
        if case .http(_, let headers) = server.transport {
            for (name, value) in headers { request.headers.add(name: name, value: value) }
        }
        request.headers.add(name: "accept", value: "application/json, text/event-stream")
        if let session { request.headers.add(name: "mcp-session-id", value: session) }
        for (name, value) in extra { request.headers.replaceOrAdd(name: name, value: value) }
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        return request
    }

    func send(_ request: HTTPClientRequest) async throws -> Answer {
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        let body = try await response.body.collect(upTo: 1 << 24)
        return Answer(status: Int(response.status.code), headers: response.headers, body: String(buffer: body))
    }

    func post(_ body: String) async throws -> Answer { try await send(request(.POST, body)) }

    /// The same with a session.
    func initialized() async throws -> Agent {
        let answer = try await post(#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#)
        #expect(answer.status == 200, "\(answer.body)")
        var agent = self
        agent.session = answer.headers.first(name: "mcp-session-id")
        let noted = try await agent.post(#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        #expect(noted.status == 202)
        return agent
    }
}

@Suite("MCP relay", .timeLimit(.minutes(3))) struct MCPRelayTests {
    /// Speaks just enough MCP: `echo` gives its text and one variable back, `push` sends a notification first, `die` ends it.
    private static let program = """
        import json, os, sys
        print("started", file=sys.stderr, flush=True)
        def out(message):
            sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
        for line in sys.stdin:
            m = json.loads(line)
            if "id" not in m: continue
            method = m.get("method")
            if method == "die": print("I give up", file=sys.stderr, flush=True); sys.exit(3)
            if method == "hang": continue
            if method == "push": out({"jsonrpc": "2.0", "method": "notifications/message", "params": {"n": 1}})
            if method == "count": out({"jsonrpc": "2.0", "id": "ask", "method": "roots/list"})
            out({"jsonrpc": "2.0", "id": m["id"], "result": {"method": method, "pid": os.getpid(),
                "key": os.environ.get("KEY"), "secret": os.environ.get("SECRET"), "params": m.get("params")}})
        """

    private func withRelay(
        _ server: MCPServer,
        _ body: (Agent) async throws -> Void,
    ) async throws {
        let relay = try await MCPRelay.start(
            [server],
            in: LoopbackSandbox(),
            environment: ["PATH": "/usr/bin:/bin", "SECRET": "of the host"],
            logger: .silent,
        )
        do {
            try await body(Agent(server: try #require(relay.servers.first)))
            await relay.close()
        } catch {
            await relay.close()
            throw error
        }
    }

    private static let stdio = MCPServer(
        name: "notes",
        transport: .stdio(command: "/usr/bin/env", args: ["python3", "-c", program], env: ["KEY": "value"]),
        place: .host,
    )

    @Test func `a program of the host answers the agent, with its own variables and not the host's`() async throws {
        try await withRelay(Self.stdio) { fresh in
            #expect(fresh.url.hasSuffix("/mcp/notes"))
            let agent = try await fresh.initialized()
            let answer = try await agent.post(
                "{\"jsonrpc\":\"2.0\",\n\"id\":\"a\",\"method\":\"echo\",\"params\":{\"t\":\"é\"}}"
            )
            #expect(answer.status == 200)
            #expect(answer.json?["id"] == "a" && answer.json?["result"]?["params"]?["t"] == "é")
            #expect(answer.json?["result"]?["key"] == "value")
            #expect(answer.json?["result"]?["secret"] == .null)
        }
    }

    @Test func `requests may overlap, and each session has a process of its own`() async throws {
        try await withRelay(Self.stdio) { fresh in
            let agent = try await fresh.initialized()
            let ids = try await withThrowingTaskGroup(of: Int64?.self) { group in
                for id in 1...20 {
                    group.addTask {
                        try await agent.post(#"{"jsonrpc":"2.0","id":\#(id),"method":"echo"}"#).json?["id"]?
                            .integerValue
                    }
                }
                return try await group.reduce(into: []) { $0.append($1 ?? 0) }
            }
            #expect(ids.sorted() == Array(1...20))
            let other = try await fresh.initialized()
            #expect(other.session != agent.session)
            for one in [agent, other] {
                #expect(try await one.post(#"{"jsonrpc":"2.0","id":1,"method":"echo"}"#).status == 200)
            }
        }
    }

    @Test func `what the server sends of its own accord reaches a listener`() async throws {
        try await withRelay(Self.stdio) { fresh in
            let agent = try await fresh.initialized()
            let listening = try await HTTPClient.shared.execute(agent.request(.GET), timeout: .seconds(60))
            #expect(listening.headers.first(name: "content-type") == "text/event-stream")
            _ = try await agent.post(#"{"jsonrpc":"2.0","id":1,"method":"push"}"#)
            var text = ""
            for try await chunk in listening.body {
                text += String(buffer: chunk)
                if text.contains("\n\n") { break }
            }
            #expect(text.hasPrefix("event: message\ndata: {"))
            #expect(text.contains("notifications/message"))
            #expect(try await agent.send(agent.request(.GET)).status == 405)
        }
    }

    @Test func `a server that dies is an error with its last words, and a new session works`() async throws {
        try await withRelay(Self.stdio) { fresh in
            let agent = try await fresh.initialized()
            let answer = try await agent.post(#"{"jsonrpc":"2.0","id":7,"method":"die"}"#)
            #expect(answer.status == 502 && answer.json?["id"] == 7)
            let message = answer.json?["error"]?["message"]?.stringValue ?? ""
            #expect(
                message.contains("the MCP server notes exited with status 3") && message.contains("I give up"),
                "\(message)"
            )
            #expect(try await agent.post(#"{"jsonrpc":"2.0","id":8,"method":"echo"}"#).status == 404)
            let next = try await fresh.initialized()
            #expect(try await next.post(#"{"jsonrpc":"2.0","id":9,"method":"echo"}"#).status == 200)
        }
    }

    @Test func `a session ends when the agent says so, whatever is under way`() async throws {
        try await withRelay(Self.stdio) { fresh in
            let agent = try await fresh.initialized()
            async let hanging = agent.post(#"{"jsonrpc":"2.0","id":1,"method":"hang"}"#)
            _ = try await agent.post(#"{"jsonrpc":"2.0","id":2,"method":"echo"}"#)
            #expect(try await agent.send(agent.request(.DELETE)).status == 204)
            #expect(try await hanging.status >= 400)
            #expect(try await agent.send(agent.request(.DELETE)).status == 404)
        }
    }

    @Test func `a program that is not there is an error for the agent`() async throws {
        let server = MCPServer(name: "gone", transport: .stdio(command: "/nowhere", args: [], env: [:]), place: .host)
        try await withRelay(server) { agent in
            let answer = try await agent.post(#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#)
            #expect(answer.status == 502)
            #expect(answer.body.contains("cannot execute /nowhere"), "\(answer.body)")
        }
    }

    @Test func `nothing but MCP gets through`() async throws {
        try await withRelay(Self.stdio) { fresh in
            let agent = try await fresh.initialized()
            func status(_ request: HTTPClientRequest) async throws -> Int { try await agent.send(request).status }
            let echo = #"{"jsonrpc":"2.0","id":1,"method":"echo"}"#
            #expect(try await status(agent.request(.POST, echo, ["authorization": "Bearer wrong"])) == 401)
            #expect(try await status(agent.request(.POST, echo, ["origin": "http://evil"])) == 403)
            #expect(try await status(agent.request(.PUT, echo)) == 405)
            for body in [
                "", "x", "[]", "{}", #"[{"jsonrpc":"2.0","id":1,"method":"echo"}]"#, #"{"id":1,"method":"echo"}"#,
                #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","id":[1],"method":"echo"}"#,
            ] {
                #expect(try await status(agent.request(.POST, body)) == 400, "\(body)")
            }
            for path in ["/", "/mcp/other", "/mcp/notes/x", "/mcp/../mcp/notes"] {
                var request = agent.request(.POST, echo)
                request.url = agent.url.replacing("/mcp/notes", with: path)
                #expect(try await status(request) == 404, "\(path)")
            }
            var other = agent
            other.session = "someone-elses"
            #expect(try await other.post(echo).status == 404)
            other.session = nil
            #expect(try await other.post(echo).status == 400)
        }
    }

    @Test func `an address of the host gets messages with the host's credentials`() async throws {
        let endpoint = EndpointStandIn()
        let session = try #require(HTTPField.Name("mcp-session-id"))
        try await endpoint.run(answer: { _ in
            var response = Response.json(200, #"{"jsonrpc":"2.0","id":1,"result":{}}"#)
            response.headers[session] = "s"
            return response
        }) { url in
            let server = MCPServer(
                name: "web",
                transport: .http(url: "\(url)/deep/mcp?x=1", headers: ["Authorization": "Bearer real"]),
                place: .host,
            )
            try await withRelay(server) { agent in
                let answer = try await agent.post(#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#)
                #expect(answer.status == 200 && answer.json?["result"] != nil)
                #expect(answer.headers.first(name: "mcp-session-id") == "s")
                #expect(try await agent.post("not json").status == 400)
            }
        }
        #expect(endpoint.seen.map(\.target) == ["/deep/mcp?x=1"])
        #expect(endpoint.seen[0].headers[.authorization] == "Bearer real")
    }
}
