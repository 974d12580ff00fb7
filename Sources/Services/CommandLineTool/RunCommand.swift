internal import ArgumentParser
internal import Foundation
internal import LinuxSystem
internal import Logging
internal import Runs
internal import Spec

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a specification and print its report.",
        discussion: """
            Boots a fresh box, runs what the specification says, shows what happens on stderr and the report on stdout,
            and leaves nothing behind. Ctrl-C stops the box.

            Example: voidbox run --file examples/quickstart.yaml --output json
            """,
    )

    @OptionGroup var global: GlobalOptions

    @Option(name: .shortAndLong, help: "The specification, YAML or JSON.", completion: .file())
    var file: String

    @Option(name: .shortAndLong, help: "Input for the agent: it finds it in /workspace/input.json.")
    var input: String?

    @Option(help: "How to run boxes: auto, qemu or mock (no isolation). Wins over sandbox.mode.")
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
        let reporter = LiveReporter(isQuiet: quiet)
        let runner = SpecRunner(
            spec,
            file: file,
            environment: environment,
            logger: try global.logger("voidbox"),
            makeBackend: { try HostBackends.make($0, environment: environment) },
            observe: { reporter.report($0) },
        )
        let (result, wasInterrupted) = try await interruptible { [input] in try await runner.run(input: input) }
        if wasInterrupted {
            throw Console.report(RunFailure(.interrupted, "interrupted; the box was stopped"), as: global.output)
        }
        let report = try result.get()
        switch global.output {
        case .json: try Console.json(report)
        case .human: Console.out(HumanReport(report).text)
        }
        if let failure = report.failure {
            if global.output == .human { Console.error("error: \(failure)") }
            throw ExitStatus.of(failure)
        }
        if !report.success { throw ExitStatus.runFailed }
    }
}

extension SandboxSpec.Mode: ExpressibleByArgument {}

/// A report for people.
struct HumanReport {
    let text: String

    init(_ report: RunReport) {
        var lines = [
            "name:      \(report.name)",
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
                "  \(stage.status.rawValue)\t\(stage.name)\t\(stage.durationMilliseconds) ms\(stage.error.map { "\t\($0)" } ?? "")"
            }
        }
        if !report.output.isEmpty { lines += ["output:", report.output] }
        text = lines.joined(separator: "\n")
    }
}
