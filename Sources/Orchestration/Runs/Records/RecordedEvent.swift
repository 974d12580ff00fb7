package import Primitives

/// One event of a run as it is recorded: a line of JSON in `events.jsonl`. Keys are snake_case and only ever added to.
package struct RecordedEvent: Codable, Hashable, Sendable {
    /// Of the format of the line. A reader refuses none that is larger; it may miss something.
    package static let currentVersion = 1

    package enum Level: String, Codable, Sendable {
        case info, warn, error
    }

    package var version = Self.currentVersion
    /// From 1 on, each one more than the one before.
    package var seq: UInt64 = 0
    package var eventID: RunID
    package var runID: RunID
    package var attemptID = 1
    /// Milliseconds since 1970.
    package var timestampMilliseconds: Int64
    /// The same moment as RFC 3339, in UTC.
    package var timestamp: String
    package var level: Level
    package var type: EventType
    /// The same word in the second spelling, such as `StageStarted`.
    package var typeV2: String
    package var message: String
    package var environmentID: String
    package var boxName: String?
    package var stageName: String?
    /// Stages that run at the same time share one: `g0`, `g1`, …
    package var groupID: String?
    /// Of `log.chunk`: `stdout`, `stderr` or `agent`.
    package var stream: String?
    /// Which backend, on events of boxes.
    package var mode: String?
    package var payload: [String: JSONValue]?

    package enum CodingKeys: String, CodingKey {
        case version, seq
        case eventID = "event_id"
        case runID = "run_id"
        case attemptID = "attempt_id"
        case timestampMilliseconds = "ts_ms"
        case timestamp, level
        case type = "event_type"
        case typeV2 = "event_type_v2"
        case message
        case environmentID = "environment_id"
        case boxName = "box_name"
        case stageName = "stage_name"
        case groupID = "group_id"
        case stream, mode, payload
    }
}

/// What happened. Open: a reader meets types of later versions.
package struct EventType: RawRepresentable, Hashable, Sendable, Codable {
    package let rawValue: String

    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    package static let runStarted = EventType(rawValue: "run.started")
    package static let specLoaded = EventType(rawValue: "run.spec.loaded")
    package static let workflowPlanned = EventType(rawValue: "workflow.planned")
    /// A box begins to boot.
    package static let environmentProvisioned = EventType(rawValue: "env.provisioned")
    /// A box answers.
    package static let boxStarted = EventType(rawValue: "box.started")
    package static let boxStopped = EventType(rawValue: "box.stopped")
    package static let stageQueued = EventType(rawValue: "stage.queued")
    package static let stageStarted = EventType(rawValue: "stage.started")
    /// A service is ready for those that wait for it.
    package static let stageReady = EventType(rawValue: "stage.ready")
    package static let stageRetrying = EventType(rawValue: "stage.retrying")
    /// A service that has ended is started again.
    package static let stageRestarting = EventType(rawValue: "stage.restarting")
    package static let stageCompleted = EventType(rawValue: "stage.completed")
    package static let stageFailed = EventType(rawValue: "stage.failed")
    package static let stageSkipped = EventType(rawValue: "stage.skipped")
    package static let stageCancelled = EventType(rawValue: "stage.cancelled")
    package static let agentStarted = EventType(rawValue: "agent.started")
    package static let toolStarted = EventType(rawValue: "tool.started")
    package static let toolFinished = EventType(rawValue: "tool.finished")
    package static let logChunk = EventType(rawValue: "log.chunk")
    /// No more of a stage's output is recorded; its payload says why and how much that is.
    package static let logClosed = EventType(rawValue: "log.closed")
    package static let warning = EventType(rawValue: "run.warning")
    /// There is output while the run goes on: a version of a service's, or a box that only waits.
    package static let outputReady = EventType(rawValue: "run.output_ready")
    package static let runFinished = EventType(rawValue: "run.finished")
    package static let runFailed = EventType(rawValue: "run.failed")
    package static let runCancelled = EventType(rawValue: "run.cancelled")

    /// After one of these there is no other event.
    package var isTerminal: Bool { [.runFinished, .runFailed, .runCancelled].contains(self) }

    /// The second spelling: a few words of their own, else the first one without its dots.
    package var v2: String {
        switch self {
        case .specLoaded: "SpecLoaded"
        case .environmentProvisioned: "EnvironmentProvisioned"
        case .stageCompleted: "StageSucceeded"
        case .runFinished: "RunCompleted"
        default:
            rawValue.split(whereSeparator: { $0 == "." || $0 == "_" })
                .map { $0.prefix(1).uppercased() + $0.dropFirst() }
                .joined()
        }
    }
}
