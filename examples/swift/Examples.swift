import Foundation
import VoidBox

/// `voidbox-examples NAME` runs one of the examples beside this file, in the root of the repository:
///
///     swift run voidbox-examples quick-demo
///
/// Boxes with an agent have claudio, a stand-in that needs no model, wherever a real agent is not the point. For more than a
/// show, choose an agent and a model: `VOIDBOX_EXAMPLE_AGENT=claude-code VOIDBOX_LLM_PROVIDER=claude`.
@main enum Examples {
    static let all: [(name: String, run: @Sendable () async throws -> RunResult?)] = [
        ("quick-demo", { try await show(QuickDemo.pipeline) }),
        ("trading", { try await show(TradingPipeline.pipeline) }),
        ("diamond", { try await Diamond.run() }),
        ("ollama", { try await show(LocalModels.ollama) }),
        ("lm-studio", { try await show(LocalModels.lmStudio) }),
        ("remote-skills", { try await show(RemoteSkills.box) }),
        ("plan-apply", { try await show(PlanApply.pipeline) }),
        ("interactive", { try await Interactive.box.openTerminal() }),
        ("boot-diagnostics", { try await BootDiagnostics.run() }),
    ]

    static func main() async {
        let name = CommandLine.arguments.dropFirst().first
        guard let example = all.first(where: { $0.name == name }) else {
            say("usage: voidbox-examples \(all.map(\.name).joined(separator: "|"))")
            exit(2)
        }
        do {
            guard let result = try await example.run() else { return }
            print(TerminalText.safe(result.output))
            let cost = result.cost.map { String(format: "%.4f", $0) } ?? "unknown"
            say("\(result.name): \(result.tokens.input) in, \(result.tokens.output) out, cost in dollars: \(cost)")
            try result.requireSuccess()
        } catch {
            say("error: \(error)")
            exit(1)
        }
    }

    /// Runs something and tells what happens, as it happens.
    static func show(_ runnable: some Runnable) async throws -> RunResult? {
        for try await event in runnable.stream() {
            switch event {
            case .ready(let box, let duration): say("[\(box)] ready after \(duration)")
            case .text(let box, let text): say("[\(box)] \(text)")
            case .toolCall(let box, let call): say("[\(box)] tool: \(call.name)  \(call.summary)")
            case .output(let step, let line): say("[\(step)] \(line.text)")
            case .stageFinished(let stage): say("[\(stage.name)] \(stage.status)")
            case .warning(let box, let text): say("[\(box)] warning: \(text)")
            case .finished(let result): return result
            default: continue
            }
        }
        return nil
    }

    static func say(_ text: String) {
        FileHandle.standardError.write(Data((TerminalText.safe(text) + "\n").utf8))
    }

    /// The agent of an example: who runs it may want another one.
    static func agent(or usual: Skill.Agent = .claudio) -> Skill {
        let chosen = ProcessInfo.processInfo.environment["VOIDBOX_EXAMPLE_AGENT"]
        return .agent(chosen.flatMap { Skill.Agent(rawValue: $0) } ?? usual)
    }
}
