internal import AgentRuntimes
internal import Foundation
internal import LinuxSystem
internal import Logging
internal import OTLPExport
internal import Runs
internal import Spec
internal import Synchronization

/// A run of this process: recorded, traced, shown while it works, and stopped by Ctrl-C.
final class RunSession: Sendable {
    private let spec: Spec
    private let file: String
    private let environment = ProcessInfo.processInfo.environment
    private let logger: Logger
    private let reporter: LiveReporter
    private let record: RecordedRun?
    private let exporter: Spec.Exporter?
    private let booted = Atomic(false)

    /// Nil for a run that is not recorded.
    var recorded: (id: RunID, directory: String)? { record.map { ($0.id, $0.directory) } }

    /// True once there was a box.
    var hasBooted: Bool { booted.load(ordering: .relaxed) }

    init(_ spec: Spec, file: String, log: LogOptions, _ output: OutputFormat, isQuiet: Bool) throws {
        self.spec = spec
        self.file = file
        logger = try log.logger("voidbox")
        reporter = LiveReporter(isQuiet: isQuiet)
        exporter = try spec.exporter(environment: environment, logger: logger, output)
        record = RecordedRun.begin(spec, file: file, environment: environment)
        if let record, !isQuiet { Console.error("run \(record.id)") }
    }

    /// Runs to the end. Whatever goes wrong is in the report.
    func run(input: String?, terminal: AgentTerminal? = nil) async throws -> RunReport {
        let runner = SpecRunner(
            spec,
            file: file,
            environment: environment,
            logger: logger,
            telemetry: exporter.map { RunTelemetry(sink: $0.sink, remote: $0.remote, now: { HostFacts.now }) },
            makeBackend: { [environment] in try HostBackends.make($0, environment: environment) },
            observe: { [self] event in
                if case .ready = event { booted.store(true, ordering: .relaxed) }
                record?.observe(event)
                reporter.report(event)
            },
            control: record?.control ?? RunControl(),
            directories: record?.directories,
            terminal: terminal,
        )
        let (result, _) = try await interruptible { [record, exporter] in
            let report =
                if let record {
                    await record.listening { await runner.run(input: input) }
                } else {
                    await runner.run(input: input)
                }
            // In a task of its own: what ends the run must not end what is told of it.
            await Task { await exporter?.sink.shutdown(within: .seconds(5)) }.value
            return report
        }
        var report = try result.get()
        record?.end(&report)
        return report
    }
}
