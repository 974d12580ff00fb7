internal import ArgumentParser
internal import Foundation
internal import Primitives
internal import Runs
internal import Spec

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Print what a run or a specification comes to, as JSON.",
        discussion: "Name a run, or a specification with --file.",
    )

    @OptionGroup var global: GlobalOptions

    @Option(name: .shortAndLong, help: "A specification, YAML or JSON.", completion: .file())
    var file: String?

    @Argument(
        help: ArgumentHelp("A run's id, or the beginning of one.", valueName: "run"),
        completion: RecordedRuns.completion,
    )
    var reference: String?

    func validate() throws {
        if (file == nil) == (reference == nil) { throw ValidationError("name a run, or a specification with --file") }
    }

    private struct RunDetails: Encodable {
        var run: RunRow
        var directory: String
        /// The newest version of a service's output.
        var published: JSONValue?
        var report: RunReport?
    }

    func run() async throws {
        try await global.telling {
            if let file {
                try Console.json(try Spec.load(file: file).summary(file: file))
            } else if let reference {
                let store = try RecordedRuns.store()
                let listing = try store.listing(try store.resolve(reference))
                let id = listing.record.id
                var published: JSONValue?
                _ = try await store.events(of: id, follows: false) { event in
                    guard event.type == .outputReady, let payload = event.payload else { return }
                    published = .object(payload)
                }
                try Console.json(
                    RunDetails(
                        run: RunRow(listing),
                        directory: store.directoryOfRun(id),
                        published: published,
                        report: listing.report,
                    )
                )
            }
        }
    }
}
