internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import Primitives
internal import Runs
internal import Sandboxing
internal import Spec

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
        var spec: Spec
        do throws(SpecError) {
            spec = try Spec.load(file: file).applying(environment: ProcessInfo.processInfo.environment)
        } catch {
            throw Console.report(RunFailure(error), as: global.output)
        }
        if let mode { spec.sandbox.mode = mode }
        if let warning = spec.sandbox.memoryWarning { Console.error("warning: \(warning)") }
        let session = try RunSession(spec, file: file, log: log, global.output, isQuiet: quiet)
        let report = try await session.run(input: input)
        switch global.output {
        case .json: try Console.json(report)
        // A run that failed before there was a box has nothing to report but why.
        case .human where report.failure != nil && !session.hasBooted: break
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
