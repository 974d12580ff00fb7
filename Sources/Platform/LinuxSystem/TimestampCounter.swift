internal import CLinux
internal import Glibc

/// The processor's time stamp counter.
package enum TimestampCounter {
    /// Its rate in kHz, measured against the monotonic clock when first asked, which takes 20 ms; nil on a processor
    /// without one.
    package static let kilohertz: UInt64? = {
        guard clinux_timestamp_counter() > 0 else { return nil }
        let first = sample()
        usleep(20_000)
        let second = sample()
        let (ticks, nanoseconds) = (second.counter &- first.counter, second.nanoseconds - first.nanoseconds)
        let (scaled, overflow) = ticks.multipliedReportingOverflow(by: 1_000_000)
        guard nanoseconds > 0, !overflow else { return nil }
        return scaled / nanoseconds
    }()

    /// Both clocks at one moment: of several tries the one that the least time passed in.
    private static func sample() -> (counter: UInt64, nanoseconds: UInt64) {
        var best: (window: UInt64, counter: UInt64, nanoseconds: UInt64)?
        for _ in 0..<32 {
            let before = monotonicNanoseconds()
            let counter = clinux_timestamp_counter()
            let after = monotonicNanoseconds()
            if best.map({ after - before < $0.window }) ?? true {
                best = (after - before, counter, before + (after - before) / 2)
            }
        }
        return best.map { ($0.counter, $0.nanoseconds) } ?? (0, 0)
    }

    private static func monotonicNanoseconds() -> UInt64 {
        var now = timespec()
        // SAFETY: clock_gettime fills the structure it is given; CLOCK_MONOTONIC_RAW always exists.
        _ = unsafe clock_gettime(CLOCK_MONOTONIC_RAW, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
