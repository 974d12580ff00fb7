internal import ModelProviders
internal import Yams

/// What a specification may say, key by key. `docs/spec.md` lists the same for people.
extension Spec {
    /// Any bytes: text that is no specification throws `SpecError` with everything that is wrong.
    package static func parse(_ bytes: [UInt8], file: String) throws(SpecError) -> Spec {
        try read(try SpecDocument.parse(bytes, file: file), file: file)
    }

    static func read(_ root: Node, file: String) throws(SpecError) -> Spec {
        let reader = SpecReader()
        let spec = reader.map(root, "", as: "a specification").flatMap { Spec($0) }
        guard let spec, reader.issues.isEmpty else {
            throw SpecError(file: file, issues: reader.issues)
        }
        return spec
    }

    private init?(_ map: MapReader) {
        self.init(name: "")
        if let version = map.string("api_version") {
            apiVersion = version
            if version != "v1" { map.report("api_version", "unsupported api_version '\(version)', expected 'v1'") }
        }
        let kind = map.word("kind", Kind.self)
        if !map.has("kind") { map.reportMissing("kind") }
        if let name = map.requiredString("name") {
            self.name = name
            if name.isBlank { map.report("name", "name cannot be empty") }
        }
        if let sandbox = map.map("sandbox") { self.sandbox = SandboxSpec(sandbox) }
        if let llm = map.map("llm") { self.llm = LLMSpec(llm) }
        if let observe = map.map("observe") { self.observe = ObserveSpec(observe) }
        let sections = (map.map("agent"), map.map("pipeline"), map.map("workflow"))
        map.finish()
        guard let kind else { return nil }
        func block(_ section: String) -> String { "\(section == "agent" ? "an" : "a") \(section) block" }
        for section in ["agent", "pipeline", "workflow"] where map.has(section) && section != kind.rawValue {
            map.report(section, "kind: \(kind.rawValue) does not accept \(block(section))")
        }
        if kind != .sandbox, !map.has(kind.rawValue) {
            map.reportMissing(kind.rawValue, "kind: \(kind.rawValue) requires \(block(kind.rawValue))")
        }
        switch kind {
        case .agent: body = .agent(sections.0.map { AgentSpec($0) } ?? AgentSpec())
        case .pipeline: body = .pipeline(sections.1.map { PipelineSpec($0) } ?? PipelineSpec())
        case .workflow: body = .workflow(sections.2.map { WorkflowSpec($0) } ?? WorkflowSpec())
        case .sandbox: body = .sandbox
        }
        switch body {
        case .workflow(let workflow) where workflow.agent == nil && map.has("llm"):
            map.report("llm", "a workflow without workflow.agent asks no model; remove llm, or name the agent")
        case .sandbox where map.has("llm"): map.report("llm", "kind: sandbox asks no model; remove llm")
        default: break
        }
        positions = map.reader.positions
    }
}

extension SandboxSpec {
    static let memoryRange = 128...1_048_576
    static let vcpuRange = 1...16

    fileprivate init(_ map: MapReader) {
        self.init()
        mode = map.word("mode") ?? .auto
        kernel = map.string("kernel")
        initramfs = map.string("initramfs")
        memoryMB = map.integer("memory_mb", in: Self.memoryRange) ?? memoryMB
        vcpus = map.integer("vcpus", in: Self.vcpuRange) ?? vcpus
        network = map.boolean("network") ?? false
        env = map.environment("env")
        mounts = (map.maps("mounts") ?? []).compactMap { MountSpec($0) }
        map.refuseRepeats("mounts", mounts.map(\.guest), "guest path")
        image = map.string("image")
        guestImage = map.string("guest_image")
        snapshot = map.string("snapshot")
        if let policy = map.map("policy") { self.policy = PolicySpec(policy) }
        map.finish()
    }
}

extension PolicySpec {
    fileprivate init(_ map: MapReader) {
        allowedPrograms = map.strings("allowed_programs")
        maxOpenFiles = map.integer("max_open_files", in: 16...1_048_576)
        maxProcesses = map.integer("max_processes", in: 1...4_194_304)
        maxFileMB = map.integer("max_file_mb", in: 1...1_048_576)
        maxMemoryMB = map.integer("max_memory_mb", in: 16...1_048_576)
        map.finish()
    }
}

extension MountSpec {
    init?(_ map: MapReader) {
        let host = map.requiredString("host")
        let guest = map.requiredString("guest")
        let mode = map.word("mode", Mode.self)
        map.finish()
        if let host, host.isBlank { map.report("host", "\(map.path).host cannot be empty") }
        guard let host, let guest else { return nil }
        do throws(GuestMountPoint.Violation) {
            self.init(host: host, guest: try GuestMountPoint(guest).path, mode: mode ?? .ro)
        } catch {
            map.report("guest", "\(map.path).guest \(error)")
            return nil
        }
    }
}

