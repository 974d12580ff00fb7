import Foundation
import SandboxMock
import Sandboxing
import Spec
import Synchronization
import Testing

@testable import Runs

@Suite("Agents that are services, in mock boxes", .timeLimit(.minutes(10))) struct ServiceTests {
    private func service(_ more: String = "") -> String {
        """
        kind: agent
        name: box
        sandbox: {mode: mock}
        llm: {provider: scripted, script: turns.yaml}
        agent: {prompt: go, skills: ["agent:claudio"], mode: service, output_file: /workspace/status.txt\(more)}
        """
    }

    private func versions(_ runs: MockRuns) -> [OutputVersion] {
        runs.events.compactMap { event in
            if case .outputPublished(_, let version) = event { version } else { nil }
        }
    }

    private func restarts(_ runs: MockRuns) -> [(number: Int, delay: Duration, why: String)] {
        runs.events.compactMap { event in
            if case .stageRestarting(_, let number, let delay, let why) = event { (number, delay, why) } else { nil }
        }
    }

    /// An agent that does something the first times it is started, by number from 1, and then says that it is done.
    private func starts(_ body: @escaping @Sendable (Int, MockProcess) async throws -> ExecExit.Status?) -> [String:
        MockProgram]
    {
        let count = Mutex(0)
        return [
            "claudio": MockProgram { process in
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                if let status = try await body(number, process) { return status }
                let result = #"{"type":"result","subtype":"success","result":"done","usage":{"input_tokens":7}}"#
                try await process.write(result + "\n")
                return .code(0)
            }
        ]
    }

    // MARK: Publishing

    @Test func `each version is published while the agent works, and the last one is the output`() async throws {
        let runs = try MockRuns()
        let gates = [Gate(), Gate()]
        let programs = standIn { process, prompt in
            #expect(prompt.contains("keep the file /workspace/status.txt up to date"))
            process.files.write(Array("one".utf8), to: "/workspace/status.txt")
            await gates[0].wait()
            process.files.write(Array("second".utf8), to: "/workspace/status.txt")
            await gates[1].wait()
            process.files.write(Array("the third".utf8), to: "/workspace/status.txt")
            return "done"
        }
        let artifact = runs.place.appending(path: "artifacts/status.txt").path
        let report = try await runs.run(service(), programs: programs) { event in
            guard case .outputPublished(_, let version) = event else { return }
            #expect(version.artifact == artifact)
            #expect((try? String(contentsOfFile: artifact, encoding: .utf8)) == version.text)
            if version.number <= 2 { gates[version.number - 1].open() }
        }
        #expect(report.success, "\(report)")
        #expect(versions(runs).map(\.number) == [1, 2, 3])
        #expect(versions(runs).map(\.text) == ["one", "second", "the third"])
        #expect(report.output == "the third" && report.stageResults[0].versions == 3)
        #expect(report.stageResults[0].restarts == nil)
        #expect(report.artifacts?.map(\.path) == [artifact] && report.artifacts?.first?.sizeBytes == 9)
        #expect(report.artifacts?.first?.mediaType == "text/plain")
    }

    @Test func `a look reads only what has changed, and tells of what it cannot read once`() async throws {
        let box = try await MockBackend().boot(
            SandboxConfiguration(name: "b", boot: BootArtifacts(kernel: "", initramfs: "", rootDisk: ""))
        )
        let seen = Mutex<[RunEvent]>([])
        let watch = OutputWatch(
            path: "/workspace/o.json",
            stage: StageName(ofBox: "b"),
            directory: nil,
            limit: .seconds(60),
        ) { event in seen.withLock { $0.append(event) } }
        await watch.look(at: box)
        #expect(await watch.latest == nil, "there is no file")
        try await box.writeFile("/workspace/o.json", [])
        await watch.look(at: box)
        #expect(await watch.latest == nil, "it is about to be written")
        try await box.writeFile("/workspace/o.json", Array("{}".utf8))
        for _ in 0..<3 { await watch.look(at: box) }
        #expect(await watch.latest?.number == 1)
        #expect(await watch.latest?.mediaType == "application/json")
        try await box.writeFile("/workspace/o.json", [UInt8](repeating: 0xFF, count: (16 << 20) + 1))
        for _ in 0..<3 { await watch.look(at: box) }
        #expect(
            await watch.warnings == ["the output file /workspace/o.json is larger than 16 MiB and is not published"]
        )
        try await box.writeFile("/workspace/o.json", [0xFF, 0xFE, 0xFD])
        await watch.look(at: box)
        #expect(await watch.latest?.number == 2)
        #expect(await watch.latest?.text == nil, "it is no text")
        await box.stop(grace: .zero)
        await watch.look(at: box, isLast: true)
        #expect(await watch.contents == [0xFF, 0xFE, 0xFD])
        #expect(seen.withLock { $0.count } == 3)
    }

    // MARK: Restarts

    @Test func `an agent that crashes is started again by the rule, and its tokens add up`() async throws {
        let runs = try MockRuns()
        let programs = starts { number, _ in number < 3 ? .code(9) : nil }
        let rule = ", restart: {policy: on-failure, initial_delay_ms: 1, backoff: 3}"
        let report = try await runs.run(service(rule), programs: programs)
        #expect(report.success && report.stageResults[0].restarts == 2, "\(report)")
        #expect(restarts(runs).map(\.number) == [1, 2])
        #expect(restarts(runs).map(\.delay) == [.milliseconds(1), .milliseconds(3)])
        #expect(restarts(runs).allSatisfy { $0.why.contains("exit status 9") })
        #expect(report.inputTokens == 7 && report.warnings.isEmpty)
    }

    @Test func `after so many restarts in a row the crash is the run's failure`() async throws {
        let runs = try MockRuns()
        let programs = starts { number, process in
            process.files.write([UInt8](repeating: 0x61, count: number), to: "/workspace/status.txt")
            return .signal(11)
        }
        let report = try await runs.run(
            service(", restart: {max_restarts: 2, initial_delay_ms: 1}"),
            programs: programs
        )
        #expect(!report.success && restarts(runs).count == 2)
        #expect(report.failure?.message == "the agent crashed with signal 11")
        #expect(report.output == "aaa", "what it has published counts")
        #expect(report.stageResults.map(\.status) == [.failed] && report.stageResults[0].restarts == 2)
    }

    @Test func `an agent whose program is missing is not started again`() async throws {
        let runs = try MockRuns()
        let text = service(", restart: {policy: always}").replacing("agent:claudio", with: "agent:codex")
        let report = try await runs.run(text)
        #expect(report.failure?.message.contains("cannot be started") == true, "\(report)")
        #expect(restarts(runs).isEmpty)
    }

    @Test func `without a rule the first end is the last one`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(service(), programs: starts { _, _ in .code(1) })
        #expect(!report.success && restarts(runs).isEmpty && report.warnings.isEmpty)
    }

    @Test func `one that is told to stop ends by itself, and what it wrote last is published`() async throws {
        let runs = try MockRuns()
        let programs = starts { number, process in
            guard number == 3 else { return nil }
            process.files.write(Array("up".utf8), to: "/workspace/status.txt")
            do {
                try await Task.sleep(for: .seconds(600))
            } catch {
                process.files.write(Array("last words".utf8), to: "/workspace/status.txt")
            }
            return .signal(15)
        }
        let isUp = Gate()
        let text = service(", restart: {policy: always, initial_delay_ms: 0}")
        let running = Task {
            try await runs.run(text, programs: programs) { event in
                if case .outputPublished = event { isUp.open() }
            }
        }
        await isUp.wait()
        running.cancel()
        let report = try await running.value
        #expect(report.failure?.class == .interrupted && report.stageResults.map(\.status) == [.cancelled])
        #expect(report.output == "last words" && report.stageResults[0].versions == 2)
        #expect(report.stageResults[0].restarts == 2 && report.stageResults[0].signal == 15)
    }

    @Test func `a row of restarts ends with one that lasted`() throws {
        var rule = RestartSpec()
        rule.policy = .always
        rule.maxRestarts = 2
        rule.delays.initialDelayMilliseconds = 10
        rule.delays.maxDelayMilliseconds = 1000
        var schedule = RestartSchedule(rule, settled: .zero)
        let lasted: [Duration] = [.zero, .milliseconds(999), .zero, .seconds(2), .zero, .zero]
        let waits = lasted.map { schedule.next(failed: false, lasted: $0) }
        #expect(waits == [.milliseconds(10), .milliseconds(20), nil, .milliseconds(10), .milliseconds(20), nil])
        #expect(schedule.restarts == 4)
        rule.policy = .onFailure
        schedule = RestartSchedule(rule, settled: .zero)
        #expect(schedule.next(failed: false, lasted: .zero) == nil)
        #expect(schedule.next(failed: true, lasted: .zero) == .milliseconds(10))
        rule.policy = .never
        schedule = RestartSchedule(rule, settled: .zero)
        #expect(schedule.next(failed: true, lasted: .zero) == nil)
        rule.policy = .always
        rule.delays.maxDelayMilliseconds = 0
        schedule = RestartSchedule(rule, settled: .seconds(10))
        #expect((0..<3).map { _ in schedule.next(failed: true, lasted: .seconds(10)) } == [.zero, .zero, nil])
        #expect(schedule.next(failed: true, lasted: .seconds(11)) == .zero, "it has settled")
    }

    // MARK: Steps

    @Test func `a step that is a service is started again, and is ready once`() async throws {
        let runs = try MockRuns()
        let programs = starts { number, process in
            try await process.write("listening\n")
            if number == 1 { return .code(3) }
            try await Task.sleep(for: .seconds(600))
            return .code(0)
        }
        let isUpAgain = Gate()
        let client = MockProgram { _ in
            await isUpAgain.wait()
            return .code(0)
        }
        let report = try await runs.run(
            workflow(
                """
                    - name: server
                      run: {program: claudio}
                      mode: service
                      ready: {log_contains: listening}
                      restart: {initial_delay_ms: 1}
                    - {name: client, run: {program: client}, depends_on: [server]}
                """
            ),
            programs: programs.merging(["client": client]) { $1 },
        ) { event in
            if case .stageStarted(let stage, 2) = event, stage.name == "server" { isUpAgain.open() }
        }
        #expect(report.success, "\(report)")
        #expect(report.stageResults[0].restarts == 1 && report.stageResults[0].signal == 15)
        #expect(restarts(runs).map(\.why).count == 1)
        let ready = runs.events.filter { if case .stageReady = $0 { true } else { false } }
        #expect(ready.count == 1)
    }

    @Test func `all starts of a step have one log together, as long as that of any step`() async throws {
        let runs = try MockRuns()
        // Of quotes, each of which is two bytes in the record.
        let line = String(repeating: "\"", count: 8 << 10)
        let program = starts { _, process in
            for _ in 0..<160 { try await process.write(line) }
            return .code(1)
        }
        let report = try await runs.run(
            workflow(
                """
                    - name: server
                      run: {program: claudio}
                      mode: service
                      restart: {max_restarts: 2, initial_delay_ms: 0}
                """
            ),
            programs: program,
        )
        #expect(report.stageResults[0].restarts == 2, "\(report)")
        var (told, dropped) = (0, [UInt64]())
        for event in runs.events {
            if case .stageOutput(_, _, let line) = event { told += line.utf8.count }
            if case .stageOutputClosed(_, let bytes) = event { dropped.append(bytes) }
        }
        #expect(told == 2 << 20 && dropped == [UInt64(3 * 160 * line.utf8.count - told)])
    }

    @Test func `a run that is cancelled asks its services to end`() async throws {
        let runs = try MockRuns()
        let said = Mutex("")
        let server = MockProgram { process in
            do {
                try await Task.sleep(for: .seconds(600))
            } catch {
                said.withLock { $0 = "goodbye" }
            }
            return .code(0)
        }
        let isReady = Gate()
        let running = Task {
            try await runs.run(
                """
                kind: workflow
                name: flow
                sandbox: {mode: mock}
                workflow: {steps: [{name: server, run: {program: server}, mode: service}]}
                """,
                programs: ["server": server],
            ) { event in
                if case .stageReady = event { isReady.open() }
            }
        }
        await isReady.wait()
        running.cancel()
        let report = try await running.value
        #expect(report.failure?.class == .interrupted && report.stageResults.map(\.status) == [.cancelled])
        #expect(report.stageResults[0].exitCode == 0 && said.withLock { $0 } == "goodbye")
    }

    @Test func `steps of a workflow with an agent can call it`() async throws {
        let runs = try MockRuns()
        let asks = MockProgram { process in
            let environment = process.environment
            let base = environment["ANTHROPIC_BASE_URL"] ?? ""
            let settings = process.files.contents(of: "\(environment["CLAUDE_CONFIG_DIR"] ?? "")/settings.json")
            try await process.write("\(base.hasPrefix("http://127.0.0.1:")) \(settings != nil)")
            return .code(0)
        }
        let report = try await runs.run(
            """
            kind: workflow
            name: flow
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            workflow: {agent: claude-code, steps: [{name: asks, run: {program: asks}}]}
            """,
            programs: ["asks": asks],
        )
        #expect(report.success && report.output == "true true", "\(report)")
        #expect(report.totalCostUSD == 0)
    }

    @Test func `steps of a workflow with Codex find its model in its configuration`() async throws {
        let runs = try MockRuns()
        let asks = MockProgram { process in
            let environment = process.environment
            let file = process.files.contents(of: "\(environment["CODEX_HOME"] ?? "")/config.toml") ?? []
            let address = "base_url = \"\(environment["OPENAI_BASE_URL"] ?? "none")\""
            let text = String(decoding: file, as: UTF8.self)
            try await process.write("\(text.contains(address)) \(text.hasPrefix("model = \"m-1\"\n"))")
            return .code(0)
        }
        let report = try await runs.run(
            """
            kind: workflow
            name: flow
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml, model: m-1}
            workflow: {agent: codex, steps: [{name: asks, run: {program: asks}}]}
            """,
            programs: ["asks": asks],
        )
        #expect(report.success && report.output == "true true", "\(report)")
    }
}
