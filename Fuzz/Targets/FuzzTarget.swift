/// A parser of hostile bytes, and how an input is fed to it. Whatever the input, it must return: a trap is a finding.
///
/// `scripts/fuzz` looks for inputs that make one trap, hang or eat memory; the tests replay those that are kept in
/// `Fuzz/corpus/<name>`.
package struct FuzzTarget: Sendable {
    package let name: String
    package let run: @Sendable ([UInt8]) -> Void

    init(_ name: String, _ run: @escaping @Sendable ([UInt8]) -> Void) {
        self.name = name
        self.run = run
    }

    package static let all: [FuzzTarget] = [
        .blockRequest, .bzImage, .claudeStream, .codexStream, .elf, .fuse, .networkFrames, .savedState, .skill, .spec,
        .ttrpc,
        .virtioDevices, .virtioRegisters, .virtqueue, .vsock,
    ]
}

/// What an input says, piece by piece. Past its end there are zeroes.
struct InputReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func integer<Value: FixedWidthInteger>(_: Value.Type = Value.self) -> Value {
        stride(from: 0, to: Value.bitWidth, by: 8).reduce(0) { $0 | Value(truncatingIfNeeded: byte()) << $1 }
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}
