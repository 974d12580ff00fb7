internal import Sandboxing

/// What the two ends of a terminal's socket tell each other: a byte for the kind, four for the length, big-endian, and the
/// payload. Both ends are the same program, of perhaps two versions.
enum TerminalFrame: Hashable, Sendable {
    // MARK: From the one who watches

    case input([UInt8])
    case size(TerminalSize)
    /// Leaves: the program goes on.
    case detach
    /// As Ctrl-C before there is a program that could get it.
    case interrupt
    /// The terminal is as it was before: others may write to it.
    case restored

    // MARK: From the one who holds the box

    /// The program is there. With the id of the run, which is empty where it cannot be left.
    case began(run: String)
    case output([UInt8])
    case exited
    /// Nothing follows: the exit status of the command, and what is to be said.
    case ended(Int32, String)
    case detached
    /// Somebody else has the terminal now.
    case dismissed(String)

    /// Of a payload. Larger ones are a violation.
    static let limit = 1 << 20

    private var kind: UInt8 {
        switch self {
        case .input: 1
        case .size: 2
        case .detach: 3
        case .interrupt: 4
        case .restored: 5
        case .began: 65
        case .output: 66
        case .exited: 67
        case .ended: 68
        case .detached: 69
        case .dismissed: 70
        }
    }

    private var payload: [UInt8] {
        switch self {
        case .input(let bytes), .output(let bytes): bytes
        case .size(let size): Self.bytes(size.columns) + Self.bytes(size.rows)
        case .began(let text), .dismissed(let text): Array(text.utf8)
        case .ended(let status, let text): Self.bytes(status) + Array(text.utf8)
        case .detach, .interrupt, .restored, .exited, .detached: []
        }
    }

    var encoded: [UInt8] {
        let payload = payload
        return [kind] + Self.bytes(UInt32(payload.count)) + payload
    }

    private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
        stride(from: value.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    private static func number<Value: FixedWidthInteger>(_ bytes: some Collection<UInt8>) -> Value {
        bytes.reduce(0) { $0 << 8 | Value(truncatingIfNeeded: $1) }
    }

    /// Nil for a kind that this version does not know.
    private init?(kind: UInt8, _ payload: ArraySlice<UInt8>) throws(Violation) {
        func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
        switch kind {
        case 1: self = .input(Array(payload))
        case 2:
            guard payload.count == 4 else { throw .malformed(kind: kind, count: payload.count) }
            self = .size(TerminalSize(columns: Self.number(payload.prefix(2)), rows: Self.number(payload.suffix(2))))
        case 3: self = .detach
        case 4: self = .interrupt
        case 5: self = .restored
        case 65: self = .began(run: text(payload))
        case 66: self = .output(Array(payload))
        case 67: self = .exited
        case 68:
            guard payload.count >= 4 else { throw .malformed(kind: kind, count: payload.count) }
            self = .ended(Self.number(payload.prefix(4)), text(payload.dropFirst(4)))
        case 69: self = .detached
        case 70: self = .dismissed(text(payload))
        default: return nil
        }
    }

    enum Violation: Error, Hashable {
        case tooLong(kind: UInt8, count: Int)
        case malformed(kind: UInt8, count: Int)
    }

    /// Cuts what arrives into frames. Holds one that is not complete.
    struct Decoder: Sendable {
        private var pending: [UInt8] = []

        mutating func feed(_ bytes: [UInt8]) throws(Violation) -> [TerminalFrame] {
            pending += bytes
            var frames: [TerminalFrame] = []
            var start = 0
            while pending.count - start >= 5 {
                let kind = pending[start]
                let count = Int(TerminalFrame.number(pending[(start + 1)..<(start + 5)]) as UInt32)
                guard count <= TerminalFrame.limit else { throw .tooLong(kind: kind, count: count) }
                guard pending.count - start - 5 >= count else { break }
                let payload = pending[(start + 5)..<(start + 5 + count)]
                if let frame = try TerminalFrame(kind: kind, payload) { frames.append(frame) }
                start += 5 + count
            }
            pending.removeFirst(start)
            return frames
        }
    }
}