extension LLMSpec {
    init?(_ map: MapReader) {
        let provider = map.word("provider", Provider.self)
        if !map.has("provider") { map.reportMissing("provider") }
        model = map.string("model")
        baseURL = map.string("base_url")
        apiKeyEnv = map.string("api_key_env")
        credentialProxy = map.boolean("credential_proxy")
        script = map.string("script")
        map.finish()
        if let model, model.isBlank { map.report("model", "\(map.path).model cannot be empty") }
        if let baseURL { map.checkEndpoint("base_url", baseURL) }
        if let apiKeyEnv, apiKeyEnv.isBlank || apiKeyEnv.contains("=") {
            map.report("api_key_env", "\(map.path).api_key_env: \"\(apiKeyEnv)\" cannot be the name of a variable")
        }
        guard let provider else { return nil }
        self.provider = provider
        for key in ["base_url", "api_key_env"] where provider == .scripted && map.has(key) {
            map.report(key, "\(map.path).\(key) means nothing to provider: scripted; remove it")
        }
        if provider == .custom, baseURL == nil {
            map.reportMissing("base_url", "\(map.path).provider: custom requires base_url")
        }
        if provider == .scripted, script == nil {
            map.reportMissing("script", "\(map.path).provider: scripted requires script, the file with the turns")
        }
        if provider != .scripted, script != nil {
            map.report("script", "\(map.path).script is only for provider: scripted")
        }
        if credentialProxy == false {
            map.report("credential_proxy", "the model key never enters a box; credential_proxy: false is not offered")
        }
    }
}

extension ObserveSpec {
    fileprivate init(_ map: MapReader) {
        traces = map.boolean("traces") ?? traces
        metrics = map.boolean("metrics") ?? metrics
        logs = map.boolean("logs") ?? logs
        otlpEndpoint = map.string("otlp_endpoint")
        serviceName = map.string("service_name")
        telemetryBufferSize = map.integer("telemetry_buffer_size", in: 1...1_000_000)
        if let otlpEndpoint { map.checkEndpoint("otlp_endpoint", otlpEndpoint) }
        map.finish()
    }
}

extension AgentSpec {
    fileprivate init(_ map: MapReader) {
        self.init()
        mode = map.word("mode") ?? .task
        let prompt = map.string("prompt")
        skills = SkillSpec.list(map)
        timeoutSeconds = map.integer("timeout_secs", in: 1...604_800)
        outputFile = map.string("output_file")
        outputSchema = OutputSchemaSpec(map)
        outputRetries = OutputSchemaSpec.retries(map)
        if let messaging = map.map("messaging") { self.messaging = MessagingSpec(messaging) }
        if let restart = map.map("restart") { self.restart = RestartSpec(restart) }
        map.finish()
        self.prompt = prompt ?? ""
        if mode != .interactive {
            if !map.has("prompt") { map.reportMissing("prompt") }
            if let prompt, prompt.isBlank { map.report("prompt", "agent.prompt cannot be empty") }
        }
        if let outputFile { map.checkGuestPath("output_file", outputFile) }
        if mode != .service, map.has("restart") { map.report("restart", "agent.restart is only for mode: service") }
        switch mode {
        case .task: break
        case .service:
            for key in ["timeout_secs", "output_schema", "output_retries"] where map.has(key) {
                map.report(key, "agent: mode: service and \(key) are mutually exclusive")
            }
            if outputFile == nil { map.report("mode", "agent: mode: service requires output_file") }
        case .interactive:
            if map.has("timeout_secs") {
                map.report("timeout_secs", "agent: mode: interactive and timeout_secs are mutually exclusive")
            }
        }
    }
}

extension MessagingSpec {
    fileprivate init(_ map: MapReader) {
        enabled = map.boolean("enabled") ?? false
        providerBridge = map.string("provider_bridge")
        map.finish()
    }
}

extension MapReader {
    func checkGuestPath(_ key: String, _ path: String) {
        if !path.hasPrefix("/") {
            report(key, "\(self.path).\(key) must be an absolute path in the guest, not \"\(path)\"")
        }
        if path.split(separator: "/").contains("..") { report(key, "\(self.path).\(key) must not contain \"..\"") }
    }

    /// By the rules of the broker, which calls it.
    func checkEndpoint(_ key: String, _ text: String) {
        do throws(ModelProviderError) {
            _ = try EndpointURL(text)
        } catch {
            guard case .invalidURL(let shown, let reason) = error else { return report(key, error.description) }
            report(key, "\(path).\(key) \"\(shown)\" \(reason); expected for instance https://models.example.com")
        }
    }

    func environment(_ key: String) -> [String: String] {
        let variables = stringMap(key)
        for name in variables.keys where name.isEmpty || name.contains("=") || name.contains("\0") {
            report(key, "\(path).\(key): \"\(name)\" cannot be the name of a variable")
        }
        return variables
    }

    func refuseRepeats(_ key: String, _ names: [String], _ what: String, hint: String = "") {
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted { report(key, "duplicate \(what) '\(name)'\(hint)") }
    }

    /// The same of names that stand under `key` in maps of their own.
    func refuseRepeats(of key: String, _ what: String, in entries: [(place: MapReader, name: String)]) {
        var seen: Set<String> = []
        for entry in entries where !seen.insert(entry.name).inserted {
            entry.place.report(key, "duplicate \(what) '\(entry.name)'")
        }
    }
}

extension SpecReader {
    var hasIssues: Bool { !issues.isEmpty }
}

extension String {
    var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
