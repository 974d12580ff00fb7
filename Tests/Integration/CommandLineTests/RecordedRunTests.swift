import Foundation
import LinuxSystem
import TestSupport
import Testing

/// What is left of a run, and what others can do to it: in boxes that are none, so that it is quick.
@Suite("Recorded runs of voidbox", .timeLimit(.minutes(10))) struct RecordedRunTests {
    private let directory: SpecDirectory

    init() throws {
        directory = try SpecDirectory()
    }

    private func slow() throws -> String {
        try directory.write(
            "slow.yaml",
            """
            kind: workflow
            name: slow
            sandbox: {mode: mock}
            workflow:
              steps:
                - {name: quick, run: {program: echo, args: ["a line <b>of</b> \\u001b[31mquick"]}}
                - {name: sleeps, run: {program: sleep, args: ["600"]}, depends_on: [quick]}
                - {name: after, run: {program: echo}, depends_on: [sleeps]}
            """,
        )
    }

    private func rows(_ more: String...) async throws -> [[String: Any]] {
        let command = ["ps", "--output", "json"] + more
        let result = try await VoidBoxProcess.start(command, environment: directory.environment).end()
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [[String: Any]])
    }

    private func lines(_ result: VoidBoxProcess.Result) throws -> [[String: Any]] {
        try result.output.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    @Test func `a run that has ended is listed, told again and removed`() async throws {
        let example = Repository.example("workflow.yaml")
        let result = try await directory.voidbox("run", "--mode", "mock", "--file", example, "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        let id = try #require(try result.json["run_id"] as? String)
        #expect(result.errors.contains("run \(id)"))
        #expect(try await rows().isEmpty, "it is not under way")
        let all = try await rows("--all")
        #expect(all.count == 1 && all[0]["id"] as? String == id && all[0]["state"] as? String == "succeeded")
        let table = try await directory.voidbox("ps", "--all").output
        #expect(table.contains("RUN") && table.contains("shout") && table.contains("succeeded"))

        let events = try lines(try await directory.voidbox("events", String(id.prefix(20))))
        #expect(events.first?["event_type"] as? String == "run.started")
        #expect(events.last?["event_type_v2"] as? String == "RunCompleted")
        #expect(events.compactMap { $0["seq"] as? Int } == Array(1...events.count))
        let started = events.filter { $0["event_type"] as? String == "stage.started" }
        #expect(started.compactMap { $0["stage_name"] as? String } == ["greet", "shout", "check"])

        let logs = try await directory.voidbox("logs", id, "--stage", "shout")
        #expect(logs.output.contains("[vm:shout] HELLO FROM A BOX") && !logs.output.contains("hello"))
        let inspected = try await directory.voidbox("inspect", id).json
        #expect((inspected["run"] as? [String: Any])?["state"] as? String == "succeeded")
        #expect((inspected["report"] as? [String: Any])?["output"] as? String == "HELLO FROM A BOX\n")
        #expect(try await directory.voidbox("report", id, "--output", "json").json["run_id"] as? String == id)
        #expect(try await directory.voidbox("report", id).output.contains("success:   true"))

        #expect(try await directory.voidbox("rm", id).status == 0)
        #expect(try await rows("--all").isEmpty)
        let gone = try await directory.voidbox("logs", id)
        #expect(gone.status == 2 && gone.errors.contains("there is no run"))
    }

    @Test func `a run under way is followed, cancelled from elsewhere, and says why`() async throws {
        let run = try await directory.start("run", "--file", try slow(), "--output", "json")
        try await run.waitForError("step sleeps started")
        let row = try #require(try await rows().first)
        let id = try #require(row["id"] as? String)
        #expect(row["state"] as? String == "running" && row["pid"] as? Int32 == run.pid)
        #expect(try await directory.voidbox("rm", id).status == 2, "it is under way")
        let follower = try await directory.start("logs", "-f", id)
        let cancel = try await directory.voidbox("cancel", id, "--reason", "enough")
        #expect(cancel.status == 0, "\(cancel.errors)")
        let result = try await run.end()
        #expect(result.status == 130)
        let report = try result.json
        #expect((report["failure"] as? [String: Any])?["message"] as? String == "cancelled: enough")
        let stages = try #require(report["stage_results"] as? [[String: Any]])
        #expect(stages.compactMap { $0["status"] as? String } == ["succeeded", "cancelled", "skipped"])
        let followed = try await follower.end()
        #expect(followed.status == 0 && followed.output.contains("cancelled: enough"), "it ends with the run")
        #expect(!followed.output.contains("\u{1B}"))
        #expect(try await rows("--all").first?["state"] as? String == "cancelled")
        #expect(try await directory.voidbox("cancel", id).status == 2, "it has ended")
    }

    @Test func `one step is cancelled, and the rest goes its way`() async throws {
        let run = try await directory.start("run", "--file", try slow(), "--output", "json")
        try await run.waitForError("step sleeps started")
        let id = try #require(try await rows().first?["id"] as? String)
        let typo = try await directory.voidbox("cancel", id, "--stage", "slep")
        #expect(typo.status == 2 && typo.errors.contains("is none of the run's"), "\(typo.errors)")
        #expect(try await directory.voidbox("cancel", id, "--stage", "sleeps", "--reason", "too long").status == 0)
        let result = try await run.end()
        #expect(result.status == 1)
        let failure = try result.json["failure"] as? [String: Any]
        #expect(failure?["message"] as? String == "failed steps: sleeps (too long)")
    }

    @Test func `of a run that was killed, ps tells the truth and the events are there`() async throws {
        let run = try await directory.start("run", "--file", try slow())
        try await run.waitForError("step sleeps started")
        let id = try #require(try await rows().first?["id"] as? String)
        run.send(Signal.kill)
        _ = try await run.end()
        #expect(try await rows().isEmpty)
        #expect(try await rows("--all").first?["state"] as? String == "killed")
        let events = try lines(try await directory.voidbox("events", "-f", id))
        #expect(events.last?["event_type"] as? String == "stage.started")
        #expect(events.last?["stage_name"] as? String == "sleeps")
        let report = try await directory.voidbox("report", id)
        #expect(report.status == 2 && report.errors.contains("it was killed"))
        let page = try await directory.voidbox("report", "--html", id)
        #expect(page.status == 0 && page.output.contains("The process of this run was killed"))
        #expect(page.output.contains("a line &lt;b&gt;of&lt;/b&gt;") && !page.output.contains("<b>of"))
    }

    @Test func `a state directory that cannot be written is a warning, and the run goes on`() async throws {
        let example = Repository.example("workflow.yaml")
        let result = try await VoidBoxProcess.run(
            "run",
            "--mode",
            "mock",
            "--file",
            example,
            environment: ["VOIDBOX_STATE_DIR": "/dev/null/x"],
        )
        #expect(result.status == 0)
        #expect(result.errors.contains("warning: the run is not recorded: mkdir /dev/null"), "\(result.errors)")
    }

    @Test func `a step that fails is named in the status, the report and the page`() async throws {
        let file = try directory.write(
            "fails.yaml",
            """
            kind: workflow
            name: "fails <script>alert(1)</script>"
            sandbox: {mode: mock}
            workflow:
              steps:
                - {name: "\\"><img src=x>", run: {program: sh, args: [-c, exit 3]}}
                - {name: b, run: {program: sh, args: [-c, kill -9 $$]}}
            """,
        )
        let result = try await directory.voidbox("run", "--file", file)
        #expect(result.status == 1)
        #expect(result.errors.contains("error: failed steps: \"><img src=x> (exit status 3), b (signal 9)"))
        let id = try #require(try await rows("--all").first?["id"] as? String)
        let page = try await directory.voidbox("report", "--html", id).output
        #expect(!page.contains("<script") && !page.contains("<img"), "everything is escaped")
        #expect(page.contains("&lt;script&gt;alert(1)") && page.contains("default-src 'none'"))
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            #expect(!page.replacing("src=x", with: "").contains(outside), "\(outside)")
        }
    }
}
