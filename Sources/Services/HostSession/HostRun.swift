package import AgentRuntimes
internal import LinuxSystem
package import Logging
internal import OTLPExport
package import Runs
package import Spec

/// A specification carried out by this process: on the backends of this host, with telemetry to where it or the environment
/// says.
package struct HostRun: Sendable {
    private let spec: Spec
    private let file: String
    private let environment: [String: String]
    private let logger: Logger
    private let exporter: TelemetryExport?
    private let makeBackend: SpecRunner.BackendFactory

    /// Throws for telemetry settings that make no sense.
    package init(
        _ spec: Spec,
        file: String,
        environment: [String: String],
        logger: Logger,
        makeBackend: SpecRunner.BackendFactory? = nil,
    ) throws(RunFailure) {
        self.spec = spec
        self.file = file
        self.environment = environment
        self.logger = logger
        self.makeBackend = makeBackend ?? { try HostBackends.make($0, environment: environment) }
        exporter = try TelemetryExport(of: spec, environment: environment, logger: logger)
    }

    /// Runs to the end, and until its telemetry was sent. Whatever goes wrong is in the report.
    package func run(
        input: String?,
        control: RunControl = RunControl(),
        directories: RunDirectories? = nil,
        terminal: AgentTerminal? = nil,
        observe: @escaping RunObserver,
    ) async -> RunReport {
        let runner = SpecRunner(
            spec,
            file: file,
            environment: environment,
            logger: logger,
            telemetry: exporter.map { RunTelemetry(sink: $0.sink, remote: $0.remote, now: { HostFacts.now }) },
            makeBackend: makeBackend,
            observe: observe,
            control: control,
            directories: directories,
            terminal: terminal,
        )
        let report = await runner.run(input: input)
        // In a task of its own: what ends the run must not end what is told of it.
        await Task { await exporter?.sink.shutdown(within: .seconds(5)) }.value
        return report
    }
}
