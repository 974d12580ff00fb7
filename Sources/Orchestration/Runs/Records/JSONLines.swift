internal import Foundation

/// One JSON object a line.
enum JSONLines {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [0x0A]
    }

    static func decode<Value: Decodable>(_ line: some Collection<UInt8>, as _: Value.Type = Value.self) throws -> Value
    {
        try JSONDecoder().decode(Value.self, from: Data(line))
    }

    /// RFC 3339 with milliseconds, in UTC.
    static func timestamp(milliseconds: Int64) -> String {
        // Half a millisecond more: what is cut off must not be the last one.
        Date(timeIntervalSince1970: (Double(milliseconds) + 0.5) / 1000)
            .formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
