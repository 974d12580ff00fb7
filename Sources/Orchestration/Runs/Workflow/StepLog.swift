internal import Sandboxing

/// Cuts what a step writes into lines for people who watch, and stops at a limit: a log is not where data goes.
struct StepLog {
    /// A longer line is told in pieces.
    private static let pieceLimit = 8 << 10

    private var pending: [OutputStream: [UInt8]] = [:]
    /// As the record has it.
    private var told = 0
    private(set) var droppedBytes: UInt64 = 0

    /// The lines that an event completes.
    mutating func lines(of event: ExecEvent) -> [(OutputStream, String)] {
        switch event {
        case .stdout(let bytes): feed(bytes, .stdout)
        case .stderr(let bytes): feed(bytes, .stderr)
        case .exited: finish()
        }
    }

    private mutating func feed(_ bytes: [UInt8], _ stream: OutputStream) -> [(OutputStream, String)] {
        let room = take(bytes)
        droppedBytes += UInt64(bytes.count - room)
        var rest = (pending[stream] ?? []) + bytes.prefix(room)
        var lines: [(OutputStream, String)] = []
        while true {
            let end = rest.prefix(Self.pieceLimit + 1).firstIndex(of: 0x0A)
            guard let cut = end ?? Self.cut(of: rest) else { break }
            lines.append((stream, String(decoding: rest[..<cut], as: UTF8.self)))
            rest.removeFirst(end == nil ? cut : cut + 1)
        }
        pending[stream] = rest
        return lines
    }

    /// How many of the bytes are within the limit.
    private mutating func take(_ bytes: [UInt8]) -> Int {
        for (index, byte) in bytes.enumerated() {
            told += RunRecorder.cost(of: byte)
            if told > RunRecorder.logLimit { return index }
        }
        return bytes.count
    }

    /// Where to cut a line that is too long: between two characters, if it is UTF-8.
    private static func cut(of line: [UInt8]) -> Int? {
        guard line.count > pieceLimit else { return nil }
        var cut = pieceLimit
        while cut > pieceLimit - 3, line[cut] & 0xC0 == 0x80 { cut -= 1 }
        return cut
    }

    private mutating func finish() -> [(OutputStream, String)] {
        defer { pending = [:] }
        return [OutputStream.stdout, .stderr].compactMap { stream in
            guard let rest = pending[stream], !rest.isEmpty else { return nil }
            return (stream, String(decoding: rest, as: UTF8.self))
        }
    }
}
