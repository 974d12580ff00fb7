internal import AgentRuntimes
internal import HostSession
internal import Primitives
internal import Runs
internal import Sandboxing

/// Tells on stderr what happens, a line at a time: `[vm:NAME] tool: Bash  ls -l`.
struct LiveReporter: Sendable {
    /// Only warnings, for programs that read the report.
    let isQuiet: Bool

    func report(_ event: RunEvent) {
        switch event {
        case .booting(let box, let backend): say(box, "starting a \(backend.rawValue) box")
        case .ready(let box, let duration): say(box, "ready after \(duration.wholeMilliseconds) ms")
        case .agent(let box, let event): report(event, box)
        case .planned, .stopped: break
        case .stageStarted(let stage, let attempt):
            let again = attempt == 1 ? "" : " again, attempt \(attempt)"
            // Of a box that is the stage, what follows says as much.
            if stage.isStep || attempt > 1 { say(stage.box, "step \(line(stage.name)) started\(again)") }
        case .stageOutput(let stage, _, let text): say(stage.box, "[\(line(stage.name))] \(line(text))")
        case .stageOutputClosed(let stage, let dropped):
            say(stage.box, "[\(line(stage.name))] … \(dropped) more bytes of output are not shown")
        case .stageReady(let stage, let duration):
            say(stage.box, "step \(line(stage.name)) is ready after \(duration.wholeMilliseconds) ms")
        case .stageRetrying(let stage, let attempt, let delay, let why):
            let what = "attempt \(attempt) of \(line(stage.name)) failed, next one in \(delay.wholeMilliseconds) ms"
            say(stage.box, "\(what): \(line(why))")
        case .stageRestarting(let stage, let restart, let delay, let why):
            let what = "\(line(stage.name)) is started again (restart \(restart)) in \(delay.wholeMilliseconds) ms"
            say(stage.box, "\(what): \(line(why))")
        case .outputPublished(let stage, let version):
            let text = version.text.map { ": \(line(String($0.prefix(200))))" } ?? ""
            say(stage.box, "version \(version.number) of \(line(version.file)), \(version.sizeBytes) bytes\(text)")
        case .stageFinished(let stage, let report):
            let why = report.error.map { ": \(line($0))" } ?? ""
            let name = stage.isStep ? "step \(line(stage.name)) " : ""
            say(stage.box, "\(name)\(report.status.rawValue)\(why) (\(report.durationMilliseconds) ms)")
        case .waiting(let box): say(box, "ready; press Ctrl-C to end it")
        case .warning(let box, let text):
            Console.error("[vm:\(TerminalText.line(box))] warning: \(TerminalText.line(text))")
        }
    }

    private func report(_ event: AgentEvent, _ box: String) {
        switch event {
        case .started(_, let model): say(box, "agent started, model \(TerminalText.line(model ?? "unknown"))")
        case .text(let text):
            for line in text.split(whereSeparator: \.isNewline) { say(box, TerminalText.line(String(line))) }
        case .toolStarted(_, let name, let summary):
            say(box, "tool: \(TerminalText.line(name))  \(TerminalText.line(summary))")
        case .toolFinished(_, let name, let isError, let output):
            if isError {
                let first = output.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
                say(box, "tool failed: \(TerminalText.line(name))  \(TerminalText.line(first))")
            }
        case .stderr(let line): say(box, "stderr: \(TerminalText.line(line))")
        case .warning(let text): Console.error("[vm:\(TerminalText.line(box))] warning: \(TerminalText.line(text))")
        }
    }

    private func line(_ text: String) -> String { TerminalText.line(text) }

    private func say(_ box: String, _ text: String) {
        if !isQuiet { Console.error("[vm:\(TerminalText.line(box))] \(text)") }
    }
}
