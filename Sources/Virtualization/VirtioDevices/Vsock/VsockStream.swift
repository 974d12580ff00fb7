internal import ByteCodec
internal import LinuxSystem
internal import MachineMemory
internal import Virtio

/// The host's end of one connection, and what it has not taken yet. Confined to its device's loop.
final class VsockStream {
    enum Received: Hashable {
        case bytes(Int)
        /// Nothing now.
        case dry
        case end
    }

    private let stream: WatchedDescriptor
    /// Bounded by the connection's window.
    private var unsent = ByteQueue()
    /// What the host sent together with its first line.
    private var early: [UInt8]
    private var endsWriting = false
    /// The connection is over; only what is unsent keeps the stream.
    private(set) var isClosing = false
    /// The host has closed its end altogether.
    private(set) var isHungUp = false

    init(_ stream: WatchedDescriptor, early: [UInt8] = [], ready: @escaping (EventLoop.Readiness) -> Void) {
        self.stream = stream
        self.early = early
        stream.ready = ready
    }

    // MARK: To the host

    /// Sends what is in the guest's memory; how much of it the host took. The rest is kept.
    func send(_ data: [GuestRange]) throws(SyscallError) -> Int {
        var sent = 0
        if unsent.isEmpty {
            do throws(SyscallError) {
                sent = try stream.fd.write(from: data)
            } catch {
                if error.errno != .again { throw error }
            }
        }
        for range in data.withoutFirstBytes(sent) { unsent.append(range.read()) }
        if !unsent.isEmpty { try stream.add(.writable) }
        return sent
    }

    /// Sends a line of ours, before anything of the guest's. It fits.
    func greet(_ line: [UInt8]) throws(SyscallError) {
        guard try stream.fd.write(line[...]) == .wrote(line.count) else {
            throw SyscallError(.again, call: "write", on: "a new connection")
        }
    }

    /// Sends what was kept; how much of it the host took.
    func flush() throws(SyscallError) -> Int {
        var sent = 0
        while !unsent.isEmpty, case .wrote(let count) = try stream.fd.write(unsent.contents) {
            unsent.removeFirst(count)
            sent += count
        }
        if !unsent.isEmpty {
            try stream.add(.writable)
        } else if endsWriting {
            try stream.fd.shutDownWriting()
            endsWriting = false
        }
        return sent
    }

    var isFlushed: Bool { unsent.isEmpty }

    /// No more comes from the guest: the host sees the end behind what is unsent.
    func endWriting() throws(SyscallError) {
        endsWriting = true
        _ = try flush()
    }

    /// The host takes nothing any more.
    func discardUnsent() throws(SyscallError) {
        unsent.removeFirst(unsent.count)
        endsWriting = false
        try stream.drop(.writable)
    }

    /// Lives only until what is unsent is sent.
    func closeWhenFlushed() throws(SyscallError) {
        isClosing = true
        try stream.want(.writable)
    }

    func close() {
        stream.unwatch()
    }

    // MARK: From the host

    func read(into ranges: [GuestRange]) -> Received {
        if !early.isEmpty {
            let count = ranges.write(early[...])
            early.removeFirst(count)
            return .bytes(count)
        }
        do throws(SyscallError) {
            let count = try stream.fd.read(into: ranges)
            return count > 0 ? .bytes(count) : .end
        } catch {
            return error.errno == .again ? .dry : .end
        }
    }

    /// The guest takes no more.
    func endReading() throws(SyscallError) {
        try stream.drop(.readable)
        try stream.fd.shutDownReading()
    }

    func awaitData() throws(SyscallError) { try stream.add(.readable) }

    /// Takes note of what the loop reported, of which nothing is waited for any more.
    func took(_ readiness: EventLoop.Readiness) throws(SyscallError) {
        if readiness.isDisjoint(with: [.hangUp, .error]) {
            try stream.drop(EventLoop.Interest(rawValue: readiness.rawValue))
        } else {
            // These come unasked and again and again, as long as anything is watched.
            isHungUp = true
            stream.unwatch()
        }
    }
}
