/// The first line of a host's connection, `CONNECT <port>\n`, which Firecracker's convention wants. Bytes behind it are the
/// stream's.
struct VsockGreeting: Hashable, Sendable {
    enum Progress: Hashable, Sendable {
        case incomplete
        case connect(port: UInt32, rest: [UInt8])
        /// It is something else.
        case refused
    }

    /// A port has ten digits at most.
    static let maxLength = 32
    private static let word = Array("CONNECT ".utf8)

    private var bytes: [UInt8] = []

    mutating func receive(_ more: [UInt8]) -> Progress {
        bytes += more
        guard let end = bytes.firstIndex(of: 0x0A) else { return bytes.count < Self.maxLength ? .incomplete : .refused }
        let line = bytes[..<end]
        let digits = line.dropFirst(Self.word.count)
        // Digits alone, as a number's initializer takes a sign too.
        guard end < Self.maxLength, line.starts(with: Self.word), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt32(String(decoding: digits, as: UTF8.self))
        else { return .refused }
        return .connect(port: port, rest: Array(bytes[(end + 1)...]))
    }

    static func answer(hostPort: UInt32) -> [UInt8] { Array("OK \(hostPort)\n".utf8) }
}
