import Foundation
import Primitives
import SandboxMock
import Sandboxing
import Spec
import Synchronization
import Testing

@testable import Runs

@Suite("Pipelines in mock boxes", .timeLimit(.minutes(10))) struct PipelineTests {
    /// source → (left, right) → sink.
    private func diamond(_ more: String = "", left: String = "", right: String = "", fanOut: String = "") -> String {
        """
        kind: pipeline
        name: diamond
        sandbox: {mode: mock}
        llm: {provider: scripted, script: turns.yaml}
        pipeline:
          boxes:
            - {name: source, prompt: source, skills: ["agent:claudio"], outputs: [{name: facts}]}
            - {name: left, prompt: left, skills: ["agent:claudio"], inputs: [{from: facts}]\(left)}
            - {name: right, prompt: right, skills: ["agent:claudio"]\(right)}
            - {name: sink, prompt: sink, skills: ["agent:claudio"]}
          stages:
            - {type: box, name: source}
            - {type: fan_out, boxes: [left, right]\(fanOut)}
            - {type: box, name: sink}
        \(more)
        """
    }

    private func name(_ prompt: String) -> String {
        String(prompt.prefix { $0 != "\n" })
    }

    @Test func `a box with a schema gives its output as JSON, or fails`() async throws {
        let programs = standIn { process, prompt in
            let number = name(prompt) == "good" ? "1" : "\"one\""
            process.files.write(Array("{\"n\": \(number)}".utf8), to: "/workspace/output.json")
            return "done"
        }
        let schema = "output_schema: {type: object, properties: {n: {type: integer}}}, output_retries: 0"
        let text = """
            kind: pipeline
            name: typed
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              on_failure: continue
              boxes:
                - {name: bad, prompt: bad, skills: ["agent:claudio"], \(schema)}
                - {name: good, prompt: good, skills: ["agent:claudio"], \(schema)}
            """
        let report = try await MockRuns().run(text, programs: programs)
        #expect(report.stageResults.map(\.status) == [.failed, .succeeded])
        #expect(report.stageResults[0].error?.contains("does not fit output_schema") == true)
        #expect(report.stageResults.map(\.structuredOutput) == [nil, .object(["n": 1])])
        #expect(report.structuredOutput == .object(["n": 1]))
    }

    @Test func `results go on in the declared order, data by directories, and costs add up`() async throws {
        let runs = try MockRuns()
        let leftMayEnd = Gate()
        let programs = standIn { process, prompt in
            let input = process.files.contents(of: "/workspace/input.json").map { String(decoding: $0, as: UTF8.self) }
            switch name(prompt) {
            case "source": process.files.write(Array("42".utf8), to: "/workspace/output/facts.txt")
            case "left": await leftMayEnd.wait()
            case "right": leftMayEnd.open()
            default: break
            }
            let facts = process.files.contents(of: "/workspace/input/facts.txt").map {
                String(decoding: $0, as: UTF8.self)
            }
            return "\(name(prompt))(\(input ?? "nothing"), \(facts ?? "no facts"))"
        }
        let report = try await runs.run(diamond(), programs: programs, input: "start")
        #expect(report.failure == nil && report.success)
        let source = "source(start, no facts)"
        let (left, right) = ("left(\(source), 42)", "right(\(source), no facts)")
        #expect(
            report.stageResults.map(\.output) == [source, left, right, "sink([\"\(left)\",\"\(right)\"], no facts)"]
        )
        #expect(report.output == report.stageResults.last?.output)
        #expect(report.inputTokens == 28 && report.outputTokens == 12 && report.totalCostUSD == 0)
        #expect(report.stageResults.allSatisfy { $0.inputTokens == 7 && $0.status == .succeeded })
        #expect(report.stages == 4 && report.backend == "mock" && !report.isolated)
        #expect(!FileManager.default.fileExists(atPath: "\(runs.directories.work)/boxes"), "nothing is left")
    }

    @Test(arguments: [("", "stop"), ("  on_failure: continue", "continue")])
    func `a branch that fails loses no other's result`(_ more: String, _ rule: String) async throws {
        let runs = try MockRuns()
        let leftFailed = Gate()
        let programs = standIn { _, prompt in
            switch name(prompt) {
            case "left": return "FAIL left is broken"
            case "right":
                await leftFailed.wait()
                return "right's work"
            case "sink": return prompt.contains("[null,\"right's work\"]") ? "sink saw it" : "FAIL \(prompt)"
            default: return "facts"
            }
        }
        let report = try await runs.run(diamond(more), programs: programs) { event in
            if case .stageFinished(_, let stage) = event, stage.name == "left" { leftFailed.open() }
        }
        #expect(!report.success)
        #expect(report.failure?.message == "failed boxes: left (FAIL left is broken)")
        #expect(report.stageResults[2].output == "right's work")
        let last = report.stageResults[3]
        if rule == "stop" {
            #expect(last.status == .skipped && last.error == "\"left\" failed")
            #expect(report.output == "[null,\"right's work\"]")
        } else {
            #expect(last.status == .succeeded && last.output == "sink saw it")
        }
        #expect(report.inputTokens == (rule == "stop" ? 21 : 28))
    }

    @Test func `a branch is tried as often as it may be, with growing waits`() async throws {
        let runs = try MockRuns()
        let attempts = Mutex(0)
        let programs = standIn { process, prompt in
            guard name(prompt) == "source" else { return name(prompt) }
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            let leftover = process.files.contents(of: "/workspace/output/partial") != nil
            process.files.write([1], to: "/workspace/output/partial")
            return attempt < 3 ? "FAIL attempt \(attempt)\(leftover ? " has leftovers" : "")" : "at last"
        }
        let more = "  retry: {max_attempts: 3, initial_delay_ms: 20, backoff: 3}"
        let report = try await runs.run(diamond(more), programs: programs)
        #expect(report.success)
        #expect(report.stageResults[0].attempts == 3 && report.stageResults[1].attempts == 1)
        #expect(report.stageResults[0].inputTokens == 21, "what failed has cost, too")
        let waits = runs.events.compactMap { event in
            if case .stageRetrying(_, _, let delay, _) = event { delay } else { nil }
        }
        #expect(waits == [.milliseconds(20), .milliseconds(60)])
    }

    @Test func `a stage that is too slow ends its own boxes`() async throws {
        // The limit begins when only the box is left that never ends: on a busy host the other may need longer.
        let leftEnded = Gate()
        let runs = try MockRuns(stageLimit: { limit in
            #expect(limit == .seconds(1))
            await leftEnded.wait()
            try await Task.sleep(for: limit)
        })
        let programs = standIn { _, prompt in
            if name(prompt) == "right" { try await Task.sleep(for: .seconds(600)) }
            return name(prompt)
        }
        let report = try await runs.run(diamond(fanOut: ", timeout_secs: 1"), programs: programs) { event in
            if case .stageFinished(_, let stage) = event, stage.name == "left" { leftEnded.open() }
        }
        #expect(report.stageResults.map(\.status) == [.succeeded, .succeeded, .failed, .skipped])
        #expect(report.stageResults[2].error == "the stage did not finish within 1 s")
        #expect(report.stageResults[1].output == "left")
    }

    @Test func `a box that is too slow for its own limit fails alone`() async throws {
        let runs = try MockRuns()
        let programs = standIn { _, prompt in
            if name(prompt) == "right" { try await Task.sleep(for: .seconds(600)) }
            return name(prompt)
        }
        let report = try await runs.run(diamond(right: ", timeout_secs: 1"), programs: programs)
        #expect(report.stageResults.map(\.status) == [.succeeded, .succeeded, .failed, .skipped])
        #expect(report.stageResults[2].error == "the agent did not finish within 1 s")
    }

    @Test func `a box that is cancelled by hand ends alone, and says why`() async throws {
        let runs = try MockRuns()
        let leftStarted = Gate()
        let programs = standIn { _, prompt in
            if name(prompt) == "left" {
                leftStarted.open()
                try await Task.sleep(for: .seconds(600))
            }
            return name(prompt)
        }
        let cancelling = Task {
            await leftStarted.wait()
            runs.control.cancel(stage: "left", reason: "not needed")
        }
        let report = try await runs.run(diamond("  on_failure: continue"), programs: programs)
        await cancelling.value
        #expect(report.stageResults.map(\.status) == [.succeeded, .cancelled, .succeeded, .succeeded])
        #expect(report.stageResults[1].error == "not needed")
        #expect(report.failure?.class == .run && !report.success)
    }

    @Test func `a run that is cancelled reports what there is`() async throws {
        let runs = try MockRuns()
        let started = Gate()
        let programs = standIn { _, prompt in
            if name(prompt) == "right" {
                started.open()
                try await Task.sleep(for: .seconds(600))
            }
            return name(prompt)
        }
        let text = diamond()
        let running = Task { try await runs.run(text, programs: programs) }
        await started.wait()
        running.cancel()
        let report = try await running.value
        #expect(report.failure?.class == .interrupted)
        #expect(report.stageResults[0].output == "source" && report.stageResults[2].status == .cancelled)
        #expect(report.stageResults[3].status == .skipped && report.stageResults[3].error == "run cancelled")
        #expect(report.inputTokens >= 7)
        #expect(!FileManager.default.fileExists(atPath: "\(runs.directories.work)/boxes"))
    }

    @Test func `a box whose input was not written does not run`() async throws {
        let runs = try MockRuns()
        let programs = standIn { _, prompt in name(prompt) == "source" ? "FAIL" : name(prompt) }
        let report = try await runs.run(diamond("  on_failure: continue"), programs: programs)
        #expect(report.stageResults.map(\.status) == [.failed, .skipped, .succeeded, .succeeded])
        #expect(report.stageResults[1].error == "its input 'facts' is missing: \"source\" did not succeed")
    }

    @Test(arguments: [1, 2, 8]) func `no more boxes run at once than may`(_ limit: Int) async throws {
        let runs = try MockRuns()
        let count = Mutex((now: 0, most: 0))
        let programs = standIn { _, prompt in
            count.withLock { count in
                count.now += 1
                count.most = max(count.most, count.now)
            }
            for _ in 0..<20 { await Task.yield() }
            count.withLock { $0.now -= 1 }
            return name(prompt)
        }
        let boxes = (0..<8).map { "{name: b\($0), prompt: b\($0), skills: ['agent:claudio']}" }
        let report = try await runs.run(
            """
            kind: pipeline
            name: wide
            sandbox: {mode: mock}
            llm: {provider: scripted, script: turns.yaml}
            pipeline:
              max_parallel: \(limit)
              boxes: [{name: first, prompt: first, skills: ['agent:claudio']}, \(boxes.joined(separator: ", "))]
              stages: [{type: box, name: first}, {type: fan_out, boxes: [b0, b1, b2, b3, b4, b5, b6, b7]}]
            """,
            programs: programs,
        )
        #expect(report.success)
        #expect(count.withLock { $0.most } <= limit)
        #expect(report.output == "[\"b0\",\"b1\",\"b2\",\"b3\",\"b4\",\"b5\",\"b6\",\"b7\"]")
    }

    @Test func `a box's changes of the sandbox are added to the common one`() throws {
        var sandbox = Spec(name: "x").sandbox
        sandbox.env = ["A": "1", "B": "2"]
        sandbox.mounts = [MountSpec(host: "a", guest: "/a", mode: .ro), MountSpec(host: "b", guest: "/b", mode: .ro)]
        var change = SandboxOverrideSpec()
        change.memoryMB = 512
        change.network = true
        change.env = ["B": "3"]
        change.mounts = [MountSpec(host: "c", guest: "/b", mode: .rw)]
        let merged = sandbox.applying(change)
        #expect(merged.memoryMB == 512 && merged.vcpus == 1 && merged.network)
        #expect(merged.env == ["A": "1", "B": "3"])
        #expect(merged.mounts.map(\.host) == ["a", "c"])
    }
}
