internal import Foundation
internal import LinuxSystem
internal import Runs
internal import Spec
internal import UnixSignals

/// The record of the run of this process: what it tells is written down, and what others ask of it reaches it.
struct RecordedRun: Sendable {
    let control = RunControl()
    private let journal: RunJournal
    private let recorder: RunRecorder

    var id: RunID { journal.id }

    /// Of the run, absolute.
    var directory: String { journal.directory }

    var directories: RunDirectories {
        RunDirectories(work: journal.workDirectory, artifacts: journal.artifactsDirectory)
    }

    /// Nil, with a warning, where it cannot be recorded: the run itself needs no record.
    static func begin(_ spec: Spec, file: String, environment: [String: String]) -> RecordedRun? {
        func refuse(_ why: String) -> RecordedRun? {
            Console.error("warning: the run is not recorded: \(why)")
            return nil
        }
        guard let path = StateDirectory.path(environment: environment) else {
            return refuse("neither HOME nor VOIDBOX_STATE_DIR says where")
        }
        guard let process = ProcessIdentity.current else { return refuse("/proc is not mounted") }
        let record = RunRecord(
            id: RunID.make(),
            name: spec.name,
            kind: spec.kind.rawValue,
            file: file == "-" ? file : RecordedRuns.absolute(file),
            mode: spec.sandbox.mode.rawValue,
            startedMilliseconds: HostFacts.unixNanoseconds / 1_000_000,
            process: process,
        )
        do {
            let journal = try RunStore(stateDirectory: RecordedRuns.absolute(path)).begin(record)
            let run = RecordedRun(journal: journal, recorder: RunRecorder(journal))
            run.recorder.start(spec, file: file)
            return run
        } catch {
            return refuse("\(error)")
        }
    }

    private init(journal: RunJournal, recorder: RunRecorder) {
        self.journal = journal
        self.recorder = recorder
    }

    func observe(_ event: RunEvent) { recorder.record(event) }

    /// Runs `body`, and meanwhile cancels stages as others ask for.
    func listening<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
        let signals = await UnixSignalsSequence(trapping: .sigusr1)
        return await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for await _ in signals {
                    for request in journal.newRequests() {
                        guard let stage = request.cancelStage else { continue }
                        control.cancel(stage: stage, reason: request.reason)
                    }
                }
            }
            let value = await body()
            group.cancelAll()
            return value
        }
    }

    /// Writes the report down. Why it was cancelled is known from whoever asked for it.
    func end(_ report: inout RunReport) {
        report.runID = id
        if report.failure?.class == .interrupted {
            for request in journal.newRequests() where request.cancelStage == nil {
                report.failure?.message = "cancelled: \(request.reason ?? "by voidbox cancel")"
            }
        }
        do {
            try journal.removeWorkDirectory()
            if let failure = journal.failure {
                report.warnings.append("events of the run were not recorded: \(failure)")
            }
            try journal.finish(report)
        } catch {
            let warning = "the run's report is not recorded: \(error)"
            report.warnings.append(warning)
            Console.error("warning: \(warning)")
        }
    }
}
