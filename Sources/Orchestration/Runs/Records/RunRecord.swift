package import LinuxSystem

/// What is known of a run from its beginning: `run.json` in its directory.
package struct RunRecord: Codable, Hashable, Sendable {
    package var version = 1
    package var id: RunID
    package var name: String
    package var kind: String
    /// The specification, as it was named.
    package var file: String
    package var mode: String
    /// Milliseconds since 1970.
    package var startedMilliseconds: Int64
    package var process: ProcessIdentity

    package enum CodingKeys: String, CodingKey {
        case version, id, name, kind, file, mode
        case startedMilliseconds = "started_ms"
        case process
    }

    package init(
        id: RunID,
        name: String,
        kind: String,
        file: String,
        mode: String,
        startedMilliseconds: Int64,
        process: ProcessIdentity,
    ) {
        self.id = id
        self.name = name
        self.kind = kind
        self.file = file
        self.mode = mode
        self.startedMilliseconds = startedMilliseconds
        self.process = process
    }
}

/// How a run is, by what can be seen and not by what a file says of a process that may be gone.
package enum RunState: String, Codable, Sendable, CaseIterable {
    case running, succeeded, failed, cancelled
    /// Its process ended without a report: it was killed, or the host went down.
    case killed
}

/// A run as `voidbox ps` lists it.
package struct RunListing: Hashable, Sendable {
    package var record: RunRecord
    package var state: RunState
    /// Nil while it runs, and of one that was killed.
    package var report: RunReport?
    /// When the last thing was written; nil while it runs.
    package var endedMilliseconds: Int64?
}
