internal import Primitives

/// What the timeline of a report shows: rows with bars, in milliseconds from the start of the run.
struct ReportTimeline {
    struct Bar {
        enum Kind: String {
            case boot, stage, service, tool, failed, cancelled, wait
        }

        var kind: Kind
        var start: Int64
        /// Nil while it had not ended when the last event was written.
        var end: Int64?
        var label: String
    }

    struct Row {
        var title: String
        var note = ""
        var isStage = true
        var bars: [Bar] = []
    }

    /// A stage with more calls of tools shows the first ones and says how many there are.
    static let maxToolsPerStage = 200

    private var order: [String] = []
    private var rows: [String: Row] = [:]
    private var tools: [String: [Bar]] = [:]
    private var toolNumbers: [String: (stage: String, number: Int)] = [:]
    private(set) var uncountedTools: [String: Int] = [:]
    private var boots: [String: Int64] = [:]
    private(set) var end: Int64 = 1
    private let origin: Int64

    init(origin: Int64) {
        self.origin = origin
    }

    mutating func add(_ event: RecordedEvent) {
        let time = max(event.timestampMilliseconds - origin, 0)
        end = max(end, time)
        let box = event.boxName ?? ""
        let stage = event.stageName ?? box
        switch event.type {
        case .stageQueued: row(stage) { _ in }
        case .environmentProvisioned: boots[box] = time
        case .boxStarted:
            guard let start = boots.removeValue(forKey: box) else { return }
            row(box) { $0.bars.append(Bar(kind: .boot, start: start, end: time, label: "boot")) }
        case .stageStarted: row(stage) { $0.bars.append(Bar(kind: .stage, start: time, label: stage)) }
        case .stageReady: row(stage) { $0.note = "ready" }
        case .stageRetrying: close(stage, at: time, .failed, event.message)
        case .stageRestarting: row(stage) { $0.note = "restarted: \(event.message)" }
        case .stageCompleted: close(stage, at: time, .stage, "succeeded")
        case .stageFailed: close(stage, at: time, .failed, "failed")
        case .stageCancelled: close(stage, at: time, .cancelled, "cancelled")
        case .stageSkipped: row(stage) { $0.note = "skipped" }
        case .toolStarted: startTool(event, stage, time)
        case .toolFinished: finishTool(event, time)
        default: break
        }
    }

    private mutating func row(_ name: String, _ change: (inout Row) -> Void) {
        if rows[name] == nil { order.append(name) }
        change(&rows[name, default: Row(title: name)])
    }

    private mutating func close(_ stage: String, at time: Int64, _ kind: Bar.Kind, _ note: String) {
        row(stage) { row in
            row.note = note
            guard let open = row.bars.lastIndex(where: { $0.end == nil }) else { return }
            row.bars[open].end = time
            row.bars[open].kind = kind
        }
    }

    private mutating func startTool(_ event: RecordedEvent, _ stage: String, _ time: Int64) {
        row(stage) { _ in }
        let count = tools[stage]?.count ?? 0
        guard count < Self.maxToolsPerStage else {
            uncountedTools[stage, default: 0] += 1
            return
        }
        tools[stage, default: []].append(Bar(kind: .tool, start: time, label: event.message))
        if let id = event.payload?["tool_use_id"]?.stringValue { toolNumbers["\(stage)/\(id)"] = (stage, count) }
    }

    private mutating func finishTool(_ event: RecordedEvent, _ time: Int64) {
        let key = "\(event.stageName ?? event.boxName ?? "")/\(event.payload?["tool_use_id"]?.stringValue ?? "")"
        guard let (stage, number) = toolNumbers.removeValue(forKey: key) else { return }
        tools[stage]?[number].end = time
        if event.payload?["is_error"]?.boolValue == true { tools[stage]?[number].kind = .failed }
    }

    /// Each stage, and below it the calls of its agent's tools.
    var result: [Row] {
        order.flatMap { name in
            let row = rows[name] ?? Row(title: name)
            let calls = (tools[name] ?? []).map { Row(title: $0.label, isStage: false, bars: [$0]) }
            return [row] + calls
        }
    }
}
