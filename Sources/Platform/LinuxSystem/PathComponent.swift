/// One name in a directory: 1 to 255 bytes without "/" and zero, and neither "." nor "..". Need not be UTF-8.
package struct PathComponent: Hashable, Sendable, CustomStringConvertible {
    package enum Violation: Error, Hashable, Sendable {
        case empty
        case tooLong(Int)
        /// A name of more than one component, or one that ends early in C.
        case separator(UInt8)
        case dots
    }

    /// The longest name of any Linux file system, `NAME_MAX`.
    package static let maxLength = 255

    /// With the zero byte that C wants at its end.
    let terminated: [CChar]

    package init(_ bytes: some Collection<UInt8>) throws(Violation) {
        if bytes.isEmpty { throw .empty }
        if bytes.count > Self.maxLength { throw .tooLong(bytes.count) }
        var terminated: [CChar] = []
        terminated.reserveCapacity(bytes.count + 1)
        var onlyDots = true
        for byte in bytes {
            if byte == 0 || byte == UInt8(ascii: "/") { throw .separator(byte) }
            if byte != UInt8(ascii: ".") { onlyDots = false }
            terminated.append(CChar(bitPattern: byte))
        }
        if onlyDots, terminated.count <= 2 { throw .dots }
        terminated.append(0)
        self.terminated = terminated
    }

    package init(_ name: String) throws(Violation) {
        try self.init(name.utf8)
    }

    package var bytes: [UInt8] { terminated.dropLast().map { UInt8(bitPattern: $0) } }

    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
