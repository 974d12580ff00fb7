internal import ArgumentParser
internal import Foundation
internal import LinuxSystem
internal import Logging
internal import OTLPExport
internal import Primitives
internal import Runs
internal import Sandboxing
internal import Spec
internal import Synchronization

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a specification and print its report.",
        discussion: """
            Boots a fresh box, runs what the specification says, shows what happens on stderr and the report on stdout, \
            and leaves nothing behind. Ctrl-C stops the box; a second one ends voidbox at once, and the box with it. The run is \
            recorded: see voidbox ps, logs, events and report.

            Example: voidbox run --file examples/quickstart.yaml --output json
            """,
    )

    @OptionGroup var global: GlobalOptions

    @OptionGroup var log: LogOptions

    @Option(name: .shortAndLong, help: "The specification, YAML or JSON.", completion: .file())
    var file: String

    @Option(name: .shortAndLong, help: "Input for the agent: it finds it in /workspace/input.json.")
    var input: String?

    @Option(help: "How to run boxes: auto, kvm, qemu or mock (no isolation). Wins over sandbox.mode.")
    var mode: SandboxSpec.Mode?

    @Flag(help: "Show only warnings while it works.")
    var quiet = false

    func run() async throws {
        let environment = ProcessInfo.processInfo.environment
        var spec: Spec
        do throws(SpecError) {
            spec = try Spec.load(file: file).applying(environment: environment)
        } catch {
            throw Console.report(RunFailure(error), as: global.output)
        }
        if let mode { spec.sandbox.mode = mode }
        if let warning = spec.sandbox.memoryWarning { Console.error("warning: \(warning)") }
        let reporter = LiveReporter(isQuiet: quiet)
        let record = RecordedRun.begin(spec, file: file, environment: environment)
        if let record, !quiet { Console.error("run \(record.id)") }
        let hasBooted = Atomic(false)
        let logger = try log.logger("voidbox")
        let exporter = try spec.exporter(environment: environment, logger: logger, global.output)
        let runner = SpecRunner(
            spec,
            file: file,
            environment: environment,
            logger: logger,
            telemetry: exporter.map { RunTelemetry(sink: $0.sink, remote: $0.remote, now: { HostFacts.now }) },
            makeBackend: { try HostBackends.make($0, environment: environment) },
            observe: { event in
                if case .ready = event { hasBooted.store(true, ordering: .relaxed) }
                record?.observe(event)
                reporter.report(event)
            },
            control: record?.control ?? RunControl(),
            directories: record?.directories,
        )
        let (result, _) = try await interruptible { [input] in
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
        switch global.output {
        case .json: try Console.json(report)
        // A run that failed before there was a box has nothing to report but why.
        case .human where report.failure != nil && !hasBooted.load(ordering: .relaxed): break
        case .human: try Console.out(HumanReport(report).text)
        }
        if let failure = report.failure {
            if global.output == .human { Console.error("error: \(failure)") }
            throw ExitStatus(of: failure)
        }
        if !report.success { throw ExitStatus.runFailed }
    }
}

extension SandboxSpec.Mode: ExpressibleByArgument {}

extension SandboxSpec {
    /// What to know about the memory of this box on this host.
    var memoryWarning: String? {
        guard mode != .mock, let megabytes = UInt64(exactly: memoryMB) else { return nil }
        return HostMemory.thisHost?.warning(for: .mebibytes(megabytes))
    }
}

/// A report for people.
struct HumanReport {
    let text: String

    init(_ report: RunReport) {
        var lines = report.runID.map { ["run:       \($0)"] } ?? []
        lines += [
            "name:      \(TerminalText.line(report.name))",
            "kind:      \(report.kind)",
            "success:   \(report.success)",
            "backend:   \(report.backend)\(report.isolated ? "" : " (NOT ISOLATED)")",
            "stages:    \(report.stages)",
            "tokens:    \(report.inputTokens) in / \(report.outputTokens) out",
            "cost_usd:  \(report.totalCostUSD.map { String(format: "%.6f", $0) } ?? "unknown")",
            "duration:  \(String(format: "%.1f", Double(report.durationMilliseconds) / 1000)) s",
        ]
        if report.stageResults.count > 1 {
            lines += report.stageResults.map { stage in
                let why = stage.error.map { "\t\(TerminalText.line($0))" } ?? ""
                let name = TerminalText.line(stage.name)
                return "  \(stage.status.rawValue)\t\(name)\t\(stage.durationMilliseconds) ms\(why)"
            }
        }
        for artifact in report.artifacts ?? [] {
            lines.append("artifact:  \(TerminalText.line(artifact.path)) (\(artifact.sizeBytes) bytes)")
        }
        if !report.output.isEmpty { lines += ["output:", report.output] }
        text = lines.joined(separator: "\n")
    }
}
