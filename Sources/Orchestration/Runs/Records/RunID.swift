internal import LinuxSystem

/// Names a run for ever: a UUID of version 7 (RFC 9562), so that names sort by the time of their making.
package struct RunID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// 36 characters, lower case.
    package let text: String

    /// Nil for text that is no such UUID in lower case.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 36, bytes[14] == UInt8(ascii: "7") else { return nil }
        for (index, byte) in bytes.enumerated() {
            switch (index, byte) {
            case (8, UInt8(ascii: "-")), (13, UInt8(ascii: "-")), (18, UInt8(ascii: "-")), (23, UInt8(ascii: "-")):
                continue
            case (8, _), (13, _), (18, _), (23, _): return nil
            case (_, UInt8(ascii: "0")...UInt8(ascii: "9")), (_, UInt8(ascii: "a")...UInt8(ascii: "f")): continue
            default: return nil
            }
        }
        self.text = text
    }

    /// A new one. Two of the same millisecond sort by its fraction.
    package static func make(unixNanoseconds: Int64 = HostFacts.unixNanoseconds) -> RunID {
        let time = UInt64(clamping: unixNanoseconds)
        let fraction = (time % 1_000_000) * 4096 / 1_000_000
        let upper = ((time / 1_000_000) << 16) | 0x7000 | fraction
        let lower = (UInt64.random(in: .min ... .max) >> 2) | 0x8000_0000_0000_0000
        let digits = hexadecimal(upper) + hexadecimal(lower)
        var text = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(digit)
        }
        return RunID(unchecked: text)
    }

    private init(unchecked text: String) {
        self.text = text
    }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    package var description: String { text }

    package static func < (left: RunID, right: RunID) -> Bool { left.text < right.text }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = RunID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no id of a run")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
