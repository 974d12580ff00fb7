package import LinuxSystem

/// Reads the events of a run, also while they are written.
///
/// A line that has no end yet is left for the next call: its writer may be about to complete it, or was killed in it.
package struct EventReader: ~Copyable {
    private let file: OwnedFD
    private var offset: UInt64 = 0
    private var pending: [UInt8] = []
    /// Complete lines that were no events.
    package private(set) var unreadableLines = 0

    package init(_ path: String) throws(SyscallError) {
        file = try FileSystem.openForReading(path)
    }

    /// The events that have been completed since the last call, up to some number; empty where there are none now.
    package mutating func next() throws(SyscallError) -> [RecordedEvent] {
        var events: [RecordedEvent] = []
        while events.isEmpty {
            let bytes = try file.read(at: offset, count: 1 << 18)
            if bytes.isEmpty { return events }
            offset += UInt64(bytes.count)
            pending += bytes
            guard let end = pending.lastIndex(of: 0x0A) else { continue }
            for line in pending[...end].split(separator: 0x0A) {
                do {
                    events.append(try JSONLines.decode(line))
                } catch {
                    unreadableLines += 1
                }
            }
            pending = Array(pending[(end + 1)...])
        }
        return events
    }
}

extension RunStore {
    /// Hands over the events of a run in order. With `follows`, waits for more until the run has ended.
    ///
    /// - Returns: Lines that could not be read.
    package func events(
        of id: RunID,
        follows: Bool,
        _ body: (RecordedEvent) throws -> Void,
    ) async throws -> Int {
        var reader = try EventReader(eventsFile(id))
        while true {
            // Asked before reading: what was written before the end is read after it was seen.
            let isRunning = follows && isRunning(id)
            while case let events = try reader.next(), !events.isEmpty {
                for event in events { try body(event) }
            }
            guard isRunning else { return reader.unreadableLines }
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
