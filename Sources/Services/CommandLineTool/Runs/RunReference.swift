internal import ArgumentParser
internal import Foundation
internal import HostSession
internal import Runs

/// The runs of this user, as the environment says where they are recorded.
enum RecordedRuns {
    static func store() throws -> RunStore {
        guard let path = StateDirectory.path(environment: ProcessInfo.processInfo.environment) else {
            throw RunFailure(.usage, "there is no place for runs", hint: "set VOIDBOX_STATE_DIR to a directory")
        }
        return RunStore(stateDirectory: absolute(path))
    }

    /// A relative path is one of the working directory.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
    }

    /// For the shell, newest first. Nobody would see an error here.
    static let completion = CompletionKind.custom { (_: [String], _: Int, _: String) in
        ((try? store().ids()) ?? []).reversed().map(\.text)
    }
}

extension GlobalOptions {
    /// Runs the body of a command and tells why it failed, in the format asked for.
    func telling<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as StandardOutputError {
            throw error
        } catch let error as ExitStatus {
            throw error
        } catch {
            throw Console.report(RunFailure(error), as: output)
        }
    }
}

/// A moment and a length of time as people read them.
enum TimeText {
    static func moment(_ milliseconds: Int64) -> String {
        let date = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
        let style = Date.ISO8601FormatStyle(timeZone: .current).year().month().day()
            .dateTimeSeparator(.space).time(includingFractionalSeconds: false)
        return date.formatted(style)
    }

    static func length(milliseconds: Int64) -> String {
        let seconds = max(milliseconds, 0) / 1000
        switch seconds {
        case ..<10: return String(format: "%.1f s", Double(max(milliseconds, 0)) / 1000)
        case ..<60: return "\(seconds) s"
        case ..<3600: return "\(seconds / 60) min \(seconds % 60) s"
        default: return "\(seconds / 3600) h \(seconds % 3600 / 60) min"
        }
    }
}
