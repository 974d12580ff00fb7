/// A read beyond the end of what is there.
@usableFromInline
package struct ByteReaderOverrun: Error, Hashable, Sendable {
    package let offset: Int
    package let wanted: Int
    package let available: Int

    package init(offset: Int, wanted: Int, available: Int) {
        self.offset = offset
        self.wanted = wanted
        self.available = available
    }
}

/// Reads integers and slices from bytes, front to back, never beyond the end.
///
/// What is generic can be inlined, which takes a type that can be used from there: in another module it would go through tables
/// of witnesses for each octet, and that costs more than all else of a small request.
@usableFromInline
package struct ByteReader: Sendable {
    @usableFromInline let bytes: ArraySlice<UInt8>
    @usableFromInline var position: Int

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    package init(_ bytes: [UInt8]) {
        self.init(bytes[...])
    }

    package var remaining: Int { bytes.endIndex - position }

    package mutating func slice(_ count: Int) throws(ByteReaderOverrun) -> ArraySlice<UInt8> {
        bytes[try take(count)]
    }

    /// Moves past so many; where they are.
    @usableFromInline
    mutating func take(_ count: Int) throws(ByteReaderOverrun) -> Range<Int> {
        guard count >= 0, count <= remaining else {
            throw ByteReaderOverrun(offset: position - bytes.startIndex, wanted: count, available: remaining)
        }
        defer { position += count }
        return position..<position + count
    }

    @inlinable
    package mutating func bigEndian<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(ByteReaderOverrun)
        -> Value
    {
        try littleEndian(Value.self).byteSwapped
    }

    @inlinable
    package mutating func littleEndian<Value: FixedWidthInteger>(_: Value.Type = Value.self) throws(ByteReaderOverrun)
        -> Value
    {
        // Octet by octet: the shift happens in the value's own width, so it cannot overflow.
        var value: Value = 0
        for index in try take(Value.bitWidth / 8).reversed() {
            value = value << 8 | Value(truncatingIfNeeded: bytes[index])
        }
        return value
    }
}

extension [UInt8] {
    @inlinable
    package mutating func append(bigEndian value: some FixedWidthInteger) {
        append(littleEndian: value.byteSwapped)
    }

    @inlinable
    package mutating func append(littleEndian value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: value.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}

/// Bytes on their way: appended at the back, taken from the front. Each byte is moved a bounded number of times.
package struct ByteQueue: Sendable {
    private var storage: [UInt8] = []
    private var head = 0

    package init() {}

    package var count: Int { storage.count - head }
    package var isEmpty: Bool { count == 0 }
    package var contents: ArraySlice<UInt8> { storage[head...] }

    package mutating func append(_ bytes: some Collection<UInt8>) {
        storage.append(contentsOf: bytes)
    }

    package mutating func removeFirst(_ count: Int) {
        precondition(count <= self.count, "a queue gives what it has")
        head += count
        if head == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= 1 << 20)
            head = 0
        } else if head > storage.count / 2, head > 1 << 16 {
            // More than half is gone, so what moves is less than what was taken since the last move.
            storage.removeSubrange(..<head)
            head = 0
        }
    }
}
