internal import ArgumentParser
internal import Foundation
internal import Logging

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
}

/// Options of the commands that log.
struct LogOptions: ParsableArguments {
    @Option(help: "Least severe log level on stderr: trace, debug, info, notice, warning, error, critical.")
    var logLevel: String?

    func validate() throws {
        _ = try level()
    }

    func logger(_ label: String) throws -> Logger {
        var logger = Logger(label: label) { ConsoleLogHandler(label: $0) }
        logger.logLevel = try level()
        return logger
    }

    private func level() throws -> Logger.Level {
        if let logLevel { return try Self.level(logLevel, of: "--log-level") }
        let variable = "VOIDBOX_LOG_LEVEL"
        guard let name = ProcessInfo.processInfo.environment[variable], !name.isEmpty else { return .warning }
        return try Self.level(name, of: variable)
    }

    private static func level(_ name: String, of source: String) throws -> Logger.Level {
        if let level = Logger.Level(rawValue: name.lowercased()) { return level }
        let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("\(source): unknown level \"\(name)\"; expected one of \(known)")
    }
}
