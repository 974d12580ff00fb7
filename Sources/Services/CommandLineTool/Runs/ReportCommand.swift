internal import ArgumentParser
internal import Foundation
internal import Runs

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Print the report of a run.",
        discussion: """
            For people as text, for programs with --output json, and with --html as one page without anything from elsewhere.

            Example: voidbox report --html 0199 > report.html
            """,
    )

    @OptionGroup var global: GlobalOptions

    @Flag(help: "A page for a browser: timeline, tokens, cost and logs.")
    var html = false

    @Argument(
        help: ArgumentHelp("A run's id, or the beginning of one.", valueName: "run"),
        completion: RecordedRuns.completion,
    )
    var reference: String

    func run() async throws {
        try await global.telling {
            let store = try RecordedRuns.store()
            let listing = try store.listing(try store.resolve(reference))
            if html {
                var page = ReportPage(listing)
                page.unreadableLines = try await store.events(of: listing.record.id, follows: false) { page.add($0) }
                try Console.out(page.html)
            } else if let report = listing.report {
                switch global.output {
                case .json: try Console.json(report)
                case .human: try Console.out(HumanReport(report).text)
                }
            } else {
                throw RunFailure(
                    .usage,
                    "the run \(listing.record.id) has no report: it \(listing.state == .running ? "is under way" : "was killed")",
                    hint: "voidbox logs and voidbox report --html tell what is known",
                )
            }
        }
    }
}
