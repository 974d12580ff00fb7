internal import Skills
internal import Yams

extension SkillSpec {
    static func list(_ map: MapReader) -> [SkillSpec] {
        var names: Set<String> = []
        var servers: Set<String> = []
        return (map.list("skills") ?? []).compactMap { index, node in
            let path = "\(map.path).skills[\(index)]"
            let position = map.reader.position(of: node)
            map.reader.note(path, position)
            let skill: SkillSpec?
            if case .scalar(let scalar) = node {
                skill = parse(scalar.string, map.reader, position)
            } else {
                skill = map.reader.map(node, path, as: path).flatMap { SkillSpec($0) }
            }
            if case .mcp(let server)? = skill, !servers.insert(server.name).inserted {
                map.reader.report(
                    position,
                    "there are two MCP servers with the name \"\(server.name)\"; give one a name"
                )
            }
            guard let name = skill?.name else { return skill }
            do throws(SkillName.Violation) {
                _ = try SkillName(name)
            } catch {
                map.reader.report(position, "the skill's name \(error)")
                return skill
            }
            if !names.insert(name).inserted {
                map.reader.report(position, "there are two skills with the name \"\(name)\"")
            }
            return skill
        }
    }

    private static func parse(_ text: String, _ reader: SpecReader, _ position: SpecPosition?) -> SkillSpec? {
        guard let colon = text.firstIndex(of: ":") else {
            reader.report(position, "invalid skill '\(text)', expected '<type>:<value>'")
            return nil
        }
        let kind = String(text[..<colon])
        let value = String(text[text.index(after: colon)...])
        if value.isBlank || value.utf8.contains(0) {
            reader.report(position, "invalid skill '\(text)', expected '<type>:<value>'")
            return nil
        }
        switch kind {
        case "agent": return .agent(value)
        case "file": return .file(value)
        case "remote":
            do throws(RemoteSkillReference.Malformed) {
                return .remote(try RemoteSkillReference(value))
            } catch {
                reader.report(position, error.description)
                return nil
            }
        case "cli": return .cli(value)
        case "mcp":
            guard !value.contains(where: \.isWhitespace) else {
                reader.report(position, "mcp:\(value) is one program; for arguments write {command: …, args: […]}")
                return nil
            }
            return mcp(
                MCPServer.name(forCommand: value),
                .stdio(command: value, args: [], env: [:]),
                .guest,
                reader,
                position
            )
        default:
            let near = Suggestion.nearest(to: kind, among: ["agent", "file", "remote", "cli", "mcp"])
            let hint = near.map { "; did you mean \"\($0)\"?" } ?? ""
            reader.report(position, "unsupported skill type '\(kind)'; use agent|file|remote|cli|mcp\(hint)")
            return nil
        }
    }

    private init?(_ map: MapReader) {
        defer { map.finish() }
        if map.has("image") {
            let image = map.requiredString("image")
            let mount = map.requiredString("mount")
            let readonly = map.boolean("readonly") ?? true
            guard let image, let mount else { return nil }
            map.checkGuestPath("mount", mount)
            self = .image(image, mount: mount, readonly: readonly)
        } else if map.has("command") || map.has("url") {
            guard let server = Self.server(map) else { return nil }
            self = server
        } else {
            let name = map.requiredString("name")
            let content = map.requiredString("content")
            guard let name, let content else { return nil }
            self = .inline(name: name, content: content)
        }
    }

    // MARK: MCP servers

    private static func server(_ map: MapReader) -> SkillSpec? {
        let name = map.string("name")
        let place = map.word("runs_on", MCPServer.Place.self) ?? .guest
        let transport: MCPServer.Transport
        if map.has("url") {
            let headers = map.stringMap("headers")
            guard let url = map.requiredString("url") else { return nil }
            map.checkEndpoint("url", url)
            for (name, value) in headers where !isHeader(name, value) {
                map.report("headers", "\(map.path).headers: \"\(name)\" or its value cannot be a field of HTTP")
            }
            transport = .http(url: url, headers: headers)
        } else {
            let args = map.strings("args") ?? []
            let env = map.environment("env")
            guard let command = map.requiredString("command") else { return nil }
            if command.isBlank { map.report("command", "\(map.path).command cannot be empty") }
            transport = .stdio(command: command, args: args, env: env)
        }
        guard let name = name ?? defaultName(transport) else {
            map.reportMissing("name", "\(map.path): a server with a url needs a name")
            return nil
        }
        return mcp(name, transport, place, map.reader, map.position)
    }

    private static func defaultName(_ transport: MCPServer.Transport) -> String? {
        switch transport {
        case .stdio(let command, _, _): MCPServer.name(forCommand: command)
        case .http: nil
        }
    }

    private static func mcp(
        _ name: String,
        _ transport: MCPServer.Transport,
        _ place: MCPServer.Place,
        _ reader: SpecReader,
        _ position: SpecPosition?,
    ) -> SkillSpec? {
        guard MCPServer.isName(name) else {
            reader.report(position, "the MCP server's name \"\(name)\" must be 1 to 64 letters, digits, - or _")
            return nil
        }
        return .mcp(MCPServer(name: name, transport: transport, place: place))
    }

    private static func isHeader(_ name: String, _ value: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ":") }
            && value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
