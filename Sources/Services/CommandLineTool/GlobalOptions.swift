internal import ArgumentParser
internal import Foundation
internal import LinuxSystem
internal import Logging
internal import Runs

enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case human, json

    init?(argument: String) {
        self.init(rawValue: argument.lowercased())
    }
}

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "Output for people or for programs: human or json.")
    var output = OutputFormat.human

    @Option(help: "Least severe log level on stderr: trace, debug, info, notice, warning, error.")
    var logLevel: String?

    func logger(_ label: String) throws -> Logger {
        let name = logLevel ?? ProcessInfo.processInfo.environment["VOIDBOX_LOG_LEVEL"] ?? "warning"
        guard let level = Logger.Level(rawValue: name.lowercased()) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("unknown log level \"\(name)\"; expected one of \(known)")
        }
        var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = level
        return logger
    }
}

/// Writes to the two streams of the process, whole lines at a time.
enum Console {
    static func out(_ text: String) {
        FileHandle.standardOutput.write(Data((text + "\n").utf8))
    }

    static func error(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    static func json(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        out(String(decoding: try encoder.encode(value), as: UTF8.self))
    }

    /// Says why the command failed, in the format asked for, and returns what to exit with.
    static func report(_ failure: RunFailure, as format: OutputFormat) -> ExitCode {
        switch format {
        case .human: error("error: \(failure)")
        case .json:
            struct Envelope: Encodable { var error: RunFailure }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            do {
                error(String(decoding: try encoder.encode(Envelope(error: failure)), as: UTF8.self))
            } catch {
                self.error("error: \(failure)")
            }
        }
        return ExitStatus.of(failure)
    }
}
