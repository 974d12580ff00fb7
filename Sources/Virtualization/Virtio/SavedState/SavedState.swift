internal import ByteCodec

/// What is kept of a part of a machine, so that another can go on where this one stood.
///
/// A plain value: it holds no descriptor, no address of this process and no time of this host. What a part adds to the
/// queues and to the guest's memory is all that belongs in it. Encoded it begins with a version, and is as little trusted as
/// a guest: a decoder is bounded by what is there, and whoever restores a value checks it against what it restores.
///
/// ```swift
/// package struct State: SavedState {
///     package static let version: UInt16 = 1
///     package var isOpen: Bool
///
///     package func write(to writer: inout SavedStateWriter) { writer.append(isOpen) }
///     package init(from reader: inout SavedStateReader) throws(SavedStateViolation) { isOpen = try reader.boolean() }
/// }
/// ```
package protocol SavedState: Hashable, Sendable {
    /// Of the encoding, and changed with it. Bytes of another version are refused.
    static var version: UInt16 { get }

    func write(to writer: inout SavedStateWriter)
    init(from reader: inout SavedStateReader) throws(SavedStateViolation)
}

extension SavedState {
    package var encoded: [UInt8] {
        var writer = SavedStateWriter()
        writer.append(self)
        return writer.bytes
    }

    /// All of the bytes, or none.
    package init(decoding bytes: [UInt8]) throws(SavedStateViolation) {
        var reader = SavedStateReader(bytes)
        self = try reader.state()
        try reader.requireEnd()
    }
}

/// Bytes that are no state.
package enum SavedStateViolation: Error, Hashable, Sendable {
    case version(UInt16, known: UInt16)
    case truncated(wanted: Int, available: Int)
    case trailing(count: Int)
    /// Elements or bytes, counted before any is read.
    case tooMany(Int, limit: Int)
    case notBoolean(UInt8)
}

/// Little-endian integers, and what is made of them.
package struct SavedStateWriter: Sendable {
    package private(set) var bytes: [UInt8] = []

    package init() {}

    package mutating func append(_ value: some FixedWidthInteger) { bytes.append(littleEndian: value) }
    package mutating func append(_ value: Bool) { bytes.append(value ? 1 : 0) }

    /// A count and the bytes.
    package mutating func append(_ value: [UInt8]) {
        append(UInt32(value.count))
        bytes += value
    }

    /// A count and the elements.
    package mutating func append<Element>(
        _ elements: [Element],
        _ element: (inout SavedStateWriter, Element) -> Void,
    ) {
        append(UInt32(elements.count))
        for value in elements { element(&self, value) }
    }

    /// A version and the state.
    package mutating func append<State: SavedState>(_ state: State) {
        append(State.version)
        state.write(to: &self)
    }
}

/// Reads what a `SavedStateWriter` wrote. A count is checked against its limit before anything is made.
package struct SavedStateReader: Sendable {
    private var reader: ByteReader

    package init(_ bytes: [UInt8]) {
        reader = ByteReader(bytes)
    }

    package mutating func integer<Value: FixedWidthInteger>(
        _: Value.Type = Value.self
    ) throws(SavedStateViolation) -> Value {
        do throws(ByteReaderOverrun) {
            return try reader.littleEndian()
        } catch {
            throw .truncated(wanted: error.wanted, available: error.available)
        }
    }

    package mutating func boolean() throws(SavedStateViolation) -> Bool {
        switch try integer(UInt8.self) {
        case 0: false
        case 1: true
        case let value: throw .notBoolean(value)
        }
    }

    package mutating func bytes(limit: Int) throws(SavedStateViolation) -> [UInt8] {
        let count = try count(limit: limit)
        do throws(ByteReaderOverrun) {
            return Array(try reader.slice(count))
        } catch {
            throw .truncated(wanted: error.wanted, available: error.available)
        }
    }

    package mutating func list<Element>(
        limit: Int,
        _ element: (inout SavedStateReader) throws(SavedStateViolation) -> Element,
    ) throws(SavedStateViolation) -> [Element] {
        var elements: [Element] = []
        for _ in 0..<(try count(limit: limit)) { elements.append(try element(&self)) }
        return elements
    }

    package mutating func state<State: SavedState>(_: State.Type = State.self) throws(SavedStateViolation) -> State {
        let version = try integer(UInt16.self)
        guard version == State.version else { throw .version(version, known: State.version) }
        return try State(from: &self)
    }

    package func requireEnd() throws(SavedStateViolation) {
        if reader.remaining > 0 { throw .trailing(count: reader.remaining) }
    }

    private mutating func count(limit: Int) throws(SavedStateViolation) -> Int {
        let count = Int(try integer(UInt32.self))
        guard count <= limit else { throw .tooMany(count, limit: limit) }
        return count
    }
}

/// Of a device that remembers nothing beyond its queues.
package struct NothingSaved: SavedState {
    package static let version: UInt16 = 1

    package init() {}
    package init(from reader: inout SavedStateReader) {}
    package func write(to writer: inout SavedStateWriter) {}
}
