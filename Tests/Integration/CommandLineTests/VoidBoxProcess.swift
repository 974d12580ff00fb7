import Foundation
import LinuxSystem
import Testing

/// Runs the built `voidbox` as a user would.
struct VoidBoxProcess {
    struct Result {
        let status: Int32
        let output: String
        let errors: String

        var json: [String: Any] {
            get throws {
                let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
                return try #require(value as? [String: Any], "stdout is no JSON object: \(output)")
            }
        }
    }

    let process = Process()
    private let output = TemporaryFile()
    private let errors = TemporaryFile()
    /// Where its runs are recorded, unless the test says.
    private let state = TemporaryFile()
    /// Finishes when the process has ended.
    private let ended: AsyncStream<Never>

    /// Instead of the program itself: a script for the shell, which knows it as `$VOIDBOX`.
    init(script: String) throws {
        try self.init([])
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script]
        process.environment?["VOIDBOX"] = Self.program?.path
    }

    init(_ arguments: [String], environment: [String: String] = [:], input: String? = nil) throws {
        let (ended, ending) = AsyncStream.makeStream(of: Never.self)
        self.ended = ended
        process.terminationHandler = { _ in ending.finish() }
        process.executableURL = Self.program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(["VOIDBOX_STATE_DIR": state.url.path]) { $1 }
            .merging(environment) { $1 }
        // Files, not pipes: nobody has to read while it runs.
        process.standardOutput = try output.writingHandle()
        process.standardError = try errors.writingHandle()
        if let input {
            let file = TemporaryFile()
            try Data(input.utf8).write(to: file.url)
            process.standardInput = try FileHandle(forReadingFrom: file.url)
        } else {
            process.standardInput = FileHandle.nullDevice
        }
    }

    /// Beside the test bundle.
    private static let program = Bundle.main.executableURL?.deletingLastPathComponent().appending(path: "voidbox")

    /// Runs to the end.
    @discardableResult
    static func run(
        _ arguments: String...,
        environment: [String: String] = [:],
        input: String? = nil,
    ) async throws -> Result {
        let command = try VoidBoxProcess(arguments, environment: environment, input: input)
        try command.process.run()
        return try await command.end()
    }

    static func run(script: String) async throws -> Result {
        let command = try VoidBoxProcess(script: script)
        try command.process.run()
        return try await command.end()
    }

    func end() async throws -> Result {
        // Not waitUntilExit, which keeps a processor busy on a thread without a run loop.
        for await _ in ended {}
        if process.isRunning {
            // The test was cancelled.
            process.terminate()
            throw CancellationError()
        }
        return Result(
            status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
            output: try output.text,
            errors: try errors.text,
        )
    }

    /// Waits until stderr contains the text; fails after two minutes.
    func waitForError(_ text: String) async throws {
        try await eventually("stderr contains \"\(text)\"") { try errors.text.contains(text) }
    }

    /// The box that this process runs, once it has one.
    var boxes: [Int32] {
        HostFacts.processes().filter { pid in
            HostFacts.text(of: "/proc/\(pid)/cmdline")?.contains("voidbox-box-\(process.processIdentifier)-") == true
        }
    }
}

/// Looks every few milliseconds whether the condition holds; fails after the limit.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(120),
    _ condition: () throws -> Bool,
) async throws {
    let deadline = ContinuousClock.now + limit
    while try !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("not within \(limit): \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// A file that goes with its owner.
final class TemporaryFile: Sendable {
    let url = FileManager.default.temporaryDirectory.appending(path: "voidbox-test-\(UUID().uuidString)")

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    func writingHandle() throws -> FileHandle {
        try Data().write(to: url)
        return try FileHandle(forWritingTo: url)
    }

    var text: String {
        get throws { try String(contentsOf: url, encoding: .utf8) }
    }
}

/// A directory with specifications, which goes with its owner.
final class SpecDirectory: Sendable {
    let url = FileManager.default.temporaryDirectory.appending(path: "voidbox-spec-\(UUID().uuidString)")

    init() throws {
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    /// Writes a file and returns its path.
    func write(_ name: String, _ text: String) throws -> String {
        let file = url.appending(path: name)
        try Data(text.utf8).write(to: file)
        return file.path
    }

    /// A specification of an agent with a scripted model.
    func agent(
        _ agent: String = "claudio",
        prompt: String = "do it",
        env: [String: String] = [:],
        sandbox: String = "",
        llm: String = "{provider: scripted, script: turns.yaml}",
        turns: String = "turns: [{text: done}]",
        timeout: Int = 300,
    ) throws -> String {
        _ = try write("turns.yaml", turns)
        let variables = env.sorted { $0.key < $1.key }.map { "    \($0.key): '\($0.value)'\n" }.joined()
        return try write(
            "agent.yaml",
            """
            kind: agent
            name: test
            sandbox:
              memory_mb: 2048
              vcpus: 2
            \(sandbox)\(variables.isEmpty ? "" : "  env:\n\(variables)")
            llm: \(llm)
            agent:
              prompt: "\(prompt)"
              skills: ["agent:\(agent)"]
              output_file: /workspace/out.txt
              timeout_secs: \(timeout)
            """,
        )
    }
}

enum Repository {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../..")
        .standardizedFileURL

    static func example(_ name: String) -> String {
        root.appending(path: "examples/\(name)").path
    }
}

extension Trait where Self == ConditionTrait {
    /// Needs QEMU and the guest. With `VOIDBOX_REQUIRE_VM=1` the test runs, and fails, without them.
    static var needsBox: Self {
        .enabled("QEMU or the guest is missing (make setup guest)") {
            let environment = ProcessInfo.processInfo.environment
            if environment["VOIDBOX_REQUIRE_VM"] == "1" { return true }
            return try await VoidBoxProcess.run("doctor").status == 0
        }
    }
}
