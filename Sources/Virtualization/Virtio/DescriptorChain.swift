package import MachineMemory

/// One request of a driver: buffers to read from, then buffers to write to (virtio 1.2, section 2.7.4).
///
/// Every buffer was found to be in the guest's memory before the chain is handed out.
package struct DescriptorChain: Sendable {
    /// Index of its first descriptor, which names it in the used ring.
    package let head: UInt16
    package let readable: [GuestRange]
    package let writable: [GuestRange]

    package init(head: UInt16, readable: [GuestRange], writable: [GuestRange]) {
        self.head = head
        self.readable = readable
        self.writable = writable
    }

    package var readableCount: Int { readable.reduce(0) { $0 + $1.count } }
    package var writableCount: Int { writable.reduce(0) { $0 + $1.count } }

    /// Copies at most `limit` bytes from the front of what is readable.
    package func read(upTo limit: Int) -> [UInt8] {
        readable.firstBytes(limit).flatMap { $0.read() }
    }

    /// Copies as much as there is room for; how much.
    @discardableResult
    package func write(_ bytes: some Collection<UInt8>) -> Int {
        writable.write(ArraySlice(bytes))
    }
}

/// Buffers in order, as one stretch of bytes.
extension [GuestRange] {
    /// Copies as much as there is room for; how much.
    @discardableResult
    package func write(_ bytes: ArraySlice<UInt8>) -> Int {
        var rest = bytes
        for range in self where !rest.isEmpty {
            let part = rest.prefix(range.count)
            range.write(part)
            rest = rest.dropFirst(part.count)
        }
        return bytes.count - rest.count
    }

    /// The first `count` bytes.
    package func firstBytes(_ count: Int) -> [GuestRange] {
        var rest = count
        var result: [GuestRange] = []
        for range in self where rest > 0 {
            result.append(range.prefix(rest))
            rest -= Swift.min(rest, range.count)
        }
        return result
    }

    /// All but the first `count` bytes.
    package func withoutFirstBytes(_ count: Int) -> [GuestRange] {
        var rest = count
        var result: [GuestRange] = []
        for range in self {
            if rest < range.count { result.append(range.dropFirst(rest)) }
            rest -= Swift.min(rest, range.count)
        }
        return result
    }
}
