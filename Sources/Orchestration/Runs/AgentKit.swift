internal import AgentRuntimes
internal import Foundation
internal import LinuxSystem
internal import Logging
internal import MCPRelay
internal import ModelProviders
internal import Primitives
internal import Sandboxing
internal import SkillSources
internal import Skills
internal import Spec

/// What an agent's skills come to: texts, servers in the box, and servers of the host.
struct AgentKit: Sendable {
    let bundles: [SkillBundle]
    let guestServers: [MCPServer]
    private let hostServers: [MCPServer]
    let warnings: [String]

    /// Reads and fetches what the skills name, before there is a box.
    ///
    /// - Parameter file: The specification, which paths are relative to.
    init(_ skills: [SkillSpec], file: String, environment: [String: String]) async throws {
        var bundles: [SkillBundle] = []
        var servers: [MCPServer] = []
        for skill in skills {
            switch skill {
            case .inline(let name, let content):
                do {
                    bundles.append(try SkillBundle(name: name, text: content))
                } catch {
                    throw RunFailure(.usage, "skill \(name): \(error)")
                }
            case .file(let path):
                let place = Spec.resolve(path, relativeTo: file)
                do {
                    bundles.append(try LocalSkill.read(place, name: skill.name ?? ""))
                } catch {
                    throw RunFailure(.usage, "skill file:\(path): \(error)")
                }
            case .remote(let reference):
                do {
                    bundles.append(try await RemoteSkillStore(environment: environment).skill(reference))
                } catch let error as SkillSourceError {
                    throw RunFailure(.run, "skill \(error.message)", hint: error.hint)
                }
            case .mcp(let server): servers.append(server)
            case .agent, .cli, .image: continue
            }
        }
        self.bundles = bundles
        warnings = bundles.flatMap(\.warnings)
        guestServers = servers.filter { $0.place == .guest }
        var onHost: [MCPServer] = []
        for server in servers where server.place == .host {
            onHost.append(try server.resolved(relativeTo: file, environment: environment))
        }
        hostServers = onHost
    }

    /// Nil where nothing of the host is asked for.
    func startRelay(
        in box: any SandboxInstance,
        environment: [String: String],
        logger: Logger,
    ) async throws -> MCPRelay? {
        guard !hostServers.isEmpty else { return nil }
        return try await MCPRelay.start(hostServers, in: box, environment: environment, logger: logger)
    }
}

extension RemoteSkillStore {
    /// `VOIDBOX_SKILLS_SOURCE` and `VOIDBOX_SKILLS_TOKEN` name another source, and who asks.
    fileprivate init(environment: [String: String]) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        let home = environment["HOME"] ?? "/tmp"
        let cache = value("VOIDBOX_CACHE_DIR") ?? "\(home)/.cache/voidbox"
        var source = value("VOIDBOX_SKILLS_SOURCE") ?? Self.defaultSource
        while source.hasSuffix("/") { source.removeLast() }
        self.init(
            cacheDirectory: "\(cache)/skills",
            source: source,
            token: value("VOIDBOX_SKILLS_TOKEN").map { Secret($0) },
        )
    }
}

extension MCPServer {
    /// The server with what only this host knows filled in: the place of its program, and values of variables.
    fileprivate func resolved(relativeTo file: String, environment: [String: String]) throws -> MCPServer {
        var server = self
        switch transport {
        case .stdio(let command, let args, let env):
            let directories =
                command.contains("/")
                ? [] : (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
            let places =
                command.contains("/")
                ? [Spec.resolve(command, relativeTo: file)] : directories.map { "\($0)/\(command)" }
            guard let program = places.first(where: HostFacts.mayExecute) else {
                throw RunFailure(
                    .host,
                    "skill mcp \(name): the host has no program \(command) that can be executed",
                    hint: "install it, or write its path; relative ones are relative to the specification",
                )
            }
            var variables: [String: String] = [:]
            for (key, value) in env { variables[key] = value.isEmpty ? environment[key] ?? "" : value }
            server.transport = .stdio(command: program, args: args, env: variables)
        case .http(let url, let headers):
            var filled: [String: String] = [:]
            for (key, value) in headers { filled[key] = try expanded(value, environment) }
            server.transport = .http(url: url, headers: filled)
        }
        return server
    }

    /// `${NAME}` stands for the host's variable.
    private func expanded(_ text: String, _ environment: [String: String]) throws -> String {
        var result = ""
        var rest = text[...]
        while let start = rest.range(of: "${"), let end = rest[start.upperBound...].firstIndex(of: "}") {
            let variable = String(rest[start.upperBound..<end])
            guard let value = environment[variable] else {
                throw RunFailure(
                    .usage,
                    "skill mcp \(name): the host has no variable \(variable), which a header needs"
                )
            }
            result += rest[..<start.lowerBound] + value
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}

// MARK: Which agent

extension AgentName {
    var runtime: any AgentRuntime {
        switch self {
        case .claudeCode, .claudio: ClaudeCodeRuntime()
        case .codex: CodexRuntime()
        }
    }

    /// How the agent finds its model.
    func environment(_ provider: ModelProvider, baseURL: String, token: Secret<String>) -> [String: String] {
        speaksOpenAI
            ? provider.openAIEnvironment(baseURL: baseURL, token: token, tokenVariable: CodexRuntime.tokenVariable)
            : provider.guestEnvironment(baseURL: baseURL, token: token)
    }
}

extension AgentTask {
    /// Codex is the user's program: in a directory of the host that is mounted at `/opt/codex`, or in the box's `PATH`.
    mutating func useCodex(in box: any SandboxInstance) async throws {
        programHint = "mount the directory with the program codex at /opt/codex"
        for place in ["/opt/codex/bin/codex", "/opt/codex/codex"] {
            // What cannot be looked at cannot be run either.
            guard let info = try? await box.stat(place, followLinks: true), info.kind == .regular else { continue }
            program = place
            return
        }
        try Task.checkCancellation()
    }
}
