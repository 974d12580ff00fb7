import Foundation
import LinuxSystem
import TestSupport
import Testing

/// The built `voidbox`, run as a user would.
enum VoidBoxProcess {
    typealias Result = TestProcess.Result

    static var program: String { get throws { try built("voidbox") } }

    /// A program of this package. They are beside the test bundle.
    static func built(_ name: String) throws -> String {
        let tests = try #require(Bundle.main.executableURL)
        return tests.deletingLastPathComponent().appending(path: name).path
    }

    /// - Parameters:
    ///   - program: What is started instead of `voidbox` itself, with its first arguments.
    ///   - environment: Beside that of the tests.
    ///   - directory: Where it works; nil for where the tests do.
    ///   - standardOutput: In place of a file that `end` reads; so is `standardError`.
    static func start(
        _ arguments: [String],
        by program: [String]? = nil,
        environment: [String: String] = [:],
        directory: String? = nil,
        input: String? = nil,
        standardOutput: FileHandle? = nil,
        standardError: FileHandle? = nil,
    ) async throws -> TestProcess {
        // Where its runs are recorded, unless the test says.
        let state = TemporaryFile()
        return try await TestProcess.start(
            (try program ?? [Self.program]) + arguments,
            environment: ProcessInfo.processInfo.environment
                .merging(["VOIDBOX": try Self.program, "VOIDBOX_STATE_DIR": state.url.path]) { $1 }
                .merging(environment) { $1 },
            directory: directory,
            input: input,
            standardOutput: standardOutput,
            standardError: standardError,
            owned: [state],
        )
    }

    /// Runs to the end.
    @discardableResult
    static func run(
        _ arguments: String...,
        environment: [String: String] = [:],
        input: String? = nil,
    ) async throws -> Result {
        try await start(arguments, environment: environment, input: input).end()
    }

    /// Runs a script for the shell, which knows the program as `$VOIDBOX`.
    static func run(script: String) async throws -> Result {
        try await start([script], by: ["/bin/sh", "-c"]).end()
    }

    /// Waits until no box of this host has lost its voidbox. What is looked at is the whole host, where other tests
    /// kill theirs meanwhile, and a box takes a moment to follow; one that stays is a leak.
    static func expectNoLeaks() async throws {
        var leaks = try await run("doctor", "--leaks")
        try await eventually("no box is left whose voidbox is gone") {
            if leaks.status != 0 { leaks = try await run("doctor", "--leaks") }
            return leaks.status == 0
        }
        #expect(leaks.status == 0, "\(leaks.output)")
    }
}

extension TestProcess {
    /// The boxes that this process runs, once it has some.
    var boxes: [Int32] {
        HostFacts.processes().filter { other in
            HostFacts.text(of: "/proc/\(other)/cmdline")?.contains("voidbox-box-\(pid)-") == true
        }
    }
}

extension TestProcess.Result {
    var json: [String: Any] {
        get throws {
            let value = try JSONSerialization.jsonObject(with: Data(output.utf8))
            return try #require(value as? [String: Any], "stdout is no JSON object: \(output)")
        }
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

    /// Where runs are recorded that belong together.
    var state: String { url.appending(path: "state").path }
    var environment: [String: String] { ["VOIDBOX_STATE_DIR": state] }

    /// Starts `voidbox` with its runs recorded here.
    func start(_ arguments: String..., environment: [String: String] = [:]) async throws -> TestProcess {
        try await VoidBoxProcess.start(arguments, environment: self.environment.merging(environment) { $1 })
    }

    /// The same to its end.
    func voidbox(_ arguments: String...) async throws -> VoidBoxProcess.Result {
        try await VoidBoxProcess.start(arguments, environment: environment).end()
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
