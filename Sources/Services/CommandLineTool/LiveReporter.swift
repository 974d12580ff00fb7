internal import AgentRuntimes
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
        case .stepStarted(let box, let step): say(box, "step \(TerminalText.line(step)) started")
        case .stepOutput(let box, let step, let line):
            say(box, "[\(TerminalText.line(step))] \(TerminalText.line(line))")
        case .stepFinished(let box, let stage):
            let why = stage.error.map { ": \(TerminalText.line($0))" } ?? ""
            say(
                box,
                "step \(TerminalText.line(stage.name)) \(stage.status.rawValue)\(why) (\(stage.durationMilliseconds) ms)"
            )
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

    private func say(_ box: String, _ text: String) {
        if !isQuiet { Console.error("[vm:\(TerminalText.line(box))] \(text)") }
    }
}
