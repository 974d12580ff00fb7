import AgentRuntimes
import Foundation
import LinuxSystem
import Testing

@testable import Runs

@Suite("Recorded runs") final class RunStoreTests: Sendable {
    private let place = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID())")
    private var store: RunStore { RunStore(stateDirectory: place.path) }

    deinit {
        try? FileManager.default.removeItem(at: place)
    }

    private func begin(_ name: String = "x", at milliseconds: Int64 = 1_700_000_000_000) throws -> RunJournal {
        try store.begin(
            RunRecord(
                id: RunID.make(unixNanoseconds: milliseconds * 1_000_000),
                name: name,
                kind: "workflow",
                file: "/s.yaml",
                mode: "mock",
                startedMilliseconds: milliseconds,
                process: try #require(ProcessIdentity.current),
            )
        )
    }

    private func events(_ id: RunID) async throws -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        _ = try await store.events(of: id, follows: false) { events.append($0) }
        return events
    }

    @Test func `ids are UUIDs of version 7 that sort by time`() throws {
        let ids = (0..<50).map { RunID.make(unixNanoseconds: 1_700_000_000_000_000_000 + $0 * 1000) }
        #expect(ids == ids.sorted() && Set(ids).count == 50)
        let text = ids[0].text
        #expect(text.hasPrefix("018bcfe5-6800-7") && text.count == 36)
        #expect("89ab".contains(text[text.index(text.startIndex, offsetBy: 19)]), "the variant of RFC 9562")
        #expect(RunID(text) == ids[0])
        for wrong in ["", "018bcfe5", text.uppercased(), text + "0", "../\(text.dropFirst(3))", "\(text.dropLast())g"] {
            #expect(RunID(wrong) == nil, "\(wrong)")
        }
    }

    @Test func `events are there in order as soon as they were appended`() async throws {
        let journal = try begin()
        for number in 1...3 { journal.append(EventDraft(.logChunk, "line \(number)\nwith two lines")) }
        let events = try await events(journal.id)
        #expect(events.map(\.seq) == [1, 2, 3])
        #expect(events.map(\.message) == (1...3).map { "line \($0)\nwith two lines" })
        #expect(events.allSatisfy { $0.typeV2 == "LogChunk" && $0.version == 1 && $0.runID == journal.id })
        let line = try #require(try FileSystem.readText(store.eventsFile(journal.id)).split(separator: "\n").first)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        for key in [
            "version", "seq", "event_id", "run_id", "attempt_id", "ts_ms", "timestamp", "level", "event_type",
            "event_type_v2", "message", "environment_id",
        ] { #expect(object[key] != nil, "\(key)") }
    }

    @Test func `what a service publishes has a limit of its own, and that it is reached is told once`() async throws {
        let journal = try begin()
        let recorder = RunRecorder(journal)
        var version = OutputVersion(number: 1, file: "/o", sizeBytes: 4096, mediaType: "text/plain")
        version.text = String(repeating: "x", count: 4096)
        for number in 1...1100 {
            version.number = number
            recorder.record(.outputPublished(StageName(ofBox: "b"), version))
        }
        recorder.record(.agent(box: "b", .text("still heard")))
        let events = try await events(journal.id)
        let published = events.filter { $0.type == .outputReady }
        let texts = published.filter { $0.payload?["text"] != nil }
        #expect(published.count == 1100 && texts.count == (4 << 20) / (4096 + 32))
        #expect(events.filter { $0.type == .warning }.map(\.seq) == [UInt64(texts.count + 2)])
        #expect(events.last?.type == .logChunk && events.last?.message == "still heard")
    }

    @Test func `lines without text use up a log, too`() async throws {
        let journal = try begin()
        let recorder = RunRecorder(journal)
        for _ in 0..<5 { recorder.record(.agent(box: "b", .stderr(String(repeating: "\n", count: 1 << 15)))) }
        recorder.record(.stageFinished(StageName(ofBox: "b"), StageReport(name: "b", status: .succeeded)))
        let events = try await events(journal.id)
        #expect(events.filter { $0.type == .logChunk }.count == 3)
        #expect(events.filter { $0.type == .logClosed }.count == 1)
    }

    @Test func `a line that was torn is no event, and the ones before it are`() async throws {
        let journal = try begin()
        journal.append(EventDraft(.runStarted, "whole"))
        try FileSystem.openForAppending(store.eventsFile(journal.id)).writeAll("not an event\n{\"seq\": 2, \"mess")
        var events: [RecordedEvent] = []
        let unreadable = try await store.events(of: journal.id, follows: false) { events.append($0) }
        #expect(events.map(\.message) == ["whole"])
        #expect(unreadable == 1, "the torn one is not complete, and no error")
    }

    @Test func `a run is running as long as its lock is held, then what its report says`() async throws {
        var journal: RunJournal? = try begin()
        let id = try #require(journal?.id)
        #expect(try store.listing(id).state == .running)
        var report = RunReport(name: "x", kind: "workflow")
        report.success = true
        report.durationMilliseconds = 1500
        try journal?.finish(report)
        let listing = try store.listing(id)
        #expect(listing.state == .succeeded && listing.report == report)
        #expect(listing.endedMilliseconds == 1_700_000_001_500)
        #expect(try await events(id).last?.type == .runFinished)
        journal?.append(EventDraft(.logChunk, "late"))
        #expect(try await events(id).last?.type == .runFinished, "after the end there is nothing")
        journal = nil
        // One whose process is gone without a report.
        let killed = try begin().id
        #expect(try store.listing(killed).state == .killed)
    }

    @Test func `a run that ends while somebody follows is followed to its last event`() async throws {
        let journal = try begin()
        let store = store
        let follower = Task {
            var types: [EventType] = []
            _ = try await store.events(of: journal.id, follows: true) { types.append($0.type) }
            return types
        }
        journal.append(EventDraft(.runStarted, "a"))
        journal.append(EventDraft(.logChunk, "b"))
        try journal.finish(RunReport(name: "x", kind: "workflow"))
        #expect(try await follower.value == [.runStarted, .logChunk, .runFailed])
    }

    @Test func `a damaged run hides no other`() throws {
        let good = try begin("good")
        let bad = try begin("bad")
        try FileSystem.replace("\(store.directoryOfRun(bad.id))/run.json", with: "{\"torn")
        let list = try store.list()
        #expect(list.runs.map(\.record.name) == ["good"])
        #expect(list.unreadable.map(\.id) == [bad.id])
        #expect(good.failure == nil)
    }

    @Test func `a beginning that only one run has names it`() throws {
        let first = try begin(at: 1_700_000_000_000).id
        _ = try begin(at: 1_700_000_000_000)
        let other = try begin(at: 1_800_000_000_000).id
        #expect(try store.resolve(String(other.text.prefix(4))) == other)
        #expect(try store.resolve(first.text.uppercased()) == first)
        let many = #expect(throws: RunFailure.self) { try store.resolve("018b") }
        #expect(many?.message.contains("2 runs begin with") == true)
        #expect(throws: RunFailure.self) { try store.resolve("ffff") }
        #expect(throws: RunFailure.self) { try store.resolve("") }
    }

    @Test func `a running run is not removed, an ended one is with all it has`() throws {
        var journal: RunJournal? = try begin()
        let id = try #require(journal?.id)
        #expect(throws: RunFailure.self) { try store.remove(id) }
        try FileSystem.makeDirectories("\(store.directoryOfRun(id))/artifacts/deep/er")
        try journal?.finish(RunReport(name: "x", kind: "workflow"))
        journal = nil
        try store.remove(id)
        #expect(try FileManager.default.contentsOfDirectory(atPath: store.root) == [])
    }

    @Test func `what a killed run left for nobody goes when the next one begins`() throws {
        let killed = try begin().id
        let work = "\(store.directoryOfRun(killed))/work"
        try FileSystem.makeDirectories("\(work)/boxes/0")
        let running = try begin()
        try FileSystem.makeDirectories(running.workDirectory)
        _ = try begin()
        #expect(!FileSystem.exists(work))
        #expect(FileSystem.exists(running.workDirectory), "it is in use")
    }

    @Test func `requests reach the run once each`() throws {
        let journal = try begin()
        #expect(journal.newRequests().isEmpty)
        let control = "\(journal.directory)/control.jsonl"
        try FileSystem.openForAppending(control).writeAll("{\"cancel_stage\":\"a\"}\nno request\n{\"rea")
        #expect(journal.newRequests() == [RunRequest(cancelStage: "a", reason: nil)])
        try FileSystem.openForAppending(control).writeAll("son\":\"b\"}\n")
        #expect(journal.newRequests() == [RunRequest(cancelStage: nil, reason: "b")])
    }

    @Test func `only the owner may look into a run`() throws {
        let journal = try begin()
        #expect(try FileSystem.status(of: store.root).mode & 0o077 == 0)
        #expect(try FileSystem.status(of: journal.directory).mode & 0o077 == 0)
        #expect(try FileSystem.status(of: store.eventsFile(journal.id)).mode & 0o077 == 0)
    }

    @Test(arguments: [
        (["VOIDBOX_STATE_DIR": "/s", "XDG_STATE_HOME": "/x", "HOME": "/h"], "/s"),
        (["XDG_STATE_HOME": "/x", "HOME": "/h"], "/x/voidbox"),
        (["XDG_STATE_HOME": "relative", "HOME": "/h"], "/h/.local/state/voidbox"),
        ([:], nil),
    ])
    func `the state directory is where the variables say`(_ environment: [String: String], _ path: String?) {
        #expect(StateDirectory.path(environment: environment) == path)
    }
}
