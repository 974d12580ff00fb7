internal import ArgumentParser
internal import Foundation
internal import Runs
internal import Spec

/// Commands that read a specification and run nothing.
struct SpecOptions: ParsableArguments {
    @OptionGroup var global: GlobalOptions

    @Option(name: .shortAndLong, help: "The specification, YAML or JSON.", completion: .file())
    var file: String

    func load() throws -> Spec {
        do throws(SpecError) {
            return try Spec.load(file: file)
        } catch {
            throw Console.report(RunFailure(error), as: global.output)
        }
    }
}

struct ValidateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check a specification.",
        discussion:
            "Every problem is a line: file, line, column, what is wrong, and what was probably meant. Exits 2 if there is one.",
    )

    @OptionGroup var options: SpecOptions

    func run() throws {
        struct Verdict: Encodable {
            var valid = true
            var file: String
            var kind: String
            var apiVersion: String
            var notBuiltYet: [String]

            enum CodingKeys: String, CodingKey {
                case valid, file, kind
                case apiVersion = "api_version"
                case notBuiltYet = "not_built_yet"
            }
        }
        let spec = try options.load()
        var notBuilt: [String] = []
        do throws(SpecError) {
            try spec.checkCapabilities(file: options.file)
        } catch {
            notBuilt = error.issues.map(\.message)
        }
        switch options.global.output {
        case .json:
            try Console.json(
                Verdict(
                    file: options.file,
                    kind: spec.kind.rawValue,
                    apiVersion: spec.apiVersion,
                    notBuiltYet: notBuilt
                )
            )
        case .human:
            try Console.out("\(options.file): valid, kind \(spec.kind.rawValue)")
            for problem in notBuilt { try Console.out("  cannot run: \(problem)") }
        }
    }
}

struct SkillsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "skills",
        abstract: "List the skills of a specification."
    )

    @OptionGroup var options: SpecOptions

    func run() throws {
        let rows = try options.load().skillRows
        switch options.global.output {
        case .json: try Console.json(rows)
        case .human:
            let width = (rows.map(\.source.count) + [6]).max() ?? 6
            try Console.out("\("source".padding(toLength: width, withPad: " ", startingAt: 0))  value")
            for row in rows {
                try Console.out("\(row.source.padding(toLength: width, withPad: " ", startingAt: 0))  \(row.value)")
            }
        }
    }
}
