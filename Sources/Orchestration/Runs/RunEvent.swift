package import AgentRuntimes
package import Sandboxing

/// What a run tells while it works, for people who watch.
package enum RunEvent: Sendable {
    case booting(box: String, backend: BackendName)
    case ready(box: String, after: Duration)
    case agent(box: String, AgentEvent)
    case stepStarted(box: String, step: String)
    case stepOutput(box: String, step: String, line: String)
    case stepFinished(box: String, StageReport)
    case waiting(box: String)
    case warning(box: String, String)
}

/// Gets the events of a run, in order.
package typealias RunObserver = @Sendable (RunEvent) async -> Void
