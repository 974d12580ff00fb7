/// A specification file as values. `Spec.load` and `Spec.parse` make one; what they return is valid.
package struct Spec: Hashable, Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case agent, pipeline, workflow, sandbox
    }

    package enum Body: Hashable, Sendable {
        case agent(AgentSpec)
        case pipeline(PipelineSpec)
        case workflow(WorkflowSpec)
        case sandbox
    }

    package var apiVersion = "v1"
    package var name = ""
    package var sandbox = SandboxSpec()
    package var llm: LLMSpec?
    package var observe: ObserveSpec?
    package var body = Body.sandbox
    /// Where each key stands, by its path such as "sandbox.image".
    package var positions: [String: SpecPosition] = [:]

    /// A box with all defaults.
    package init(name: String) {
        self.name = name
    }

    package var kind: Kind {
        switch body {
        case .agent: .agent
        case .pipeline: .pipeline
        case .workflow: .workflow
        case .sandbox: .sandbox
        }
    }
}

package struct SandboxSpec: Hashable, Sendable {
    package enum Mode: String, Sendable, CaseIterable {
        case auto, kvm, qemu, mock, local
    }

    package var mode = Mode.auto
    package var kernel: String?
    package var initramfs: String?
    package var memoryMB = 1024
    package var vcpus = 1
    package var network = false
    /// An empty value copies the host's variable of that name.
    package var env: [String: String] = [:]
    package var mounts: [MountSpec] = []
    package var image: String?
    package var guestImage: String?
    package var snapshot: String?
    package var policy = PolicySpec()
}

package struct MountSpec: Hashable, Sendable {
    package enum Mode: String, Sendable, CaseIterable {
        case ro, rw
    }

    /// As written; relative to the directory of the specification.
    package var host: String
    package var guest: String
    package var mode: Mode

    package init(host: String, guest: String, mode: Mode) {
        self.host = host
        self.guest = guest
        self.mode = mode
    }
}

/// Limits of every exec, from the first one.
package struct PolicySpec: Hashable, Sendable {
    /// Nil: any program.
    package var allowedPrograms: [String]?
    package var maxOpenFiles: Int?
    package var maxProcesses: Int?
    package var maxFileMB: Int?
    package var maxMemoryMB: Int?
}

package struct LLMSpec: Hashable, Sendable {
    package enum Provider: String, Sendable, CaseIterable {
        case claude
        case claudePersonal = "claude-personal"
        case codex, ollama
        case lmStudio = "lm-studio"
        case custom, scripted
    }

    package var provider: Provider
    package var model: String?
    package var baseURL: String?
    /// Name of a variable of the host.
    package var apiKeyEnv: String?
    /// The key never enters a box in any case; `false` is refused.
    package var credentialProxy: Bool?
    /// Of provider `scripted`: the file with the turns, relative to the directory of the specification.
    package var script: String?
}

package struct ObserveSpec: Hashable, Sendable {
    package var traces = true
    package var metrics = true
    package var logs = true
    package var otlpEndpoint: String?
    package var serviceName: String?
    package var telemetryBufferSize: Int?
}

package struct AgentSpec: Hashable, Sendable {
    package enum Mode: String, Sendable, CaseIterable {
        case task, service, interactive
    }

    package var prompt = ""
    package var skills: [SkillSpec] = []
    package var timeoutSeconds: Int?
    package var outputFile: String?
    package var outputSchema: OutputSchemaSpec?
    package var outputRetries: Int?
    package var messaging: MessagingSpec?
    package var mode = Mode.task
    /// Of a service.
    package var restart = RestartSpec()
}

package struct MessagingSpec: Hashable, Sendable {
    package var enabled = false
    package var providerBridge: String?
}
