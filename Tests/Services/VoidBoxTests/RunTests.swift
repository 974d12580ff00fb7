import Foundation
import JSONCoding
import Primitives
import SandboxMock
import Sandboxing
import Synchronization
import Testing

@testable import VoidBox

/// Whole runs in boxes that are none.
@Suite("Runs by the library", .timeLimit(.minutes(2))) struct LibraryRunTests {
    private let turns = FileManager.default.temporaryDirectory.appending(path: "turns-\(UUID()).yaml")

    /// Runs `body` with a file for `turns`, and with these programs in every box.
    private func withMock<Result: Sendable>(
        _ programs: [String: MockProgram] = [:],
        _ body: @Sendable () async throws -> Result,
    ) async throws -> Result {
        try Data("turns: [{text: done}]".utf8).write(to: turns)
        defer { try? FileManager.default.removeItem(at: turns) }
        let host = Host(environment: [:], makeBackend: { _ in MockBackend(programs: programs) })
        return try await Host.$current.withValue(host) { try await body() }
    }

    private func agent(_ name: String) -> VoidBox {
        VoidBox(name).skill(.agent(.claudio)).llm(.scripted(turns.path)).prompt("say \(name)")
    }

    /// An agent that answers with this text; with one that begins with FAIL, it fails.
    private func answering(
        _ text: @escaping @Sendable (_ prompt: String) async throws -> String
    ) -> [String: MockProgram] {
        let program = MockProgram { process in
            var prompt: [UInt8] = []
            while let bytes = try await process.read() { prompt += bytes }
            let text = try await text(String(decoding: prompt, as: UTF8.self))
            let isError = text.hasPrefix("FAIL")
            let saying: JSONValue = .object([
                "type": .string("assistant"),
                "message": .object([
                    "id": .string("m"), "role": .string("assistant"),
                    "content": .array([.object(["type": .string("text"), "text": .string("thinking")])]),
                ]),
            ])
            let end: JSONValue = .object([
                "type": .string("result"), "subtype": .string(isError ? "error" : "success"),
                "is_error": .bool(isError), "result": .string(text),
                "usage": .object(["input_tokens": .integer(7), "output_tokens": .integer(3)]),
            ])
            for line in [saying, end] { try await process.write(line.encoded + [0x0A]) }
            return .code(isError ? 1 : 0)
        }
        return ["claudio": program]
    }

    @Test func `an agent's run is told by its result`() async throws {
        let result = try await withMock(answering { _ in "hello" }) { try await agent("greeter").mode(.mock).run() }
        #expect(result.success && result.output == "hello" && result.name == "greeter")
        #expect(result.backend == "mock" && !result.isIsolated)
        #expect(result.tokens.input == 7 && result.tokens.output == 3)
        #expect(result[stage: "greeter"]?.status == .succeeded)
        try result.requireSuccess()
    }

    @Test func `a run that fails is a result, and an error for who wants one`() async throws {
        let result = try await withMock(answering { _ in "FAIL" }) { try await agent("x").mode(.mock).run() }
        #expect(!result.success && result.failure?.code == .runFailed)
        #expect(throws: VoidBoxError.self) { try result.requireSuccess() }
    }

    @Test func `what cannot begin is thrown`() async throws {
        let box = VoidBox("x").mode(.mock).prompt("p").llm(.claude(keyVariable: "NO_SUCH_KEY"))
        let error = await #expect(throws: VoidBoxError.self) { try await withMock { try await box.run() } }
        #expect(error?.code == .invalid && error?.message.contains("NO_SUCH_KEY") == true)
    }

    @Test func `output that fits a schema is a value`() async throws {
        struct Answer: Decodable, Equatable { var sum: Int }
        let box = agent("x").mode(.mock)
        let result = try await withMock(answering { _ in #"{"sum": 42}"# }) { try await box.run() }
        #expect(try result.decode(Answer.self) == Answer(sum: 42))
    }

    @Test func `events come in order, and the result is the last one`() async throws {
        var seen: [String] = []
        var last: RunResult?
        let events = try await withMock(answering { _ in "hello" }) { [agent = agent("x").mode(.mock)] in
            var events: [RunEvent] = []
            for try await event in agent.stream() { events.append(event) }
            return events
        }
        for event in events {
            switch event {
            case .booting(let box, let backend): seen.append("booting \(box) \(backend)")
            case .ready: seen.append("ready")
            case .text(let box, let text): seen.append("\(box): \(text)")
            case .stopped: seen.append("stopped")
            case .stageFinished(let stage): seen.append("\(stage.name) \(stage.status)")
            case .finished(let result): last = result
            default: continue
            }
        }
        #expect(seen == ["booting x mock", "ready", "x: thinking", "stopped", "x succeeded"])
        #expect(last?.output == "hello")
        if case .finished? = events.last {} else { Issue.record("the result is not the last event") }
    }

    @Test func `a pipeline streams what its boxes say, and joins a fan-out`() async throws {
        let pipeline = Pipeline.named("p", agent("a")).fanOut([agent("b"), agent("c")]).pipe(agent("d")).mode(.mock)
        let chunks = Mutex<[String]>([])
        let programs = answering { prompt in
            String(prompt.prefix(5)) + (prompt.contains(#"[\"say b\",\"say c\"]"#) ? " joined" : "")
        }
        let result = try await withMock(programs) {
            try await pipeline.runStreaming { box, chunk in chunks.withLock { $0.append("\(box) \(chunk)") } }
        }
        #expect(result.success && result.stages.map(\.name) == ["a", "b", "c", "d"])
        #expect(result.stages[1].output == "say b")
        #expect(Set(chunks.withLock(\.self)) == ["a thinking", "b thinking", "c thinking", "d thinking"])
        #expect(result.tokens.input == 28)
    }

    @Test func `a branch that fails does not lose the others' results`() async throws {
        let pipeline = Pipeline.named("p", agent("a")).fanOut([agent("b"), agent("c")]).pipe(agent("d")).mode(.mock)
        let result = try await withMock(answering { $0.contains("say c") ? "FAIL" : "fine" }) {
            try await pipeline.run()
        }
        #expect(!result.success)
        #expect(result.stages.map(\.status) == [.succeeded, .succeeded, .failed, .skipped])
    }

    @Test func `a workflow's steps are told line by line`() async throws {
        let workflow = Workflow("shout")
            .step("greet", "echo", "hello from a box")
            .step("shout", "tr", "a-z", "A-Z", stdinFrom: "greet")
            .output("shout")
            .mode(.mock)
        let lines = Mutex<[String]>([])
        let result = try await withMock {
            try await workflow.runStreaming { step, line in lines.withLock { $0.append("\(step): \(line)") } }
        }
        #expect(result.output == "HELLO FROM A BOX\n" && result.cost == 0)
        #expect(lines.withLock(\.self) == ["greet: hello from a box", "shout: HELLO FROM A BOX"])
    }

    // MARK: Cancellation

    /// An agent that never ends, and says that it works.
    private func endless(_ started: AsyncStream<Void>.Continuation, _ ended: AsyncStream<Void>.Continuation)
        -> [String: MockProgram]
    {
        let program = MockProgram { _ in
            started.yield()
            defer { ended.yield() }
            try await Task.sleep(for: .seconds(3600))
            return .code(0)
        }
        return ["claudio": program]
    }

    @Test func `cancelling the task stops the box and then throws`() async throws {
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        let (ended, ending) = AsyncStream.makeStream(of: Void.self)
        try await withMock(endless(starting, ending)) { [box = agent("x").mode(.mock)] in
            let task = Task { try await box.run() }
            for await _ in started { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            for await _ in ended { break }
        }
    }

    @Test func `a loop over events that is cancelled waits for the end of the run`() async throws {
        let (started, starting) = AsyncStream.makeStream(of: Void.self)
        let (ended, ending) = AsyncStream.makeStream(of: Void.self)
        try await withMock(endless(starting, ending)) { [box = agent("x").mode(.mock)] in
            let task = Task { for try await _ in box.stream() {} }
            for await _ in started { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            for await _ in ended { break }
        }
    }

    @Test func `a loop over events that is left stops its run`() async throws {
        let (_, starting) = AsyncStream.makeStream(of: Void.self)
        let (ended, ending) = AsyncStream.makeStream(of: Void.self)
        try await withMock(endless(starting, ending)) { [box = agent("x").mode(.mock)] in
            for try await event in box.stream() {
                if case .ready = event { break }
            }
            // The agent may not have been started yet; then nothing ends, and nothing runs on.
            ending.finish()
            for await _ in ended { break }
        }
    }
}

@Suite("A sandbox by the library", .timeLimit(.minutes(2))) struct LibrarySandboxTests {
    private func withMockBox<Result: Sendable>(
        _ body: @Sendable (RunningSandbox) async throws -> Result
    ) async throws -> Result {
        let host = Host(environment: [:], makeBackend: { _ in MockBackend() })
        return try await Host.$current.withValue(host) {
            try await withSandbox(Sandbox("bench").mode(.mock).vcpus(2), body)
        }
    }

    @Test func `programs are run with input, and told how they ended`() async throws {
        try await withMockBox { box in
            #expect(box.backend == "mock" && !box.isIsolated && box.name == "bench")
            #expect(try await box.health().processors == 2)
            let shouted = try await box.exec("tr", "a-z", "A-Z", input: "hello")
            #expect(shouted.output == "HELLO" && shouted.isSuccess)
            let killed = try await box.exec("sh", "-c", "kill -9 $$")
            #expect(killed.exit.status == .signal(9) && killed.exit.shellCode == 137)
            let error = await #expect(throws: VoidBoxError.self) { try await box.exec("no-such-program") }
            #expect(error?.code == .cannotStart)
        }
    }

    @Test func `files are written, read, listed and removed`() async throws {
        try await withMockBox { box in
            try await box.writeFile("/workspace/a/b.txt", "text", mode: 0o600)
            #expect(try await box.readText("/workspace/a/b.txt") == "text")
            let described = try await box.describeFile("/workspace/a/b.txt")
            #expect(described.kind == .file && described.size == 4 && described.mode == 0o600)
            #expect(try await box.listDirectory("/workspace/a").map(\.name) == ["b.txt"])
            try await box.remove("/workspace/a/b.txt")
            #expect(try await !box.fileExists("/workspace/a/b.txt"))
            let error = await #expect(throws: VoidBoxError.self) { try await box.readFile("/workspace/a/b.txt") }
            #expect(error?.code == .notFound)
        }
    }

    @Test func `a program is talked to while it runs`() async throws {
        let exit = try await withMockBox { box in
            try await box.withProgram(Command("cat")) { program in
                try await program.write("ping")
                #expect(try await program.waitForOutput("ping"))
                try await program.closeInput()
                return try await program.wait()
            }
        }
        #expect(exit.isSuccess)
    }

    @Test func `an error of the body stops the box and comes through as it is`() async throws {
        struct Mine: Error {}
        await #expect(throws: Mine.self) { try await withMockBox { _ in throw Mine() } }
    }

    @Test func `a box that was started is stopped by its owner, twice if need be`() async throws {
        let host = Host(environment: [:], makeBackend: { _ in MockBackend() })
        let box = try await Host.$current.withValue(host) { try await Sandbox().mode(.mock).start() }
        await box.stop()
        await box.stop()
        let error = await #expect(throws: VoidBoxError.self) { try await box.exec("true") }
        #expect(error?.code == .machineEnded)
    }
}
