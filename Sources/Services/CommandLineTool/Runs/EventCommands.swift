internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import Runs

/// What the commands that read the events of a run have in common.
struct EventOptions: ParsableArguments {
    @OptionGroup var global: GlobalOptions

    @Flag(name: .shortAndLong, help: "Go on until the run has ended.")
    var follow = false

    @Option(help: "Only of this stage, box or step.")
    var stage: String?

    @Argument(help: "A run's id, or the beginning of one.", completion: RecordedRuns.completion)
    var run: String

    func read(_ body: @escaping @Sendable (RecordedEvent) throws -> Void) async throws {
        try await global.telling {
            let store = try RecordedRuns.store()
            let id = try store.resolve(run)
            let unreadable = try await store.events(of: id, follows: follow) { event in
                if let stage, (event.stageName ?? event.boxName) != stage { return }
                try body(event)
            }
            if unreadable > 0 { Console.error("warning: \(unreadable) lines of the run's events cannot be read") }
        }
    }
}

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs",
        abstract: "Print what a run said and did, for people.",
    )

    @OptionGroup var options: EventOptions

    func run() async throws {
        try await options.read { event in
            guard let line = LogLine(event) else { return }
            try Console.out(line.text)
        }
    }
}

/// An event as a line of a log, such as `09:41:07 [vm:analyst] tool: Bash  ls -l`; nil for one that nobody reads.
struct LogLine {
    let text: String

    init?(_ event: RecordedEvent) {
        let message = TerminalText.line(event.message)
        let stage = event.stageName.map { TerminalText.line($0) }
        let box = TerminalText.line(event.boxName ?? event.stageName ?? "run")
        let place = stage == nil || event.stageName == event.boxName ? "" : "[\(stage ?? "")] "
        let words: String
        switch event.type {
        case .stageQueued, .specLoaded, .workflowPlanned: return nil
        case .logChunk where event.stream == "agent":
            let lines = event.message.split(whereSeparator: \.isNewline).map { TerminalText.line(String($0)) }
            words = lines.joined(separator: "\n           ")
        case .logChunk: words = event.stream == "stderr" ? "stderr: \(message)" : message
        case .toolStarted: words = "tool: \(message)"
        case .toolFinished:
            guard event.level != .info else { return nil }
            words = "tool failed: \(message)"
        case .warning, .logClosed: words = "warning: \(message)"
        case .stageRetrying: words = "failed, will be tried again: \(message)"
        case .stageRestarting: words = "is started again: \(message)"
        case .stageFailed, .stageSkipped, .stageCancelled:
            words = "\(event.type.rawValue.dropFirst("stage.".count)): \(message)"
        default: words = message
        }
        text = "\(Self.clock(event.timestampMilliseconds)) [vm:\(box)] \(place)\(words)"
    }

    private static func clock(_ milliseconds: Int64) -> String {
        String(TimeText.moment(milliseconds).suffix(8))
    }
}

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events",
        abstract: "Print the events of a run, a JSON object on each line, for programs.",
        discussion: "The types and fields are in docs/runs.md.",
    )

    @OptionGroup var options: EventOptions

    func run() async throws {
        try await options.read { event in
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            try Console.out(TerminalText.safeJSON(String(decoding: try encoder.encode(event), as: UTF8.self)))
        }
    }
}
