import Testing

@testable import GuestAgentCore

@Suite("Output ring") struct OutputRingTests {
    @Test func `what fits is kept in order, with its streams`() {
        var ring = OutputRing(capacity: 10)
        ring.append([1, 2], from: .stdout)
        ring.append([3], from: .stderr)
        ring.append([4], from: .stdout)
        let chunks = ring.takeAll()
        #expect(chunks.map(\.stream) == [.stdout, .stderr, .stdout])
        #expect(chunks.map { Array($0.bytes) } == [[1, 2], [3], [4]])
        #expect(ring.dropped == 0)
        #expect(ring.count == 0)
    }

    @Test func `the oldest bytes make room and are counted`() {
        var ring = OutputRing(capacity: 4)
        ring.append([1, 2, 3], from: .stdout)
        ring.append([4, 5, 6], from: .stderr)
        #expect(ring.dropped == 2)
        let kept = ring.takeAll().map { Array($0.bytes) }
        #expect(kept == [[3], [4, 5, 6]])
    }

    @Test func `a piece larger than the ring leaves its end`() {
        var ring = OutputRing(capacity: 3)
        ring.append([9], from: .stderr)
        ring.append([1, 2, 3, 4, 5], from: .stdout)
        #expect(ring.dropped == 3)
        let kept = ring.takeAll().map { Array($0.bytes) }
        #expect(kept == [[3, 4, 5]])
    }

    @Test func `single bytes are joined, and the ring stays bounded through many of them`() {
        var ring = OutputRing(capacity: 1000)
        for index in 0..<100_000 { ring.append([UInt8(truncatingIfNeeded: index)], from: .stdout) }
        #expect(ring.count == 1000)
        #expect(ring.dropped == 99_000)
        let bytes = ring.takeAll().flatMap { Array($0.bytes) }
        #expect(bytes == (99_000..<100_000).map { UInt8(truncatingIfNeeded: $0) })
    }

    @Test func `bytes that were taken are gone and not counted as dropped`() {
        var ring = OutputRing(capacity: 10)
        ring.append([1, 2], from: .stdout)
        ring.append([3, 4, 5], from: .stderr)
        ring.removeFirst(3)
        #expect(ring.count == 2)
        #expect(ring.dropped == 0)
        ring.removeFirst(100)
        ring.append([6], from: .stdout)
        let kept = ring.takeAll().map { Array($0.bytes) }
        #expect(kept == [[6]])
    }

    @Test func `alternating streams are bounded too`() {
        var ring = OutputRing(capacity: 100)
        for index in 0..<10_000 { ring.append([1], from: index.isMultiple(of: 2) ? .stdout : .stderr) }
        let chunks = ring.takeAll()
        #expect(chunks.count == 100)
    }
}
