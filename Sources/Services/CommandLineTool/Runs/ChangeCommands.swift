internal import ArgumentParser
internal import Runs

struct CancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Cancel a run, or one stage of it.",
        discussion: """
            A run stops its boxes, writes its report and exits 130; one that is asked a second time ends at once. With --stage, \
            only that box or step ends: what that means for the others is as if it had failed. Returns when it has happened.
            """,
    )

    @OptionGroup var global: GlobalOptions

    @Option(help: "Only this stage, box or step. May be repeated.")
    var stage: [String] = []

    @Option(help: "Why; it is in the report.")
    var reason: String?

    @Flag(help: "Kill the run's process: there is no report then.")
    var force = false

    @Argument(
        help: ArgumentHelp("A run's id, or the beginning of one.", valueName: "run"),
        completion: RecordedRuns.completion,
    )
    var reference: String

    func validate() throws {
        if force, !stage.isEmpty { throw ValidationError("--force ends a whole run; it cannot be used with --stage") }
    }

    func run() async throws {
        try await global.telling {
            let store = try RecordedRuns.store()
            let id = try store.resolve(reference)
            if force {
                try store.kill(id)
            } else if stage.isEmpty {
                try store.cancel(id, stage: nil, reason: reason)
            } else {
                return try await cancelStages(of: id, in: store)
            }
            while store.isRunning(id) { try await Task.sleep(for: .milliseconds(50)) }
        }
    }

    private func cancelStages(of id: RunID, in store: RunStore) async throws {
        var (planned, open): (Set<String>, Set<String>) = ([], [])
        _ = try await store.events(of: id, follows: false) { event in
            guard let name = event.stageName else { return }
            if event.type == .stageQueued {
                planned.insert(name)
                open.insert(name)
            } else if event.type.endsStage {
                open.remove(name)
            }
        }
        for name in stage where !open.contains(name) {
            let what = planned.contains(name) ? "has ended" : "is none of the run's; it has \(planned.sorted())"
            throw RunFailure(.usage, "the stage \"\(name)\" \(what)")
        }
        for name in stage { try store.cancel(id, stage: name, reason: reason) }
        var left = Set(stage)
        while !left.isEmpty, store.isRunning(id) {
            try await Task.sleep(for: .milliseconds(50))
            _ = try await store.events(of: id, follows: false) { event in
                if let name = event.stageName, event.type.endsStage { left.remove(name) }
            }
        }
    }
}

extension EventType {
    var endsStage: Bool { [.stageCompleted, .stageFailed, .stageSkipped, .stageCancelled].contains(self) }
}

struct RemoveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove runs that have ended, with their events, reports and artifacts.",
    )

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Ids of runs, or the beginnings of some.", completion: RecordedRuns.completion)
    var runs: [String]

    func run() async throws {
        try await global.telling {
            let store = try RecordedRuns.store()
            // All names first: a typo removes nothing.
            for id in Set(try runs.map { try store.resolve($0) }) { try store.remove(id) }
        }
    }
}
