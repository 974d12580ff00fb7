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
        case .stepStarted(let box, let step): say(box, "step \(step) started")
        case .stepOutput(let box, let step, let line): say(box, "[\(step)] \(TerminalText.safe(line))")
        case .stepFinished(let box, let stage):
            let why = stage.error.map { ": \(TerminalText.safe($0))" } ?? ""
            say(box, "step \(stage.name) \(stage.status.rawValue)\(why) (\(stage.durationMilliseconds) ms)")
        case .waiting(let box): say(box, "ready; press Ctrl-C to end it")
        case .warning(let box, let text): Console.error("[vm:\(box)] warning: \(TerminalText.safe(text))")
        }
    }

    private func report(_ event: AgentEvent, _ box: String) {
        switch event {
        case .started(_, let model): say(box, "agent started, model \(TerminalText.safe(model ?? "unknown"))")
        case .text(let text):
            for line in text.split(whereSeparator: \.isNewline) { say(box, TerminalText.safe(String(line))) }
        case .toolStarted(_, let name, let summary):
            say(box, "tool: \(TerminalText.safe(name))  \(TerminalText.safe(summary))")
        case .toolFinished(_, let name, let isError, let output):
            if isError {
                let first = output.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
                say(box, "tool failed: \(TerminalText.safe(name))  \(TerminalText.safe(first))")
            }
        case .stderr(let line): say(box, "stderr: \(TerminalText.safe(line))")
        case .warning(let text): Console.error("[vm:\(box)] warning: \(TerminalText.safe(text))")
        }
    }

    private func say(_ box: String, _ text: String) {
        if !isQuiet { Console.error("[vm:\(TerminalText.safe(box))] \(text)") }
    }
}

/// Text from a guest on its way to a terminal.
enum TerminalText {
    /// Without control characters, which could move the cursor or set the title, and not longer than a few lines.
    static func safe(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.prefix(1000).map { isControl($0) ? " " : $0 }))
    }

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
    }
}
