internal import ModelProviders
internal import Yams

/// What a specification may say, key by key. `docs/spec.md` lists the same for people.
extension Spec {
    /// Any bytes: text that is no specification throws `SpecError` with everything that is wrong.
    package static func parse(_ bytes: [UInt8], file: String) throws(SpecError) -> Spec {
        let root = try SpecDocument.parse(bytes, file: file)
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
        if map.has("llm"), kind == .workflow || kind == .sandbox {
            map.report("llm", "kind: \(kind.rawValue) asks no model; remove llm")
        }
        switch kind {
        case .agent: body = .agent(sections.0.map { AgentSpec($0) } ?? AgentSpec())
        case .pipeline: body = .pipeline(sections.1.map { PipelineSpec($0) } ?? PipelineSpec())
        case .workflow: body = .workflow(sections.2.map { WorkflowSpec($0) } ?? WorkflowSpec())
        case .sandbox: body = .sandbox
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
    fileprivate init?(_ map: MapReader) {
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
    fileprivate init?(_ map: MapReader) {
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
        outputRetries = map.integer("output_retries", in: 0...10)
        if let messaging = map.map("messaging") { self.messaging = MessagingSpec(messaging) }
        map.finish()
        self.prompt = prompt ?? ""
        if mode != .interactive {
            if !map.has("prompt") { map.reportMissing("prompt") }
            if let prompt, prompt.isBlank { map.report("prompt", "agent.prompt cannot be empty") }
        }
        if let outputFile { map.checkGuestPath("output_file", outputFile) }
        if map.has("output_retries"), !map.has("output_schema") {
            map.report("output_retries", "agent.output_retries needs output_schema")
        }
        switch mode {
        case .task: break
        case .service:
            if map.has("timeout_secs") {
                map.report("timeout_secs", "agent: mode: service and timeout_secs are mutually exclusive")
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

extension PipelineSpec {
    fileprivate init(_ map: MapReader) {
        self.init()
        boxes = (map.maps("boxes") ?? []).compactMap { PipelineBoxSpec($0) }
        stages = (map.maps("stages") ?? []).compactMap { PipelineStageSpec($0) }
        map.finish()
        if boxes.isEmpty, !map.reader.hasIssues { map.reader.report(map.position, "pipeline.boxes cannot be empty") }
        map.refuseRepeats("boxes", boxes.map(\.name), "box")
        if case .fanOut? = stages.first { map.report("stages", "pipeline first stage cannot be fan_out") }
        var unused = Set(boxes.map(\.name))
        var available: [String] = []
        let byName = Dictionary(boxes.map { ($0.name, $0) }) { first, _ in first }
        let order = stages.isEmpty ? boxes.map { .box($0.name) } : stages
        for stage in order {
            for name in stage.boxes {
                guard unused.remove(name) != nil else {
                    let again = byName[name] == nil ? "" : " (it is used twice)"
                    let hint = byName[name] == nil ? Suggestion.text(for: name, among: boxes.map(\.name)) : ""
                    map.report("stages", "unknown box '\(name)'\(again)\(hint)")
                    continue
                }
                for input in byName[name]?.inputs ?? [] where !available.contains(input.from) {
                    map.report(
                        "boxes",
                        "box '\(name)' input '\(input.from)' references unknown output (available: \(available.sorted()))",
                    )
                }
            }
            available += stage.boxes.flatMap { byName[$0]?.outputs.map(\.name) ?? [] }
        }
    }
}

extension PipelineStageSpec {
    private enum Kind: String, CaseIterable {
        case box
        case fanOut = "fan_out"
    }

    fileprivate init?(_ map: MapReader) {
        let kind = map.word("type", Kind.self)
        if !map.has("type") { map.reportMissing("type") }
        let name = kind == .box ? map.requiredString("name") : nil
        let boxes = kind == .fanOut ? map.strings("boxes") : nil
        if kind == .fanOut, boxes?.isEmpty != false {
            map.reader.report(map.position, "\(map.name): fan_out needs boxes")
        }
        if kind != nil { map.finish() }
        switch kind {
        case .box: self = .box(name ?? "")
        case .fanOut: self = .fanOut(boxes ?? [])
        case nil: return nil
        }
    }
}

extension PipelineBoxSpec {
    fileprivate init?(_ map: MapReader) {
        let name = map.requiredString("name")
        let prompt = map.requiredString("prompt")
        skills = SkillSpec.list(map)
        llm = map.map("llm").flatMap { LLMSpec($0) }
        timeoutSeconds = map.integer("timeout_secs", in: 1...604_800)
        sandbox = map.map("sandbox").map { SandboxOverrideSpec($0) }
        outputs = (map.maps("outputs") ?? []).compactMap { output in
            let name = output.requiredString("name")
            let guest = output.string("guest") ?? "/workspace/output"
            output.finish()
            return name.map { PipelineOutputSpec(name: $0, guest: guest) }
        }
        inputs = (map.maps("inputs") ?? []).compactMap { input in
            let from = input.requiredString("from")
            let guest = input.string("guest") ?? "/workspace/input"
            input.finish()
            return from.map { PipelineInputSpec(from: $0, guest: guest) }
        }
        map.finish()
        guard let name, let prompt else { return nil }
        self.name = name
        self.prompt = prompt
        if prompt.isBlank { map.report("prompt", "\(map.path).prompt cannot be empty") }
    }
}

extension SandboxOverrideSpec {
    fileprivate init(_ map: MapReader) {
        memoryMB = map.integer("memory_mb", in: SandboxSpec.memoryRange)
        vcpus = map.integer("vcpus", in: SandboxSpec.vcpuRange)
        network = map.boolean("network")
        env = map.environment("env")
        mounts = (map.maps("mounts") ?? []).compactMap { MountSpec($0) }
        snapshot = map.string("snapshot")
        map.finish()
    }
}

extension WorkflowSpec {
    fileprivate init(_ map: MapReader) {
        self.init()
        let readers = map.maps("steps") ?? []
        let parsed = readers.map { ($0, WorkflowStepSpec($0)) }
        steps = parsed.compactMap(\.1)
        outputStep = map.string("output_step")
        map.finish()
        if readers.isEmpty { map.reader.report(map.position, "workflow.steps cannot be empty") }
        let names = steps.map(\.name)
        map.refuseRepeats("steps", names, "step")
        for case (let reader, let step?) in parsed {
            for (key, others) in [("depends_on", step.dependsOn), ("run", step.stdinFrom.map { [$0] } ?? [])] {
                for other in others where other == step.name || !names.contains(other) {
                    let problem =
                        other == step.name
                        ? "depends on itself"
                        : "depends on '\(other)', which is not a step\(Suggestion.text(for: other, among: names))"
                    reader.report(key, "step '\(step.name)' \(problem)")
                }
            }
        }
        if let outputStep, !names.contains(outputStep) {
            let hint = Suggestion.text(for: outputStep, among: names)
            map.report("output_step", "output_step '\(outputStep)' is not a step\(hint)")
        }
        if let cycle {
            map.report("steps", "the steps depend on each other in a circle: \(cycle.joined(separator: " -> "))")
        }
    }

    /// The names along a circle of dependencies, the first one again at the end.
    private var cycle: [String]? {
        let edges = Dictionary(steps.map { ($0.name, $0.dependencies) }) { first, _ in first }
        var done: Set<String> = []
        for start in steps.map(\.name) where !done.contains(start) {
            // Depth first with a stack of its own: a chain may be as long as the specification.
            var path = [(name: start, rest: edges[start] ?? [])]
            var onPath: Set = [start]
            while let (name, rest) = path.last {
                guard let next = rest.first else {
                    done.insert(name)
                    onPath.remove(name)
                    path.removeLast()
                    continue
                }
                path[path.count - 1].rest.removeFirst()
                if onPath.contains(next), next != name {
                    let from = path.firstIndex { $0.name == next } ?? 0
                    return path[from...].map(\.name) + [next]
                }
                if next != name, !done.contains(next), edges[next] != nil {
                    path.append((next, edges[next] ?? []))
                    onPath.insert(next)
                }
            }
        }
        return nil
    }
}

extension WorkflowStepSpec {
    private enum Mode: String, CaseIterable { case service }

    fileprivate init?(_ map: MapReader) {
        let name = map.requiredString("name")
        let run = map.map("run")
        if !map.has("run") { map.reportMissing("run") }
        dependsOn = map.strings("depends_on") ?? []
        isService = map.word("mode", Mode.self) == .service
        timeoutSeconds = map.integer("timeout_secs", in: 1...604_800)
        map.finish()
        let program = run?.requiredString("program")
        args = run?.strings("args") ?? []
        stdinFrom = run?.string("stdin_from")
        run?.finish()
        guard let name, let program else { return nil }
        self.name = name
        self.program = program
        if name.isBlank { map.report("name", "\(map.path).name cannot be empty") }
        if program.isBlank { run?.report("program", "\(map.path).run.program cannot be empty") }
        if isService, timeoutSeconds != nil {
            map.report("timeout_secs", "step '\(name)': mode: service and timeout_secs are mutually exclusive")
        }
    }

    /// The steps that must have ended before this one, each once.
    package var dependencies: [String] {
        dependsOn + (stdinFrom.map { dependsOn.contains($0) ? [] : [$0] } ?? [])
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

    func refuseRepeats(_ key: String, _ names: [String], _ what: String) {
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted { report(key, "duplicate \(what) '\(name)'") }
    }
}

extension SpecReader {
    var hasIssues: Bool { !issues.isEmpty }
}

extension String {
    var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
