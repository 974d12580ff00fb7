internal import Yams

extension WorkflowSpec {
    init(_ map: MapReader) {
        self.init()
        let readers = map.maps("steps") ?? []
        let parsed = readers.compactMap { reader in WorkflowStepSpec(reader).map { (reader: reader, step: $0) } }
        steps = parsed.map(\.step)
        outputStep = map.string("output_step")
        agent = map.word("agent")
        maxParallel = map.integer("max_parallel", in: 1...1024) ?? maxParallel
        map.finish()
        if readers.isEmpty { map.reader.report(map.position, "workflow.steps cannot be empty") }
        let names = steps.map(\.name)
        map.refuseRepeats(of: "name", "step", in: parsed.map { ($0.reader, $0.step.name) })
        let byName = Dictionary(parsed.map { ($0.step.name, $0) }) { first, _ in first }
        for (reader, step) in parsed {
            let run = reader.map("run") ?? reader
            for (place, key, others) in [
                (reader, "depends_on", step.dependsOn), (run, "stdin_from", step.stdinFrom.map { [$0] } ?? []),
            ] {
                for other in others where other == step.name || byName[other] == nil {
                    let problem =
                        other == step.name
                        ? "depends on itself"
                        : "depends on '\(other)', which is not a step\(Suggestion.text(for: other, among: names))"
                    place.report(key, "step '\(step.name)' \(problem)")
                }
            }
            if let source = step.stdinFrom, byName[source]?.step.isService == true {
                run.report(
                    "stdin_from",
                    "step '\(step.name)' reads from the service '\(source)', whose output has no end"
                )
            }
        }
        if let outputStep {
            if byName[outputStep] == nil {
                let hint = Suggestion.text(for: outputStep, among: names)
                map.report("output_step", "output_step '\(outputStep)' is not a step\(hint)")
            }
        }
        if let cycle {
            let place = cycle.first.flatMap { byName[$0] }
            let key = place?.step.dependsOn.contains(cycle[1]) == true ? "depends_on" : "run"
            (place?.reader ?? map).report(
                place == nil ? "steps" : key,
                "the steps depend on each other in a circle: \(cycle.joined(separator: " -> "))",
            )
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
        dependsOn = (map.strings("depends_on") ?? []).removingRepeats()
        let mode = map.word("mode", Mode.self)
        let ready = map.map("ready")
        if let ready { service = ServiceSpec(ready) }
        let restart = map.map("restart").map { RestartSpec($0) }
        timeoutSeconds = map.integer("timeout_secs", in: 1...604_800)
        retry = map.map("retry").map { RetrySpec($0) } ?? RetrySpec()
        map.finish()
        let program = run?.requiredString("program")
        args = run?.strings("args") ?? []
        stdinFrom = run?.string("stdin_from")
        run?.finish()
        if mode == nil, ready != nil { map.report("ready", "\(map.path).ready is only for mode: service") }
        if mode == nil, restart != nil { map.report("restart", "\(map.path).restart is only for mode: service") }
        if mode == .service {
            service = service ?? ServiceSpec()
            service?.restart = restart ?? RestartSpec()
        } else {
            service = nil
        }
        guard let name, let program else { return nil }
        self.name = name
        self.program = program
        if name.isBlank { map.report("name", "\(map.path).name cannot be empty") }
        if program.isBlank { run?.report("program", "\(map.path).run.program cannot be empty") }
        for key in ["timeout_secs", "retry"] where mode == .service && map.has(key) {
            map.report(key, "step '\(name)': mode: service and \(key) are mutually exclusive")
        }
    }
}

extension ServiceSpec {
    fileprivate init(_ map: MapReader) {
        self.init()
        let conditions = ["log_contains", "file", "port"].filter { map.has($0) }
        let log = map.string("log_contains")
        let file = map.string("file")
        let port = map.integer("port", in: 1...65535)
        readyTimeoutSeconds = map.integer("timeout_secs", in: 1...86400) ?? readyTimeoutSeconds
        map.finish()
        if conditions.count != 1 {
            map.reader.report(map.position, "\(map.name) needs exactly one of log_contains, file and port")
        }
        if let log {
            readiness = .log(log)
            if log.isEmpty { map.report("log_contains", "\(map.name).log_contains cannot be empty") }
        } else if let file {
            readiness = .file(file)
            map.checkGuestPath("file", file)
        } else if let port {
            readiness = .port(UInt16(port))
        }
    }
}

extension [String] {
    fileprivate func removingRepeats() -> [String] {
        var seen: Set<String> = []
        return filter { seen.insert($0).inserted }
    }
}
