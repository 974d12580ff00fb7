internal import AgentRuntimes
internal import Foundation
internal import HostSession
internal import Logging
internal import Runs
internal import Spec
internal import Synchronization

/// A run of this process: recorded, traced, shown while it works, and stopped by Ctrl-C.
final class RunSession: Sendable {
    private let hostRun: HostRun
    private let reporter: LiveReporter
    private let record: RecordedRun?
    private let booted = Atomic(false)

    /// Nil for a run that is not recorded.
    var recorded: (id: RunID, directory: String)? { record.map { ($0.id, $0.directory) } }

    /// True once there was a box.
    var hasBooted: Bool { booted.load(ordering: .relaxed) }

    init(_ spec: Spec, file: String, log: LogOptions, _ output: OutputFormat, isQuiet: Bool) throws {
        let environment = ProcessInfo.processInfo.environment
        reporter = LiveReporter(isQuiet: isQuiet)
        let logger = try log.logger("voidbox")
        do throws(RunFailure) {
            hostRun = try HostRun(spec, file: file, environment: environment, logger: logger)
        } catch {
            throw Console.report(error, as: output)
        }
        record = RecordedRun.begin(spec, file: file, environment: environment)
        if let record, !isQuiet { Console.error("run \(record.id)") }
    }

    /// Runs to the end. Whatever goes wrong is in the report.
    func run(input: String?, terminal: AgentTerminal? = nil) async throws -> RunReport {
        let (result, _) = try await interruptible { [self] in
            @Sendable func run() async -> RunReport {
                await hostRun.run(
                    input: input,
                    control: record?.control ?? RunControl(),
                    directories: record?.directories,
                    terminal: terminal,
                ) { [self] event in
                    if case .ready = event { booted.store(true, ordering: .relaxed) }
                    record?.observe(event)
                    reporter.report(event)
                }
            }
            guard let record else { return await run() }
            return await record.listening { await run() }
        }
        var report = try result.get()
        record?.end(&report)
        return report
    }
}
