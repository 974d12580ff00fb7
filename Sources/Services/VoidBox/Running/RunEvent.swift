internal import AgentRuntimes
internal import Runs
internal import Sandboxing

/// What a run tells while it works. Events of one box arrive in order; those of boxes that run at the same time are mixed.
@nonexhaustive
public enum RunEvent: Sendable {
    public struct ToolCall: Hashable, Sendable {
        public let id: String
        public let name: String
        /// What it is asked to do, in one line.
        public let summary: String
    }

    public struct ToolResult: Hashable, Sendable {
        public let id: String
        public let name: String
        public let isError: Bool
        public let output: String
    }

    public struct OutputLine: Hashable, Sendable {
        public let text: String
        public let isError: Bool
    }

    case booting(box: String, backend: String)
    case ready(box: String, after: Duration)
    case stopped(box: String)
    case agentStarted(box: String, model: String?)
    /// What an agent says.
    case text(box: String, String)
    case toolCall(box: String, ToolCall)
    case toolResult(box: String, ToolResult)
    /// A line of a workflow's program, or of an agent's stderr.
    case output(step: String, OutputLine)
    /// Attempts count from 1.
    case stageStarted(String, attempt: Int)
    case stageRetrying(String, attempt: Int, after: Duration, why: String)
    /// A service has ended and is started again. Restarts count from 1.
    case serviceRestarting(String, restart: Int, after: Duration, why: String)
    /// A service has written its output anew. Versions count from 1; the text is the beginning, where it is text.
    case outputPublished(stage: String, version: Int, text: String?)
    case stageFinished(StageResult)
    case warning(box: String, String)
    /// Always the last one.
    case finished(RunResult)
}

extension RunEvent {
    init?(_ event: Runs.RunEvent) {
        switch event {
        case .booting(let box, let backend): self = .booting(box: box, backend: backend.rawValue)
        case .ready(let box, let duration): self = .ready(box: box, after: duration)
        case .stopped(let box): self = .stopped(box: box)
        case .agent(let box, let event): self.init(event, of: box)
        case .stageStarted(let stage, let attempt): self = .stageStarted(stage.name, attempt: attempt)
        case .stageOutput(let stage, let stream, let text):
            self = .output(step: stage.name, OutputLine(text: text, isError: stream == .stderr))
        case .stageOutputClosed(let stage, let dropped):
            self = .warning(box: stage.box, "step \(stage.name): \(dropped) more bytes of output are not told")
        case .stageRetrying(let stage, let attempt, let delay, let why):
            self = .stageRetrying(stage.name, attempt: attempt, after: delay, why: why)
        case .stageRestarting(let stage, let restart, let delay, let why):
            self = .serviceRestarting(stage.name, restart: restart, after: delay, why: why)
        case .outputPublished(let stage, let version):
            self = .outputPublished(stage: stage.name, version: version.number, text: version.text)
        case .stageFinished(_, let report): self = .stageFinished(StageResult(report))
        case .warning(let box, let text): self = .warning(box: box, text)
        case .planned, .stageReady, .waiting: return nil
        }
    }

    private init?(_ event: AgentEvent, of box: String) {
        switch event {
        case .started(_, let model): self = .agentStarted(box: box, model: model)
        case .text(let text): self = .text(box: box, text)
        case .toolStarted(let id, let name, let summary):
            self = .toolCall(box: box, ToolCall(id: id, name: name, summary: summary))
        case .toolFinished(let id, let name, let isError, let output):
            self = .toolResult(box: box, ToolResult(id: id, name: name, isError: isError, output: output))
        case .stderr(let line): self = .output(step: box, OutputLine(text: line, isError: true))
        case .warning(let text): self = .warning(box: box, text)
        }
    }
}
