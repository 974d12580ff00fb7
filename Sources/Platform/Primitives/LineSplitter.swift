/// Cuts a stream of bytes into lines, whatever the pieces it arrives in. Each byte is looked at once.
package struct LineSplitter: Sendable {
    package struct TooLong: Error, Hashable, Sendable {
        package let limit: Int
    }

    private let limit: Int
    private var pending: [UInt8] = []

    /// - Parameter limit: The longest line, in bytes: what one line may make the host hold.
    package init(limit: Int) {
        self.limit = limit
    }

    /// The lines that `bytes` complete, without their ends.
    package mutating func feed(_ bytes: [UInt8]) throws(TooLong) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 0x0A) {
            guard pending.count + end - rest.startIndex <= limit else { throw TooLong(limit: limit) }
            lines.append(pending + rest[..<end])
            pending = []
            rest = rest[(end + 1)...]
        }
        guard pending.count + rest.count <= limit else { throw TooLong(limit: limit) }
        pending += rest
        return lines
    }

    /// What is left when the stream ends without a line end; nil for nothing.
    package mutating func finish() -> [UInt8]? {
        defer { pending = [] }
        return pending.isEmpty ? nil : pending
    }
}
