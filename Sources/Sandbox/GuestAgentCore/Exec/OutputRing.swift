/// The newest output of a program that nobody listens to. Older bytes are dropped and counted.
struct OutputRing {
    enum Stream: Equatable {
        case stdout, stderr
    }

    struct Chunk: Equatable {
        let stream: Stream
        var bytes: ArraySlice<UInt8>
    }

    /// Chunks of a stream are joined up to this size, so that a program that writes single bytes costs no chunk for each.
    private static let joinedSize = 64 << 10

    let capacity: Int
    private(set) var count = 0
    private(set) var dropped: UInt64 = 0
    private var chunks: [Chunk] = []
    private var first = 0

    init(capacity: Int) {
        self.capacity = capacity
    }

    mutating func append(_ bytes: [UInt8], from stream: Stream) {
        if let last = chunks.indices.last, last >= first, chunks[last].stream == stream,
            chunks[last].bytes.count + bytes.count <= Self.joinedSize
        {
            chunks[last].bytes += bytes
        } else {
            chunks.append(Chunk(stream: stream, bytes: bytes[...]))
        }
        count += bytes.count
        while count > capacity { dropOldest(count - capacity) }
    }

    private mutating func dropOldest(_ excess: Int) {
        let taken = min(excess, chunks[first].bytes.count)
        chunks[first].bytes = chunks[first].bytes.dropFirst(taken)
        count -= taken
        dropped += UInt64(taken)
        guard chunks[first].bytes.isEmpty else { return }
        first += 1
        if first > 64, first * 2 > chunks.count {
            chunks.removeFirst(first)
            first = 0
        }
    }

    /// Forgets the oldest bytes, which somebody took. They do not count as dropped.
    mutating func removeFirst(_ taken: Int) {
        let before = dropped
        var rest = min(taken, count)
        while rest > 0 {
            let piece = min(rest, chunks[first].bytes.count)
            dropOldest(piece)
            rest -= piece
        }
        dropped = before
    }

    /// Everything that is kept, oldest first; the ring is empty afterwards.
    mutating func takeAll() -> [Chunk] {
        defer {
            chunks = []
            first = 0
            count = 0
        }
        return Array(chunks[first...])
    }
}
