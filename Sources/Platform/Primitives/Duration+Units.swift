extension Duration {
    /// Whole milliseconds; zero for a negative duration, saturating.
    package var wholeMilliseconds: UInt64 { wholeNanoseconds / 1_000_000 }

    /// Whole nanoseconds; zero for a negative duration, saturating at 2^64 (some 584 years).
    package var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let scaled = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        let sum = scaled.partialValue.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000))
        return scaled.overflow || sum.overflow ? .max : sum.partialValue
    }

    package init(wholeNanoseconds: UInt64) {
        let (seconds, rest) = wholeNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        self = .seconds(Int64(seconds)) + .nanoseconds(Int64(rest))
    }
}
