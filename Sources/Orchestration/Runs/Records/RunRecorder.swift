internal import AgentRuntimes
internal import Primitives
internal import Sandboxing
package import Spec
internal import Synchronization

/// Puts what a run tells into its journal, in the words of the event stream. Any thread.
package final class RunRecorder: Sendable {
    /// Of the words of one stage, in bytes of the record: its log is for people, its results have other places. What its
    /// output file says has as much once more.
    static let logLimit = 4 << 20
    /// A line is an event, which is more than its text.
    private static let lineCost = 32
    /// Of one event.
    private static let textLimit = 16 << 10

    private let journal: RunJournal
    /// By stage, of what its agent said.
    private let said: Mutex<[String: Budget]> = Mutex([:])
    /// By stage, of what its output file said.
    private let published: Mutex<[String: Budget]> = Mutex([:])

    private struct Budget {
        private var bytes = 0
        private(set) var dropped = 0

        /// False where the limit does not allow so much more.
        mutating func take(_ text: String) -> Bool {
            let cost = text.utf8.reduce(RunRecorder.lineCost) { $0 + RunRecorder.cost(of: $1) }
            guard bytes + cost <= RunRecorder.logLimit else {
                dropped += text.utf8.count
                return false
            }
            bytes += cost
            return true
        }
    }

    package init(_ journal: RunJournal) {
        self.journal = journal
    }

    package func start(_ spec: Spec, file: String) {
        var started = EventDraft(.runStarted, "run of \(spec.name) started")
        started.payload = ["name": .string(spec.name), "kind": .string(spec.kind.rawValue)]
        journal.append(started)
        var loaded = EventDraft(.specLoaded, "specification \(file) loaded")
        loaded.payload = ["file": .string(file), "api_version": .string(spec.apiVersion)]
        journal.append(loaded)
    }

    package func record(_ event: RunEvent) {
        switch event {
        case .planned(let stages): recordPlan(stages)
        case .booting(let box, let backend):
            append(.environmentProvisioned, "starting a \(backend.rawValue) box", box: box) {
                $0.mode = backend.rawValue
            }
        case .ready(let box, let duration):
            append(.boxStarted, "ready after \(duration.wholeMilliseconds) ms", box: box) {
                $0.payload = ["boot_ms": .milliseconds(duration)]
            }
        case .stopped(let box): append(.boxStopped, "the box was stopped", box: box)
        case .agent(let box, let event): record(event, box)
        case .stageStarted(let stage, let attempt):
            append(.stageStarted, "\(stage.name) started", stage) { $0.payload = ["stage_attempt": .count(attempt)] }
        case .stageOutput(let stage, let stream, let line):
            append(.logChunk, line, stage) { $0.stream = stream.rawValue }
        case .stageOutputClosed(let stage, let dropped): recordClosedLog(stage, dropped)
        case .stageReady(let stage, let duration):
            append(.stageReady, "\(stage.name) is ready", stage) { $0.payload = ["ready_ms": .milliseconds(duration)] }
        case .stageRetrying(let stage, let attempt, let delay, let why):
            append(.stageRetrying, why, stage, .warn) {
                $0.payload = ["stage_attempt": .count(attempt), "delay_ms": .milliseconds(delay)]
            }
        case .stageRestarting(let stage, let restart, let delay, let why):
            append(.stageRestarting, why, stage, .warn) {
                $0.payload = ["restart": .count(restart), "delay_ms": .milliseconds(delay)]
            }
        case .outputPublished(let stage, let version): record(version, stage)
        case .stageFinished(let stage, let report): recordEnd(of: stage, report)
        case .waiting(let box): append(.outputReady, "the box is ready", box: box)
        case .warning(let box, let text): append(.warning, text, box: box, .warn)
        }
    }

    private func recordPlan(_ stages: [StagePlan]) {
        append(.workflowPlanned, "\(stages.count) stages planned") { $0.payload = ["stages": .count(stages.count)] }
        for plan in stages {
            append(.stageQueued, "\(plan.stage.name) waits", plan.stage) {
                $0.payload = ["depends_on": .array(plan.dependsOn.map { .string($0) })]
            }
        }
    }

    /// What a byte of text takes in the record, which is JSON with a line of text in each event.
    static func cost(of byte: UInt8) -> Int {
        switch byte {
        case 0x0A: lineCost
        case 0x22, 0x5C: 2
        case 0..<0x20: 6
        default: 1
        }
    }

    private func record(_ version: OutputVersion, _ stage: StageName) {
        // A service that goes on for weeks must not fill the disk.
        let (text, isFirstWithout) = published.withLock { published -> (String?, Bool) in
            guard let text = version.text else { return (nil, false) }
            let wasFull = published[stage.name, default: Budget()].dropped > 0
            let fits = published[stage.name, default: Budget()].take(text)
            return (fits ? text : nil, !fits && !wasFull)
        }
        append(.outputReady, "version \(version.number) of \(version.file), \(version.sizeBytes) bytes", stage) {
            var payload: [String: JSONValue] = [
                "version": .count(version.number), "file": .string(version.file),
                "size_bytes": .integer(Int64(clamping: version.sizeBytes)), "media_type": .string(version.mediaType),
            ]
            payload["path"] = version.artifact.map { .string($0) }
            payload["text"] = text.map { .string($0) }
            $0.payload = payload
        }
        guard isFirstWithout else { return }
        let limit = "\(Self.logLimit >> 20) MiB of what \(stage.name) published are recorded"
        append(
            .warning,
            "\(limit); from now on its versions are without text, and only the newest is kept",
            stage,
            .warn
        )
    }

    private func recordEnd(of stage: StageName, _ report: StageReport) {
        let dropped = said.withLock { $0[stage.name]?.dropped ?? 0 }
        if dropped > 0 { recordClosedLog(stage, UInt64(dropped)) }
        let (type, level): (EventType, RecordedEvent.Level) =
            switch report.status {
            case .succeeded: (.stageCompleted, .info)
            case .failed: (.stageFailed, .error)
            case .skipped: (.stageSkipped, .warn)
            case .cancelled: (.stageCancelled, .warn)
            }
        append(type, report.error ?? "\(stage.name) \(report.status.rawValue)", stage, level) {
            $0.payload = report.payload
        }
    }

    private func recordClosedLog(_ stage: StageName, _ dropped: UInt64) {
        append(.logClosed, "\(dropped) bytes of output are not recorded", stage, .warn) {
            $0.payload = ["dropped_bytes": .integer(Int64(clamping: dropped)), "reason": .string("limit")]
        }
    }

    // MARK: Agents

    private func record(_ event: AgentEvent, _ box: String) {
        let stage = StageName(ofBox: box)
        switch event {
        case .started(let session, let model):
            append(.agentStarted, "agent started, model \(model ?? "unknown")", stage) {
                $0.payload = ["session_id": .optional(session), "model": .optional(model)]
            }
        case .text(let text): appendLog(text, stream: "agent", stage)
        case .stderr(let line): appendLog(line, stream: "stderr", stage)
        case .toolStarted(let id, let name, let summary):
            append(.toolStarted, "\(name)  \(summary)", stage) {
                $0.payload = ["tool_use_id": .string(id), "tool": .string(name), "summary": .string(summary)]
            }
        case .toolFinished(let id, let name, let isError, let output):
            append(.toolFinished, name, stage, isError ? .warn : .info) {
                $0.payload = [
                    "tool_use_id": .string(id), "tool": .string(name), "is_error": .bool(isError),
                    "output": .string(String(output.prefix(2000))),
                ]
            }
        case .warning(let text): append(.warning, text, stage, .warn)
        }
    }

    /// What an agent says, up to the limit of its stage.
    private func appendLog(_ text: String, stream: String, _ stage: StageName) {
        guard said.withLock({ $0[stage.name, default: Budget()].take(text) }) else { return }
        append(.logChunk, text, stage) { $0.stream = stream }
    }

    // MARK: Appending

    private func append(
        _ type: EventType,
        _ message: String,
        _ stage: StageName,
        _ level: RecordedEvent.Level = .info,
        _ change: (inout EventDraft) -> Void = { _ in },
    ) {
        append(type, message, box: stage.box, level) {
            $0.stage = stage.name
            $0.group = stage.group
            change(&$0)
        }
    }

    private func append(
        _ type: EventType,
        _ message: String,
        box: String? = nil,
        _ level: RecordedEvent.Level = .info,
        _ change: (inout EventDraft) -> Void = { _ in },
    ) {
        var draft = EventDraft(type, Self.shortened(message))
        draft.level = level
        draft.box = box
        change(&draft)
        journal.append(draft)
    }

    private static func shortened(_ text: String) -> String {
        guard text.utf8.count > textLimit else { return text }
        return "\(String(decoding: text.utf8.prefix(textLimit), as: UTF8.self))… (\(text.utf8.count) bytes)"
    }
}

