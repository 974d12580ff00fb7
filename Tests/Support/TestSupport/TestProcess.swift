package import Foundation
internal import LinuxSystem
internal import Synchronization
internal import Testing

/// A program that a test starts. It is killed when nobody holds it any more, and when the tests end.
///
/// Not Foundation's `Process`: on Linux that one takes a child for alive while any other process has its descriptors.
package final class TestProcess: Sendable {
    package struct Result: Sendable {
        package let status: Int32
        package let output: String
        package let errors: String
    }

    /// It did not end in the time that a test has for it.
    package struct Overdue: Error, CustomStringConvertible {
        package let description: String
    }

    /// It ended without what a test waits for.
    package struct EndedEarly: Error, CustomStringConvertible {
        package let description: String
    }

    package let pid: Int32
    private let process: Spawner.SpawnedProcess
    private let command: [String]
    private let output: TemporaryFile
    private let errors: TemporaryFile
    private let owned: [TemporaryFile]
    private let isOverdue = Atomic(false)

    private static let spawner = Swift.Result { try Spawner() }

    /// - Parameters:
    ///   - command: The program, by its path, and its arguments.
    ///   - environment: The whole of it.
    ///   - directory: Where it works; nil for where the tests do.
    ///   - standardOutput: In place of a file that `end` reads; so is `standardError`.
    ///   - owned: What goes with it.
    package static func start(
        _ command: [String],
        environment: [String: String] = ProcessInfo.processInfo.environment,
        directory: String? = nil,
        input: String? = nil,
        standardOutput: FileHandle? = nil,
        standardError: FileHandle? = nil,
        owned: [TemporaryFile] = [],
    ) async throws -> TestProcess {
        let (output, errors, typed) = (TemporaryFile(), TemporaryFile(), TemporaryFile())
        var request = SpawnRequest(
            path: try #require(command.first),
            argv: command,
            environment: environment.map { "\($0.key)=\($0.value)" },
        )
        request.workingDirectory = directory
        request.parentDeathSignal = Signal.kill
        if let input { try Data(input.utf8).write(to: typed.url) }
        // Files, not pipes: nobody has to read while it runs.
        let files = (output: try output.writingHandle(), errors: try errors.writingHandle())
        let streams = [
            try FileHandle(forReadingFrom: input == nil ? URL(filePath: "/dev/null") : typed.url),
            standardOutput ?? files.output,
            standardError ?? files.errors,
        ]
        let process = try await spawner.get().spawn(request, descriptors: streams.map(\.fileDescriptor))
        return withExtendedLifetime((streams, typed)) { TestProcess(process, command, output, errors, owned) }
    }

    private init(
        _ process: Spawner.SpawnedProcess,
        _ command: [String],
        _ output: TemporaryFile,
        _ errors: TemporaryFile,
        _ owned: [TemporaryFile],
    ) {
        self.process = process
        self.command = command
        self.output = output
        self.errors = errors
        self.owned = owned
        pid = process.pid
    }

    deinit {
        send(Signal.kill)
    }

    /// Waits for its end, to be called once. If that takes too long, or the test is cancelled, it is killed.
    package func end(within limit: Duration = .seconds(600)) async throws -> Result {
        let timer = Task {
            try await Task.sleep(for: limit)
            isOverdue.store(true, ordering: .relaxed)
            send(Signal.kill)
        }
        defer { timer.cancel() }
        let ended = try await withTaskCancellationHandler {
            try await process.waitForEnd()
        } onCancel: {
            send(Signal.kill)
        }
        try Task.checkCancellation()
        if isOverdue.load(ordering: .relaxed) {
            let what = command.joined(separator: " ")
            throw Overdue(description: "\(what) did not end within \(limit); it said: \(try errors.text)")
        }
        let status =
            switch ended {
            case .exited(let status): status
            case .signalled(let number): 128 + number
            }
        return Result(status: status, output: try output.text, errors: try errors.text)
    }

    package func send(_ signal: Int32) {
        // One that has ended needs no signal.
        try? process.signal(signal)
    }

    /// Waits until stderr contains the text, as long as `end` does; fails at once where the process ends without it.
    package func waitForError(_ text: String) async throws {
        try await eventually("stderr contains \"\(text)\"", within: .seconds(600)) {
            // Asked before reading: what was written before the end is read after it was seen.
            let hasEnded = hasEnded
            let said = try errors.text
            if said.contains(text) { return true }
            guard hasEnded else { return false }
            let what = command.joined(separator: " ")
            throw EndedEarly(description: "\(what) ended before stderr contained \"\(text)\"; it said: \(said)")
        }
    }

    /// It stays a zombie until `end` reaps it.
    private var hasEnded: Bool {
        guard let stat = HostFacts.text(of: "/proc/\(pid)/stat") else { return true }
        return stat.contains(") Z ")
    }
}

/// Looks every few milliseconds whether the condition holds; fails after the limit.
package func eventually(
    _ what: String,
    within limit: Duration = .seconds(120),
    _ condition: () async throws -> Bool,
) async throws {
    let deadline = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("not within \(limit): \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// A file that goes with its owner.
package final class TemporaryFile: Sendable {
    package let url = FileManager.default.temporaryDirectory.appending(path: "voidbox-test-\(UUID().uuidString)")

    package init() {}

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    package func writingHandle() throws -> FileHandle {
        try Data().write(to: url)
        return try FileHandle(forWritingTo: url)
    }

    package var text: String {
        get throws { try String(contentsOf: url, encoding: .utf8) }
    }
}
