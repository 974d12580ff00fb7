internal import LinuxSystem

/// The runs that are recorded below a state directory: one directory each, named by its id.
///
/// Nothing is kept in memory, so any number of processes may use one store.
package struct RunStore: Sendable {
    /// Absolute.
    package let root: String

    /// - Parameter stateDirectory: Made when the first run begins.
    package init(stateDirectory: String) {
        root = "\(stateDirectory)/runs"
    }

    private func directory(_ id: RunID) -> String { "\(root)/\(id)" }

    // MARK: Writing

    /// Makes the record of a run that begins now.
    package func begin(_ record: RunRecord) throws -> RunJournal {
        try FileSystem.makeDirectories(root, mode: 0o700)
        // What cannot be removed now is there next time; this run is not about it.
        try? removeLeftovers()
        let runs = try Directory(root)
        // Others see it when it is complete and locked.
        let staging = ".new-\(record.id)"
        try runs.makeDirectory(staging, mode: 0o700)
        do {
            let place = try runs.openDirectory(staging)
            _ = try place.create(RunFiles.events, mode: 0o600)
            _ = try place.create(RunFiles.control, mode: 0o600)
            try FileSystem.replaceAtomically(RunFiles.record, in: place, with: try JSONLines.encode(record))
            let events = try FileSystem.openForAppending("\(root)/\(staging)/\(RunFiles.events)")
            try events.setWholeFileLock(.write)
            try runs.rename(staging, to: runs, record.id.text)
            return RunJournal(id: record.id, directory: directory(record.id), events: events)
        } catch {
            // What made this fail is told; that the rest stays is not worth more.
            try? FileSystem.removeTree(staging, in: runs)
            throw error
        }
    }

    /// What runs that were killed left behind, and removals that were.
    private func removeLeftovers() throws {
        let runs = try Directory(root)
        for name in try runs.names() {
            if name.hasPrefix(Self.removed) {
                try FileSystem.removeTree(name, in: runs)
            } else if let id = RunID(name), FileSystem.exists("\(directory(id))/\(RunFiles.work)"), !isRunning(id) {
                try FileSystem.removeTree(RunFiles.work, in: try runs.openDirectory(name))
            }
        }
    }

    private static let removed = ".removed-"

    /// Removes the record of a run that has ended.
    package func remove(_ id: RunID) throws {
        guard !isRunning(id) else {
            throw RunFailure(.usage, "the run \(id) is under way", hint: "voidbox cancel \(id) ends it")
        }
        let runs = try Directory(root)
        try runs.rename(id.text, to: runs, Self.removed + id.text)
        try FileSystem.removeTree(Self.removed + id.text, in: runs)
    }

    // MARK: Reading

    /// Oldest first.
    package func ids() throws -> [RunID] {
        do throws(SyscallError) {
            return try Directory(root).names().compactMap { RunID($0) }.sorted()
        } catch {
            if error.errno == .notFound { return [] }
            throw error
        }
    }

    /// The run that an id, or the beginning of one, names.
    package func resolve(_ text: String) throws -> RunID {
        let matches = try ids().filter { $0.text.hasPrefix(text.lowercased()) }
        if matches.count == 1, !text.isEmpty { return matches[0] }
        if matches.isEmpty || text.isEmpty {
            throw RunFailure(.usage, "there is no run \"\(text)\"", hint: "voidbox ps --all lists them")
        }
        let some = matches.suffix(3).map(\.text).joined(separator: ", ")
        throw RunFailure(
            .usage,
            "\(matches.count) runs begin with \"\(text)\", such as \(some)",
            hint: "give more of it"
        )
    }

    /// Whether its process lives: whoever runs it holds a lock that the kernel takes from it when it ends, however it does.
    package func isRunning(_ id: RunID) -> Bool {
        do throws(SyscallError) {
            let events = try FileSystem.openForReading(eventsFile(id))
            try events.setWholeFileLock(.read)
            return false
        } catch {
            return error.errno == .again
        }
    }

    package func listing(_ id: RunID) throws -> RunListing {
        let record: RunRecord = try read(RunFiles.record, of: id)
        if isRunning(id) { return RunListing(record: record, state: .running) }
        // The lock goes after the report is there, so now it is or it never will be.
        guard FileSystem.exists("\(directory(id))/\(RunFiles.report)") else {
            let last = try? FileSystem.status(of: eventsFile(id)).modified
            return RunListing(record: record, state: .killed, endedMilliseconds: last?.milliseconds)
        }
        let report: RunReport = try read(RunFiles.report, of: id)
        let ended = record.startedMilliseconds + Int64(clamping: report.durationMilliseconds)
        return RunListing(record: record, state: report.state, report: report, endedMilliseconds: ended)
    }

    /// The runs, oldest first, and the ids of those whose record cannot be read, with the reason: one that is damaged hides
    /// no other.
    package func list(includingEnded: Bool = true) throws -> (
        runs: [RunListing], unreadable: [(id: RunID, reason: String)]
    ) {
        var runs: [RunListing] = []
        var unreadable: [(id: RunID, reason: String)] = []
        for id in try ids() where includingEnded || isRunning(id) {
            do {
                runs.append(try listing(id))
            } catch let error as SyscallError where error.errno == .notFound {
                // Removed meanwhile, unless its directory is still there.
                if FileSystem.exists(directory(id)) { unreadable.append((id, "\(error)")) }
            } catch {
                unreadable.append((id, "\(error)"))
            }
        }
        return (runs, unreadable)
    }

    package func eventsFile(_ id: RunID) -> String { "\(directory(id))/\(RunFiles.events)" }
    package func directoryOfRun(_ id: RunID) -> String { directory(id) }

    private func read<Value: Decodable>(_ file: String, of id: RunID) throws -> Value {
        let path = "\(directory(id))/\(file)"
        let bytes = try FileSystem.read(path, limit: 256 << 20)
        do {
            return try JSONLines.decode(bytes)
        } catch {
            throw RunFailure(.run, "\(path) is damaged", hint: "voidbox rm \(id) removes the run's record")
        }
    }

    // MARK: Asking a run

    /// Asks a run to cancel itself or one of its stages; it does so on its own.
    package func cancel(_ id: RunID, stage: String?, reason: String?) throws {
        let record: RunRecord = try read(RunFiles.record, of: id)
        guard isRunning(id) else { throw RunFailure(.usage, "the run \(id) has ended") }
        let request = try JSONLines.encode(RunRequest(cancelStage: stage, reason: reason))
        try FileSystem.openForAppending("\(directory(id))/\(RunFiles.control)").writeAll(request)
        do throws(SyscallError) {
            try record.process.signal(stage == nil ? Signal.terminate : Signal.user1)
        } catch {
            if error.errno == .noSuchProcess { throw RunFailure(.usage, "the run \(id) has ended") }
            throw error
        }
    }

    /// Ends the process of a run at once; its boxes end with it.
    package func kill(_ id: RunID) throws {
        let record: RunRecord = try read(RunFiles.record, of: id)
        guard isRunning(id) else { throw RunFailure(.usage, "the run \(id) has ended") }
        try record.process.signal(Signal.kill)
    }
}

extension FileTime {
    fileprivate var milliseconds: Int64 { seconds * 1000 + Int64(nanoseconds / 1_000_000) }
}

extension RunReport {
    package var state: RunState {
        if success { return .succeeded }
        return failure?.class == .interrupted ? .cancelled : .failed
    }
}