extension EventDraft {
    /// The last event of a run.
    init(end report: RunReport) {
        switch report.state {
        case .succeeded: self.init(.runFinished, "run succeeded")
        case .cancelled: self.init(.runCancelled, report.failure?.message ?? "run cancelled")
        default: self.init(.runFailed, report.failure?.message ?? "run failed")
        }
        level = report.success ? .info : .error
        payload = [
            "duration_ms": .integer(Int64(clamping: report.durationMilliseconds)),
            "input_tokens": .integer(Int64(clamping: report.inputTokens)),
            "output_tokens": .integer(Int64(clamping: report.outputTokens)),
            "total_cost_usd": report.totalCostUSD.map { .number($0) } ?? .null,
            "stages": .count(report.stages),
        ]
    }
}

extension StageReport {
    fileprivate var payload: [String: JSONValue] {
        var payload: [String: JSONValue] = [
            "status": .string(status.rawValue), "duration_ms": .integer(Int64(clamping: durationMilliseconds)),
        ]
        payload["exit_code"] = exitCode.map { .integer(Int64($0)) }
        payload["signal"] = signal.map { .integer(Int64($0)) }
        payload["tool_calls"] = toolCalls.map { .count($0) }
        payload["error"] = error.map { .string($0) }
        if status == .skipped { payload["reason"] = payload["error"] }
        payload["stage_attempt"] = attempts.map { .count($0) }
        payload["restarts"] = restarts.map { .count($0) }
        payload["versions"] = versions.map { .count($0) }
        payload["input_tokens"] = inputTokens.map { .integer(Int64(clamping: $0)) }
        payload["output_tokens"] = outputTokens.map { .integer(Int64(clamping: $0)) }
        payload["cost_usd"] = costUSD.map { .number($0) }
        return payload
    }
}

extension JSONValue {
    fileprivate static func count(_ count: Int) -> JSONValue { .integer(Int64(count)) }
    fileprivate static func milliseconds(_ duration: Duration) -> JSONValue {
        .integer(Int64(clamping: duration.wholeMilliseconds))
    }
    fileprivate static func optional(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}
