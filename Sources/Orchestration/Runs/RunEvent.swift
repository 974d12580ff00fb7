package import AgentRuntimes
package import Sandboxing

/// What a run tells while it works, for people who watch and for its record.
package enum RunEvent: Sendable {
    /// All stages, before the first one starts.
    case planned([StagePlan])
    case booting(box: String, backend: BackendName)
    case ready(box: String, after: Duration)
    case stopped(box: String)
    case agent(box: String, AgentEvent)
    /// Attempts count from 1.
    case stageStarted(StageName, attempt: Int)
    /// A line of a step, or a piece of a long one.
    case stageOutput(StageName, OutputStream, String)
    /// The rest of a step's output is not told; so much it is.
    case stageOutputClosed(StageName, droppedBytes: UInt64)
    case stageReady(StageName, after: Duration)
    case stageRetrying(StageName, attempt: Int, after: Duration, why: String)
    /// A service that has ended is started again; restarts count from 1.
    case stageRestarting(StageName, restart: Int, after: Duration, why: String)
    /// A service has written its output anew.
    case outputPublished(StageName, OutputVersion)
    case stageFinished(StageName, StageReport)
    /// Only a sandbox: it is there until it is told to end.
    case waiting(box: String)
    case warning(box: String, String)
}

/// A stage of a run and the box it runs in.
package struct StageName: Hashable, Sendable {
    package var box: String
    package var name: String
    /// Those that may run at the same time share one.
    package var group: Int
    /// False for a box with an agent, which is a stage as a whole.
    package var isStep: Bool

    /// A step of a workflow.
    package init(box: String, step: String, group: Int = 0) {
        self.box = box
        name = step
        self.group = group
        isStep = true
    }

    package init(ofBox box: String, group: Int = 0) {
        self.box = box
        name = box
        self.group = group
        isStep = false
    }
}

package struct StagePlan: Hashable, Sendable {
    package var stage: StageName
    package var dependsOn: [String]

    package init(_ stage: StageName, dependsOn: [String] = []) {
        self.stage = stage
        self.dependsOn = dependsOn
    }
}

package enum OutputStream: String, Sendable {
    case stdout, stderr
}

/// Gets the events of a run. Those of one stage arrive in order; stages that run at the same time call at the same time.
package typealias RunObserver = @Sendable (RunEvent) async -> Void
