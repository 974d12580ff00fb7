/// Where a span stands, as [W3C Trace Context](https://www.w3.org/TR/trace-context/) has it.
package struct TraceContext: Hashable, Sendable {
    /// 32 hexadecimal digits, not all 0.
    package let traceID: String
    /// 16 hexadecimal digits, not all 0.
    package let spanID: String

    private init(traceID: String, spanID: String) {
        self.traceID = traceID
        self.spanID = spanID
    }

    /// The first span of a new trace.
    package static func root() -> TraceContext {
        TraceContext(traceID: randomDigits(32), spanID: randomDigits(16))
    }

    /// A new span of the same trace.
    package func child() -> TraceContext {
        TraceContext(traceID: traceID, spanID: Self.randomDigits(16))
    }

    /// Of the header `traceparent`, or the variable `TRACEPARENT`; nil for what is none.
    package init?(traceparent text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, Self.isHexadecimal(parts[0], 2), parts[0] != "ff", Self.isHexadecimal(parts[1], 32),
            Self.isHexadecimal(parts[2], 16), Self.isHexadecimal(parts[3], 2), parts[0] != "00" || parts.count == 4,
            parts[1].contains(where: { $0 != "0" }), parts[2].contains(where: { $0 != "0" })
        else { return nil }
        traceID = String(parts[1])
        spanID = String(parts[2])
    }

    /// Every trace of ours is sampled.
    package var traceparent: String { "00-\(traceID)-\(spanID)-01" }

    private static func isHexadecimal(_ text: Substring, _ count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func randomDigits(_ count: Int) -> String {
        let digits = Array("0123456789abcdef")
        var generator = SystemRandomNumberGenerator()
        while true {
            let text = String((0..<count).map { _ in digits[Int.random(in: 0..<16, using: &generator)] })
            if text.contains(where: { $0 != "0" }) { return text }
        }
    }
}
