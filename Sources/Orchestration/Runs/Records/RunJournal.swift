internal import LinuxSystem
internal import Primitives
internal import Synchronization

/// The record of a run that is under way: its events as they happen, one line each, and its report at the end.
///
/// Every line is in the kernel's hands when `append` returns, so a process that is killed loses none. As long as this object
/// lives it holds a lock of the file of events: that, and not what a file says, is how others know that the run goes on.
/// Any thread; guarded by `state`.
package final class RunJournal: Sendable {
    package let id: RunID
    /// Of the run, absolute. Only its owner may look into it.
    package let directory: String

    /// Data of the run that nobody needs afterwards.
    package var workDirectory: String { "\(directory)/\(RunFiles.work)" }
    /// What the run leaves for its owner.
    package var artifactsDirectory: String { "\(directory)/\(RunFiles.artifacts)" }

    /// The lock of the file goes with it.
    private final class Events: Sendable {
        let file: OwnedFD
        init(_ file: consuming OwnedFD) { self.file = file }

        deinit {
            // Closing it is not enough: a box that is being spawned has a copy of every descriptor until its program
            // runs, and the lock is held as long as there is one. Where the kernel refuses, closing is all there is.
            try? file.setWholeFileLock(.none)
        }
    }

    private struct State {
        var events: Events?
        var seq: UInt64 = 0
        /// Of the control file, what was read.
        var controlOffset = 0
        var failure: String?
    }

    private let state: Mutex<State>

    init(id: RunID, directory: String, events: consuming OwnedFD) {
        self.id = id
        self.directory = directory
        state = Mutex(State(events: Events(events)))
    }

    /// Why events cannot be written, if they cannot. The run goes on.
    package var failure: String? { state.withLock { $0.failure } }

    /// Writes an event, giving it its number, id and time. After the run has ended, nothing.
    package func append(_ draft: EventDraft) {
        state.withLock { state in
            guard state.failure == nil, let events = state.events else { return }
            state.seq += 1
            let nanoseconds = HostFacts.unixNanoseconds
            let event = RecordedEvent(draft, run: id, seq: state.seq, unixNanoseconds: nanoseconds)
            do {
                try events.file.writeAll(try JSONLines.encode(event))
            } catch {
                state.failure = "\(error)"
            }
        }
    }

    /// Requests that others made since the last call, such as `voidbox cancel`.
    package func newRequests() -> [RunRequest] {
        state.withLock { state in
            // Without the file there are none.
            guard let bytes = try? FileSystem.read("\(directory)/\(RunFiles.control)") else { return [] }
            let fresh = bytes.dropFirst(state.controlOffset)
            guard let end = fresh.lastIndex(of: 0x0A) else { return [] }
            state.controlOffset = end + 1
            return fresh[...end].split(separator: 0x0A).compactMap { line in
                // Written by programs of ours; one of another version may say what this one does not know.
                try? JSONLines.decode(line)
            }
        }
    }

    /// Removes what the run does not need any more. Throws `SyscallError`.
    package func removeWorkDirectory() throws {
        try FileSystem.removeTree(RunFiles.work, in: try Directory(directory))
    }

    /// Writes the report, after which the run has ended for everybody.
    package func finish(_ report: RunReport) throws {
        append(EventDraft(end: report))
        let bytes = try JSONLines.encode(report)
        try state.withLock { state in
            try state.events?.file.synchronize(dataOnly: false)
            try FileSystem.replaceAtomically(RunFiles.report, in: try Directory(directory), with: bytes)
            // With it goes the lock, now that the report is there.
            state.events = nil
        }
    }
}

/// What a run's directory holds.
package enum RunFiles {
    static let record = "run.json"
    static let events = "events.jsonl"
    static let control = "control.jsonl"
    static let report = "report.json"
    static let work = "work"
    static let artifacts = "artifacts"
    /// Of a shell: where its terminal is reached while it runs, and what it said to nobody.
    package static let terminal = "terminal.sock"
    package static let terminalLog = "terminal.log"
}

/// What somebody wants of a run that is under way: a line of `control.jsonl`.
package struct RunRequest: Codable, Hashable, Sendable {
    /// The stage to cancel; nil for the whole run.
    package var cancelStage: String?
    package var reason: String?

    package enum CodingKeys: String, CodingKey {
        case cancelStage = "cancel_stage"
        case reason
    }

    package init(cancelStage: String?, reason: String?) {
        self.cancelStage = cancelStage
        self.reason = reason
    }
}

/// An event before it has a number and a time.
package struct EventDraft: Sendable {
    var type: EventType
    var message: String
    var level = RecordedEvent.Level.info
    var box: String?
    var stage: String?
    var group: Int?
    var stream: String?
    var mode: String?
    var payload: [String: JSONValue] = [:]

    init(_ type: EventType, _ message: String) {
        self.type = type
        self.message = message
    }
}

extension RecordedEvent {
    init(_ draft: EventDraft, run: RunID, seq: UInt64, unixNanoseconds: Int64) {
        let milliseconds = unixNanoseconds / 1_000_000
        self.init(
            seq: seq,
            eventID: RunID.make(unixNanoseconds: unixNanoseconds),
            runID: run,
            timestampMilliseconds: milliseconds,
            timestamp: JSONLines.timestamp(milliseconds: milliseconds),
            level: draft.level,
            type: draft.type,
            typeV2: draft.type.v2,
            message: draft.message,
            environmentID: "env-\(run)",
            boxName: draft.box,
            stageName: draft.stage,
            groupID: draft.group.map { "g\($0)" },
            stream: draft.stream,
            mode: draft.mode,
            payload: draft.payload.isEmpty ? nil : draft.payload,
        )
    }
}
