internal import Primitives

/// What an agent is given beside its prompt: who it is, what it knows, and which programs and servers it has.
public struct Skill: Hashable, Sendable {
    /// The agents that can run in a box.
    @nonexhaustive
    public enum Agent: String, Hashable, Sendable {
        case claudeCode = "claude-code"
        /// OpenAI's, which is yours: mount the directory with its program at `/opt/codex`.
        case codex
        /// A stand-in for Claude Code that always does the same and asks no model, for tests.
        case claudio
    }

    /// Where an MCP server runs, or is reached from.
    public enum Place: String, Hashable, Sendable {
        case guest
        /// On this host, with what it knows: the box gets the protocol and nothing else.
        case host
    }

    private enum Kind: Hashable, Sendable {
        case word(String)
        case map([String: JSONValue])
    }

    private let kind: Kind

    /// The agent that does the work; Claude Code unless the model says otherwise.
    public static func agent(_ agent: Agent) -> Skill { Skill(kind: .word("agent:\(agent.rawValue)")) }

    /// A Markdown file, or a directory with `SKILL.md`, of this host. Relative to the working directory.
    public static func file(_ path: String) -> Skill { Skill(kind: .word("file:\(path)")) }

    /// A skill of a repository at a commit or tag: `owner/repository/skill@v1.2`.
    public static func remote(_ reference: String) -> Skill { Skill(kind: .word("remote:\(reference)")) }

    /// Says that the agent needs a program, which must be in the box.
    public static func cli(_ program: String) -> Skill { Skill(kind: .word("cli:\(program)")) }

    /// A skill whose text is here.
    public static func inline(_ name: String, _ content: String) -> Skill {
        Skill(kind: .map(["name": .string(name), "content": .string(content)]))
    }

    /// A server of the Model Context Protocol that speaks on its stdin and stdout.
    ///
    /// - Parameters:
    ///   - command: The program. On this host, relative to the working directory or found in `PATH`.
    ///   - arguments: The program's.
    ///   - name: What its tools are called after; without one, the program's.
    ///   - environment: An empty value copies the host's variable of that name.
    ///   - place: Where it runs.
    public static func mcp(
        _ command: String,
        _ arguments: String...,
        name: String? = nil,
        environment: [String: String] = [:],
        on place: Place = .guest,
    ) -> Skill {
        var server = Document()
        server.text("name", name)
        server.text("command", command)
        server.list("args", arguments.map { .string($0) })
        server.texts("env", environment)
        server.text("runs_on", place.rawValue)
        return Skill(kind: .map(server.members))
    }

    /// A server of the Model Context Protocol at an address. In a header, `${NAME}` stands for the host's variable.
    public static func mcp(
        _ name: String,
        url: String,
        headers: [String: String] = [:],
        on place: Place = .guest,
    ) -> Skill {
        var server = Document()
        server.text("name", name)
        server.text("url", url)
        server.texts("headers", headers)
        server.text("runs_on", place.rawValue)
        return Skill(kind: .map(server.members))
    }

    var document: JSONValue {
        switch kind {
        case .word(let text): .string(text)
        case .map(let members): .object(members)
        }
    }
}
