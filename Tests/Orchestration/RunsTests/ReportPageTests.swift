import LinuxSystem
import Primitives
import Testing

@testable import Runs

@Suite("Page of a run") struct ReportPageTests {
    private let id = RunID.make(unixNanoseconds: 1_700_000_000_000_000_000)
    private let evil = "<script>alert('x')</script> & \"quoted\" \u{1B}[31m\u{202E}"

    private func listing(_ state: RunState, _ report: RunReport? = nil) -> RunListing {
        let record = RunRecord(
            id: id,
            name: evil,
            kind: "pipeline",
            file: "/a/\(evil).yaml",
            mode: "mock",
            startedMilliseconds: 1_700_000_000_000,
            process: ProcessIdentity(pid: 1, startTime: 1),
        )
        return RunListing(record: record, state: state, report: report, endedMilliseconds: 1_700_000_004_000)
    }

    private func event(
        _ type: EventType,
        at milliseconds: Int64,
        _ message: String = "",
        stage: String,
        tool: String? = nil,
    ) -> RecordedEvent {
        var draft = EventDraft(type, message)
        draft.box = stage
        draft.stage = stage
        if let tool { draft.payload = ["tool_use_id": .string(tool)] }
        return RecordedEvent(draft, run: id, seq: 1, unixNanoseconds: (1_700_000_000_000 + milliseconds) * 1_000_000)
    }

    @Test func `everything that comes from elsewhere is escaped`() {
        var report = RunReport(name: evil, kind: "pipeline")
        report.output = evil
        report.failure = RunFailure(.run, evil, hint: evil)
        report.stageResults = [StageReport(name: evil, status: .failed, error: evil)]
        report.artifacts = [ArtifactReport(name: evil, mediaType: evil, sizeBytes: 1, path: evil)]
        var page = ReportPage(listing(.failed, report))
        for type in [EventType.stageStarted, .toolStarted, .logChunk, .stageFailed, EventType(rawValue: evil)] {
            page.add(event(type, at: 10, evil, stage: evil, tool: evil))
        }
        let html = page.html
        #expect(!html.contains("<script") && !html.contains("\u{1B}") && !html.contains("\u{202E}"))
        #expect(!html.contains("\"quoted\""))
        #expect(
            html.contains(
                "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot; \u{FFFD}[31m\u{FFFD}"
            )
        )
    }

    @Test func `bars begin and end when their stages and tools did`() {
        var timeline = ReportTimeline(origin: 1_700_000_000_000)
        for event in [
            event(.environmentProvisioned, at: 0, stage: "a"), event(.boxStarted, at: 500, stage: "a"),
            event(.stageStarted, at: 500, stage: "a"), event(.toolStarted, at: 600, "Bash  ls", stage: "a", tool: "1"),
            event(.toolFinished, at: 900, stage: "a", tool: "1"), event(.stageFailed, at: 1000, stage: "a"),
            event(.stageStarted, at: 1000, stage: "b"),
        ] { timeline.add(event) }
        let rows = timeline.result
        #expect(rows.map(\.title) == ["a", "Bash  ls", "b"])
        #expect(rows[0].bars.map(\.start) == [0, 500] && rows[0].bars.map(\.end) == [500, 1000])
        #expect(rows[0].bars.map(\.kind) == [.boot, .failed] && rows[0].note == "failed")
        #expect(rows[1].bars.map(\.end) == [900])
        #expect(rows[2].bars.map(\.end) == [nil], "it had not ended")
        #expect(timeline.end == 1000)
    }

    @Test func `a stage with very many calls shows the first ones`() {
        var timeline = ReportTimeline(origin: 1_700_000_000_000)
        for number in 0..<500 {
            timeline.add(event(.toolStarted, at: Int64(number), "t", stage: "a", tool: "\(number)"))
        }
        #expect(timeline.result.count == 1 + ReportTimeline.maxToolsPerStage)
        #expect(timeline.uncountedTools == ["a": 300])
    }
}
