import Foundation
import Primitives
import SandboxMock
import Sandboxing
import Synchronization
import Testing

@testable import Runs

@Suite("Workflows in mock boxes", .timeLimit(.minutes(10))) struct WorkflowTests {
    private func statuses(_ report: RunReport) -> [String] {
        report.stageResults.map { "\($0.name) \($0.status.rawValue)" }
    }

    @Test func `a step starts when its own inputs are there, not when a level has ended`() async throws {
        let runs = try MockRuns()
        let quickIsThrough = Gate()
        // "slow" ends only after "after-quick", which is a level below it.
        let slow = MockProgram { _ in
            await quickIsThrough.wait()
            return .code(0)
        }
        let report = try await runs.run(
            workflow(
                """
                    - {name: slow, run: {program: slow}}
                    - {name: quick, run: {program: echo, args: [hello]}}
                    - {name: after-quick, run: {program: tr, args: [a-z, A-Z], stdin_from: quick}}
                    - {name: last, run: {program: cat}, depends_on: [after-quick, slow]}
                """
            ),
            programs: ["slow": slow],
        ) { event in
            if case .stageFinished(let stage, _) = event, stage.name == "after-quick" { quickIsThrough.open() }
        }
        #expect(report.success && report.output == "HELLO\n", "the first of depends_on is the input")
        #expect(statuses(report) == ["slow", "quick", "after-quick", "last"].map { "\($0) succeeded" })
    }

    @Test func `every failed step is told, and only what needs it is skipped`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(
            workflow(
                """
                    - {name: a, run: {program: sh, args: [-c, exit 3]}}
                    - {name: b, run: {program: sh, args: [-c, kill -9 $$]}}
                    - {name: c, run: {program: cat, stdin_from: a}}
                    - {name: d, run: {program: cat}, depends_on: [c]}
                    - {name: e, run: {program: echo, args: [fine]}}
                """,
                "  output_step: e",
            )
        )
        #expect(statuses(report) == ["a failed", "b failed", "c skipped", "d skipped", "e succeeded"])
        #expect(report.failure?.message == "failed steps: a (exit status 3), b (signal 9)")
        #expect(report.stageResults[2].error == "dependency \"a\" failed")
        #expect(report.stageResults[3].error == "dependency \"c\" failed")
        #expect(report.output == "fine\n")
    }

    @Test func `a step is tried with the declared back-off`() async throws {
        let runs = try MockRuns()
        let attempts = Mutex(0)
        let flaky = MockProgram { process in
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            try await process.write("attempt \(attempt)\n")
            return .code(attempt < 4 ? 1 : 0)
        }
        let retry = "{max_attempts: 5, initial_delay_ms: 10, backoff: 2, max_delay_ms: 25}"
        let report = try await runs.run(
            workflow("    - {name: flaky, run: {program: flaky}, retry: \(retry)}"),
            programs: ["flaky": flaky],
        )
        #expect(report.success && report.output == "attempt 4\n")
        #expect(report.stageResults[0].attempts == 4)
        let waits = runs.events.compactMap { event in
            if case .stageRetrying(_, _, let delay, _) = event { delay } else { nil }
        }
        #expect(waits == [10, 20, 25].map { .milliseconds($0) })
    }

    @Test func `a step that is too slow is stopped at its limit`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(
            workflow("    - {name: slow, run: {program: sleep, args: ['600']}, timeout_secs: 1}")
        )
        #expect(report.stageResults[0].error == "timed out after 1 s")
        #expect(report.failure?.message == "failed steps: slow (timed out after 1 s)")
    }

    @Test func `a run that is cancelled ends all its steps and tells of each`() async throws {
        let runs = try MockRuns()
        let bothRun = Mutex(0)
        let started = Gate()
        let text = workflow(
            """
                - {name: a, run: {program: sleep, args: ['600']}}
                - {name: b, run: {program: sleep, args: ['600']}}
                - {name: c, run: {program: echo}, depends_on: [a, b]}
            """
        )
        let running = Task {
            try await runs.run(text) { event in
                guard case .stageStarted = event else { return }
                let count = bothRun.withLock { count in
                    count += 1
                    return count
                }
                if count == 2 { started.open() }
            }
        }
        await started.wait()
        running.cancel()
        let report = try await running.value
        #expect(report.failure?.class == .interrupted)
        #expect(statuses(report) == ["a cancelled", "b cancelled", "c skipped"])
    }

    @Test func `a step that is cancelled by hand is as one that failed`() async throws {
        let runs = try MockRuns()
        let started = Gate()
        let text = workflow(
            """
                - {name: a, run: {program: sleep, args: ['600']}}
                - {name: b, run: {program: cat, stdin_from: a}}
                - {name: c, run: {program: echo, args: [c]}}
            """,
            "  output_step: c",
        )
        let running = Task {
            try await runs.run(text) { event in
                if case .stageStarted(let stage, _) = event, stage.name == "a" { started.open() }
            }
        }
        await started.wait()
        runs.control.cancel(stage: "a", reason: nil)
        let report = try await running.value
        #expect(statuses(report) == ["a cancelled", "b skipped", "c succeeded"])
        #expect(report.failure?.message == "failed steps: a (cancelled by hand)")
        #expect(report.stageResults[1].error == "dependency \"a\" was cancelled")
    }

    // MARK: Services

    /// A service that becomes ready when told, and ends when it is signalled.
    private func service(_ body: @escaping @Sendable (MockProcess) async throws -> Void) -> MockProgram {
        MockProgram { process in
            try await body(process)
            try await Task.sleep(for: .seconds(600))
            return .code(0)
        }
    }

    @Test(arguments: ["log_contains: listening", "file: /tmp/ready", "port: 8080"])
    func `steps wait until a service is ready, and it is stopped after them`(_ condition: String) async throws {
        let runs = try MockRuns()
        let isReady = Mutex(false)
        let programs = [
            "server": service { process in
                for _ in 0..<50 { await Task.yield() }
                isReady.withLock { $0 = true }
                process.files.write([], to: "/tmp/ready")
                let socket = "0: 00000000:1F90 00000000:0000 0A"
                process.files.write(Array("sl local rem st\n\(socket)\n".utf8), to: "/proc/1/net/tcp")
                try await process.write("now listening\n")
            },
            "client": MockProgram { process in
                try await process.write(isReady.withLock { $0 } ? "ready" : "too early")
                return .code(0)
            },
        ]
        let report = try await runs.run(
            workflow(
                """
                    - {name: server, run: {program: server}, mode: service, ready: {\(condition)}}
                    - {name: client, run: {program: client}, depends_on: [server]}
                """
            ),
            programs: programs,
        )
        #expect(report.failure == nil, "\(report)")
        #expect(statuses(report) == ["server succeeded", "client succeeded"])
        #expect(report.output == "ready")
        #expect(report.stageResults[0].signal == 15, "it was asked to end")
    }

    @Test func `a service that ends before it is ready fails, with what needs it`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(
            workflow(
                """
                    - {name: server, run: {program: echo, args: [bye]}, mode: service, ready: {log_contains: hello}}
                    - {name: client, run: {program: echo}, depends_on: [server]}
                """
            )
        )
        #expect(statuses(report) == ["server failed", "client skipped"])
        #expect(report.stageResults[0].error == "it ended before it was ready")
    }

    @Test func `a service that does not become ready in time is stopped`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(
            workflow(
                """
                    - {name: server, run: {program: server}, mode: service, ready: {port: 1, timeout_secs: 1}}
                    - {name: client, run: {program: echo}, depends_on: [server]}
                """
            ),
            programs: ["server": service { _ in }],
        )
        #expect(statuses(report) == ["server failed", "client skipped"])
        #expect(report.stageResults[0].error == "it was not ready within 1 s")
    }

    @Test func `a service that nothing depends on is what the workflow is for`() async throws {
        let runs = try MockRuns()
        let mayEnd = Gate()
        let gateway = MockProgram { _ in
            await mayEnd.wait()
            return .code(0)
        }
        let report = try await runs.run(
            workflow(
                """
                    - {name: configure, run: {program: echo}}
                    - {name: gateway, run: {program: gateway}, mode: service, depends_on: [configure]}
                """
            ),
            programs: ["gateway": gateway],
        ) { event in
            if case .stageReady(let stage, _) = event, stage.name == "gateway" { mayEnd.open() }
        }
        #expect(report.success && statuses(report) == ["configure succeeded", "gateway succeeded"])
    }

    // MARK: Results

    @Test func `result json and the artifacts it names are kept`() async throws {
        let runs = try MockRuns()
        let result = """
            {"status": "success", "artifacts": [{"name": "report.md", "media_type": "text/markdown"},
             {"name": "moved.txt", "path": "/tmp/x"}, {"name": "../evil"}, {"name": "gone"}]}
            """
        let writer = MockProgram { process in
            process.files.write(Array(result.utf8), to: "/workspace/result.json")
            process.files.write(Array("# Report".utf8), to: "/workspace/report.md")
            process.files.write(Array("moved".utf8), to: "/tmp/x")
            return .code(0)
        }
        let report = try await runs.run(
            workflow("    - {name: w, run: {program: writer}}"),
            programs: ["writer": writer],
        )
        #expect(report.success && report.result?["status"]?.stringValue == "success")
        #expect(report.artifacts?.map(\.name) == ["report.md", "moved.txt"])
        #expect(report.artifacts?.map(\.sizeBytes) == [8, 5])
        let first = try #require(report.artifacts?.first)
        #expect(first.mediaType == "text/markdown")
        #expect(try String(contentsOfFile: first.path, encoding: .utf8) == "# Report")
        #expect(report.warnings.count == 2, "\(report.warnings)")
    }

    // MARK: Size

    @Test func `a thousand steps are scheduled one after the other has ended`() async throws {
        let runs = try MockRuns()
        // A hundred chains of ten, joined at the end.
        let steps = (0..<999).map { number in
            let source = number < 100 ? "" : ", stdin_from: s\(number - 100)"
            return "    - {name: s\(number), run: {program: cat\(source)}}"
        }
        let join = (899..<999).map { "s\($0)" }.joined(separator: ", ")
        let text = workflow(
            steps.joined(separator: "\n")
                + "\n    - {name: end, run: {program: echo, args: [end]}, depends_on: [\(join)]}"
        )
        let start = ContinuousClock.now
        let report = try await runs.run(text)
        let whole = ContinuousClock.now - start
        print("1000 steps: \(report.durationMilliseconds) ms to run, \(whole) with reading the specification")
        #expect(report.success && report.stageResults.count == 1000)
        // Built for debugging and beside machines that are emulated; alone it takes a hundredth. What it is for is a scheduler
        // that looks at all steps for each of them.
        #expect(report.durationMilliseconds < 120_000)
    }

    @Test func `a long line is told in pieces that are whole characters`() {
        var log = StepLog()
        let line = String(repeating: "é€😀", count: 4000)
        var pieces: [String] = []
        for chunk in Array(line.utf8).chunks(of: 1000) { pieces += log.lines(of: .stdout(chunk)).map(\.1) }
        pieces += log.lines(of: .stdout(Array("\nnext\n".utf8))).map(\.1)
        #expect(pieces.dropLast().joined() == line && pieces.last == "next")
        #expect(pieces.allSatisfy { !$0.contains("\u{FFFD}") && $0.utf8.count <= 8192 })
    }

    @Test func `a long log is cut, and that is told`() async throws {
        let runs = try MockRuns()
        let report = try await runs.run(
            workflow("    - {name: big, run: {program: head, args: [-c, '8388608', /dev/zero]}}")
        )
        #expect(report.success)
        let dropped = runs.events.compactMap { event in
            if case .stageOutputClosed(_, let bytes) = event { bytes } else { nil }
        }
        // In the record, a zero is six bytes.
        #expect(dropped == [(8 << 20) - (4 << 20) / 6])
    }
}

extension [UInt8] {
    fileprivate func chunks(of size: Int) -> [[UInt8]] {
        stride(from: 0, to: count, by: size).map { Array(self[$0..<Swift.min($0 + size, count)]) }
    }
}
