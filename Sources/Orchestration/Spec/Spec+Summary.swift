internal import Skills

/// What `voidbox inspect` prints.
package struct SpecSummary: Codable, Hashable, Sendable {
    package struct Sandbox: Codable, Hashable, Sendable {
        package var mode: String
        package var kernel: String?
        package var initramfs: String?
        package var memoryMB: Int
        package var vcpus: Int
        package var network: Bool
        package var image: String?
        package var snapshot: String?
        package var mounts: Int
        package var envVars: Int

        package enum CodingKeys: String, CodingKey {
            case mode, kernel, initramfs
            case memoryMB = "memory_mb"
            case vcpus, network, image, snapshot, mounts
            case envVars = "env_vars"
        }
    }

    package var file: String
    package var name: String
    package var kind: String
    package var apiVersion: String
    package var provider: String
    package var model: String?
    package var sandbox: Sandbox

    package enum CodingKeys: String, CodingKey {
        case file, name, kind
        case apiVersion = "api_version"
        case provider, model, sandbox
    }
}

/// A row of `voidbox skills`.
package struct SkillRow: Codable, Hashable, Sendable {
    package var source: String
    package var value: String
}

extension Spec {
    package func summary(file: String) -> SpecSummary {
        SpecSummary(
            file: file,
            name: name,
            kind: kind.rawValue,
            apiVersion: apiVersion,
            provider: (llm?.provider ?? .claude).rawValue,
            model: llm?.model,
            sandbox: SpecSummary.Sandbox(
                mode: sandbox.mode.rawValue,
                kernel: sandbox.kernel,
                initramfs: sandbox.initramfs,
                memoryMB: sandbox.memoryMB,
                vcpus: sandbox.vcpus,
                network: sandbox.network,
                image: sandbox.image,
                snapshot: sandbox.snapshot,
                mounts: sandbox.mounts.count,
                envVars: sandbox.env.count,
            ),
        )
    }

    /// All skills, in the order of the file.
    package var skillRows: [SkillRow] {
        switch body {
        case .agent(let agent): agent.skills.map(\.row)
        case .pipeline(let pipeline): pipeline.boxes.flatMap { $0.skills.map(\.row) }
        case .workflow, .sandbox: []
        }
    }
}

extension SkillSpec {
    fileprivate var row: SkillRow {
        switch self {
        case .agent(let value): SkillRow(source: "agent", value: value)
        case .file(let value): SkillRow(source: "file", value: value)
        case .remote(let value): SkillRow(source: "remote", value: value.description)
        case .cli(let value): SkillRow(source: "cli", value: value)
        case .mcp(let server): SkillRow(source: "mcp", value: server.summary)
        case .image(let image, let mount, _): SkillRow(source: "image", value: "\(image) at \(mount)")
        case .inline(let name, _): SkillRow(source: "inline", value: name)
        }
    }
}

extension MCPServer {
    fileprivate var summary: String {
        let what =
            switch transport {
            case .stdio(let command, let args, _): ([command] + args).joined(separator: " ")
            case .http(let url, _): url
            }
        return "\(name): \(what)\(place == .host ? " (on the host)" : "")"
    }
}
