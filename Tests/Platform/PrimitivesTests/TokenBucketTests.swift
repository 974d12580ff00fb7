import Testing

@testable import Primitives

@Suite("Token bucket") struct TokenBucketTests {
    private static let rate = TransferLimit.Rate(perSecond: 100, burst: 10)
    private var bucket = TokenBucket(rate, at: .zero)

    @Test mutating func `a burst passes at once, and the next waits for its token`() {
        for _ in 0..<10 {
            #expect(bucket.delay(for: 1, at: .zero) == .zero)
            bucket.take(1)
        }
        #expect(bucket.delay(for: 1, at: .zero) == .milliseconds(10))
        #expect(bucket.delay(for: 1, at: .milliseconds(4)) == .milliseconds(6))
        #expect(bucket.delay(for: 1, at: .milliseconds(10)) == .zero)
    }

    @Test mutating func `a pause fills it to the burst and no further`() {
        bucket.take(10)
        #expect(bucket.delay(for: 10, at: .seconds(1_000_000)) == .zero)
        #expect(bucket.tokens == 10)
    }

    @Test mutating func `what is larger than a burst passes when it is full, and is paid for after`() {
        #expect(bucket.delay(for: 1000, at: .zero) == .zero)
        bucket.take(1000)
        #expect(bucket.tokens == -990)
        #expect(bucket.delay(for: 1, at: .zero) == .milliseconds(9910))
        #expect(bucket.delay(for: 1000, at: .seconds(9) + .milliseconds(910)) == .milliseconds(90))
    }

    @Test mutating func `a clock that goes back gives nothing`() {
        bucket.take(10)
        #expect(bucket.delay(for: 1, at: .seconds(-5)) == .milliseconds(10))
    }

    @Test(arguments: [1, 3, 7, 1000, 1 << 40, .max] as [UInt64])
    func `over a long time the rate holds, in whatever steps it is asked`(_ perSecond: UInt64) {
        var bucket = TokenBucket(TransferLimit.Rate(perSecond: perSecond, burst: 1), at: .zero)
        var now = Duration.zero
        var passed: UInt64 = 0
        for _ in 0..<1000 {
            now += bucket.delay(for: 1, at: now)
            #expect(bucket.delay(for: 1, at: now) == .zero)
            bucket.take(1)
            passed += 1
        }
        // One was there at the start; a wait is rounded up to a nanosecond.
        let exact = Double(passed - 1) / Double(perSecond)
        let seconds = now / .seconds(1)
        #expect(seconds >= exact && seconds <= exact + 1000e-9)
    }

    @Test func `no numbers are too large`() {
        let rate = TransferLimit.Rate(perSecond: .max, burst: .max)
        var bucket = TokenBucket(rate, tokens: .min, at: .zero)
        #expect(bucket.tokens == -(1 << 40))
        bucket.take(.max)
        bucket.take(.max)
        #expect(bucket.tokens == -(1 << 40))
        #expect(bucket.delay(for: .max, at: .zero) > .zero)
        #expect(bucket.delay(for: .max, at: Duration(secondsComponent: .max, attosecondsComponent: 0)) == .zero)
        #expect(TokenBucket(TransferLimit.Rate(perSecond: 0), at: .zero).tokens == 1, "no rate is zero")
    }

    @Test func `what waits for bytes takes no operation`() {
        let limit = TransferLimit(bytes: .init(perSecond: 1000, burst: 100), operations: .init(perSecond: 10, burst: 3))
        var limiter = TransferLimiter(limit, at: .zero)
        #expect(limiter.admit(bytes: 100, at: .zero) == nil)
        #expect(limiter.admit(bytes: 50, at: .zero) == .milliseconds(50))
        #expect(limiter.operations?.tokens == 2)
        #expect(limiter.admit(bytes: 0, at: .zero) == nil)
        #expect(limiter.admit(bytes: 0, at: .zero) == nil)
        #expect(limiter.admit(bytes: 0, at: .zero) == .milliseconds(100))
        var restored = TransferLimiter(
            limit,
            bytes: limiter.bytes?.tokens,
            operations: limiter.operations?.tokens,
            at: .seconds(7),
        )
        #expect(restored.admit(bytes: 0, at: .seconds(7)) == .milliseconds(100))
        var unlimited = TransferLimiter(.none, at: .zero)
        #expect(unlimited.admit(bytes: .max, at: .zero) == nil)
    }
}
