internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import LinuxSystem
internal import Runs

struct PsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "List runs.",
        discussion: """
            Without options, the runs that are under way. A run whose process was killed is listed as such, whatever its files say: \
            each run holds a lock that ends with its process.
            """,
    )

    @OptionGroup var global: GlobalOptions

    @Flag(name: .shortAndLong, help: "List runs that have ended, too.")
    var all = false

    @Flag(name: .shortAndLong, help: "Print only ids.")
    var quiet = false

    func run() async throws {
        try await global.telling {
            let (runs, unreadable) = try RecordedRuns.store().list(includingEnded: all)
            let shown = runs.reversed().filter { all || $0.state == .running }
            for entry in unreadable { Console.error("warning: run \(entry.id) cannot be read: \(entry.reason)") }
            if quiet {
                for run in shown { try Console.out(run.record.id.text) }
                return
            }
            switch global.output {
            case .json: try Console.json(shown.map { RunRow($0) })
            case .human: try Console.out(Self.table(shown))
            }
        }
    }

    private static func table(_ runs: [RunListing]) -> String {
        let now = HostFacts.unixNanoseconds / 1_000_000
        var rows = [["RUN", "NAME", "KIND", "STATE", "STARTED", "TOOK", "COST"]]
        for run in runs {
            let took = (run.endedMilliseconds ?? now) - run.record.startedMilliseconds
            rows.append([
                run.record.id.text, TerminalText.line(String(run.record.name.prefix(40))), run.record.kind,
                run.state.rawValue, TimeText.moment(run.record.startedMilliseconds),
                TimeText.length(milliseconds: took),
                run.report?.totalCostUSD.map { String(format: "$%.4f", $0) } ?? "-",
            ])
        }
        let widths = rows[0].indices.map { column in rows.map(\.[column].count).max() ?? 0 }
        return rows.map { row in
            zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
                .trimmingCharacters(in: .whitespaces)
        }.joined(separator: "\n")
    }
}

/// A run in `ps --output json` and `inspect RUN`.
struct RunRow: Encodable {
    var id: String
    var name: String
    var kind: String
    var state: String
    var file: String
    var mode: String
    var startedMilliseconds: Int64
    var durationMilliseconds: Int64?
    var pid: Int32?
    var totalCostUSD: Double?
    var inputTokens: UInt64?
    var outputTokens: UInt64?

    enum CodingKeys: String, CodingKey {
        case id, name, kind, state, file, mode
        case startedMilliseconds = "started_ms"
        case durationMilliseconds = "duration_ms"
        case pid
        case totalCostUSD = "total_cost_usd"
        case inputTokens = "input_tokens"
        case outputTokens = "output_tokens"
    }

    init(_ run: RunListing) {
        id = run.record.id.text
        name = run.record.name
        kind = run.record.kind
        state = run.state.rawValue
        file = run.record.file
        mode = run.record.mode
        startedMilliseconds = run.record.startedMilliseconds
        durationMilliseconds = run.endedMilliseconds.map { $0 - run.record.startedMilliseconds }
        // The number of a process that is gone may be another's by now.
        pid = run.state == .running ? run.record.process.pid : nil
        totalCostUSD = run.report?.totalCostUSD
        inputTokens = run.report?.inputTokens
        outputTokens = run.report?.outputTokens
    }
}
