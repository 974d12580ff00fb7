/// What a filter judges, `struct seccomp_data`: a system call with its arguments as they stand in the registers.
package struct SystemCallData: Hashable, Sendable {
    package var number: UInt32
    package var architecture: UInt32
    package var instructionPointer: UInt64 = 0
    package var arguments: Arguments

    /// Six registers; those that the call does not use hold anything.
    package struct Arguments: Hashable, Sendable {
        private var storage: [UInt64]

        package init(_ first: [UInt64]) {
            precondition(first.count <= 6, "a system call has at most six arguments")
            storage = first + Array(repeating: 0, count: 6 - first.count)
        }

        package subscript(index: Int) -> UInt64 { storage[index] }
    }

    package init(number: UInt32, architecture: UInt32, arguments: [UInt64] = []) {
        self.number = number
        self.architecture = architecture
        self.arguments = Arguments(arguments)
    }

    /// A call of this architecture.
    package init(_ call: SystemCall, _ arguments: UInt64...) {
        self.init(number: call.rawValue, architecture: auditArchitecture, arguments: arguments)
    }

    /// Byte offsets of the fields. Of an argument the low word comes first, as on every architecture we run on.
    enum Offset {
        static let number: UInt32 = 0
        static let architecture: UInt32 = 4
        static func low(_ argument: Int) -> UInt32 { 16 + 8 * UInt32(argument) }
        static func high(_ argument: Int) -> UInt32 { low(argument) + 4 }
    }

    /// The 32-bit word at a byte offset, as the BPF machine loads it; nil outside, where the kernel refuses the program.
    func word(at offset: UInt32) -> UInt32? {
        switch offset {
        case Offset.number: return number
        case Offset.architecture: return architecture
        case 8: return UInt32(truncatingIfNeeded: instructionPointer)
        case 12: return UInt32(truncatingIfNeeded: instructionPointer >> 32)
        case 16..<64 where offset % 4 == 0:
            let argument = arguments[Int(offset - 16) / 8]
            return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
        default: return nil
        }
    }
}
