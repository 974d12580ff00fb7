internal import Yams

extension PipelineSpec {
    init(_ map: MapReader) {
        self.init()
        let readers = map.maps("boxes") ?? []
        let parsed = readers.map { ($0, PipelineBoxSpec($0)) }
        boxes = parsed.compactMap(\.1)
        let stageReaders = map.maps("stages") ?? []
        let parsedStages = stageReaders.map { ($0, PipelineStageSpec($0)) }
        stages = parsedStages.compactMap(\.1)
        maxParallel = map.integer("max_parallel", in: 1...64) ?? maxParallel
        onFailure = map.word("on_failure") ?? .stop
        retry = map.map("retry").map { RetrySpec($0) } ?? RetrySpec()
        cancelGraceSeconds = map.integer("cancel_grace_secs", in: 0...600) ?? cancelGraceSeconds
        map.finish()
        if boxes.isEmpty, !map.reader.hasIssues { map.reader.report(map.position, "pipeline.boxes cannot be empty") }
        map.refuseRepeats(of: "name", "box", in: parsed.compactMap { reader, box in box.map { (reader, $0.name) } })
        if case .fanOut? = stages.first?.work { map.report("stages", "pipeline first stage cannot be fan_out") }
        refuseRepeatedOutputs(map)
        checkFlow(map, parsedStages.compactMap { reader, stage in stage.map { (reader, $0) } })
    }

    private func refuseRepeatedOutputs(_ map: MapReader) {
        map.refuseRepeats("boxes", boxes.flatMap { $0.outputs.map(\.name) }, "output")
    }

    /// Every box is used once at most, and what it takes comes from a stage before its own.
    private func checkFlow(_ map: MapReader, _ parsed: [(MapReader, PipelineStageSpec)]) {
        var unused = Set(boxes.map(\.name))
        var available: Set<String> = []
        let byName = Dictionary(boxes.map { ($0.name, $0) }) { first, _ in first }
        for (index, stage) in plannedStages.enumerated() {
            let place = index < parsed.count ? parsed[index].0 : map
            let key = parsed.isEmpty ? "boxes" : stage.boxes.count == 1 ? "name" : "boxes"
            for name in stage.boxes {
                guard unused.remove(name) != nil else {
                    // Without stages, that is a duplicate, which is told anyway.
                    guard !parsed.isEmpty else { continue }
                    let again = byName[name] == nil ? "" : " (it is used twice)"
                    let hint = byName[name] == nil ? Suggestion.text(for: name, among: boxes.map(\.name)) : ""
                    place.report(key, "unknown box '\(name)'\(again)\(hint)")
                    continue
                }
                for input in byName[name]?.inputs ?? [] where !available.contains(input.from) {
                    map.report(
                        "boxes",
                        "box '\(name)' input '\(input.from)' references unknown output (available: \(available.sorted()))",
                    )
                }
            }
            available.formUnion(stage.boxes.flatMap { byName[$0]?.outputs.map(\.name) ?? [] })
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
        timeoutSeconds = map.integer("timeout_secs", in: 1...604_800)
        onFailure = map.word("on_failure")
        if kind != nil { map.finish() }
        switch kind {
        case .box: work = .box(name ?? "")
        case .fanOut: work = .fanOut(boxes ?? [])
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
        outputFile = map.string("output_file")
        outputSchema = OutputSchemaSpec(map)
        outputRetries = OutputSchemaSpec.retries(map)
        sandbox = map.map("sandbox").map { SandboxOverrideSpec($0) }
        outputs = (map.maps("outputs") ?? []).compactMap { output in
            let name = output.requiredString("name")
            let guest = output.mountPoint("guest", default: "/workspace/output")
            output.finish()
            return name.map { PipelineOutputSpec(name: $0, guest: guest) }
        }
        inputs = (map.maps("inputs") ?? []).compactMap { input in
            let from = input.requiredString("from")
            let guest = input.mountPoint("guest", default: "/workspace/input")
            input.finish()
            return from.map { PipelineInputSpec(from: $0, guest: guest) }
        }
        retry = map.map("retry").map { RetrySpec($0) }
        map.finish()
        guard let name, let prompt else { return nil }
        self.name = name
        self.prompt = prompt
        if name.isBlank { map.report("name", "\(map.path).name cannot be empty") }
        if prompt.isBlank { map.report("prompt", "\(map.path).prompt cannot be empty") }
        if let outputFile { map.checkGuestPath("output_file", outputFile) }
        let places = (sandbox?.mounts.map(\.guest) ?? []) + outputs.map(\.guest) + inputs.map(\.guest)
        map.refuseRepeats("name", places, "guest path", hint: "; give each input and output a `guest` of its own")
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
        for key in ["mode", "kernel", "initramfs", "policy"] where map.value(key) != nil {
            map.report(key, "\(map.path).\(key): all boxes of a pipeline share it; say it in the pipeline's `sandbox`")
        }
        map.finish()
    }
}

extension RetrySpec {
    init(_ map: MapReader) {
        self.init()
        maxAttempts = map.integer("max_attempts", in: 1...100) ?? 3
        readDelays(map)
        map.finish()
    }

    fileprivate mutating func readDelays(_ map: MapReader) {
        initialDelayMilliseconds = map.integer("initial_delay_ms", in: 0...3_600_000) ?? initialDelayMilliseconds
        backoff = map.number("backoff", in: 1...100) ?? backoff
        maxDelayMilliseconds = map.integer("max_delay_ms", in: 0...3_600_000) ?? maxDelayMilliseconds
    }
}

extension RestartSpec {
    init(_ map: MapReader) {
        self.init()
        policy = map.word("policy") ?? .onFailure
        maxRestarts = map.integer("max_restarts", in: 0...1_000_000) ?? maxRestarts
        delays.readDelays(map)
        map.finish()
    }
}

extension MapReader {
    /// Where a directory appears in a box.
    fileprivate func mountPoint(_ key: String, default usual: String) -> String {
        let text = string(key) ?? usual
        do throws(GuestMountPoint.Violation) {
            return try GuestMountPoint(text).path
        } catch {
            report(key, "\(path).\(key) \(error)")
            return text
        }
    }
}
