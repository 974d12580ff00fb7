internal import LinuxSystem

/// An assembler for the classic BPF machine that works from the end of the program to its beginning.
///
/// All jumps lead forward. Written backwards, the target of a jump is there already, so its distance is known at once, and
/// where it is too far for the 8 bits of a conditional jump, an unconditional one is put in between.
struct ProgramBuilder {
    /// A place in the program, by its distance from the end.
    struct Label: Hashable {
        fileprivate let fromEnd: Int
    }

    private var reversed: [BPFInstruction] = []
    private var returns: [UInt32: Label] = [:]

    var instructions: [BPFInstruction] { reversed.reversed() }

    private enum Reach {
        /// The farthest that a conditional jump leads.
        static let conditional = 255
        /// A return this near is used again; past it a new one costs no more than the jump to the old.
        static let sharedReturn = 200
    }

    /// The place of an instruction that ends the program with this value.
    mutating func `return`(_ value: UInt32) -> Label {
        if let label = returns[value], distance(to: label) <= Reach.sharedReturn { return label }
        let label = put(BPFInstruction(code: Opcode.return, constant: value))
        returns[value] = label
        return label
    }

    /// Loads a word of the call's data and goes on.
    mutating func load(_ offset: UInt32, then next: Label) -> Label {
        precede(next)
        return put(BPFInstruction(code: Opcode.loadWord, constant: offset))
    }

    /// Masks the word that was loaded and goes on.
    mutating func and(_ mask: UInt32, then next: Label) -> Label {
        precede(next)
        return put(BPFInstruction(code: Opcode.and, constant: mask))
    }

    enum Comparison {
        case equal, greaterOrEqual
    }

    /// Compares the word that was loaded.
    mutating func test(_ comparison: Comparison, _ constant: UInt32, then yes: Label, else no: Label) -> Label {
        // A stepping stone for the second shifts the first by one.
        let yes = distance(to: yes) >= Reach.conditional ? steppingStone(to: yes) : yes
        let no = distance(to: no) > Reach.conditional ? steppingStone(to: no) : no
        return put(
            BPFInstruction(
                code: comparison == .equal ? Opcode.jumpIfEqual : Opcode.jumpIfGreaterOrEqual,
                jumpTrue: UInt8(distance(to: yes)),
                jumpFalse: UInt8(distance(to: no)),
                constant: constant,
            )
        )
    }

    /// The number of instructions between the one written next and the label.
    private func distance(to label: Label) -> Int { reversed.count - label.fromEnd }

    /// Makes the instruction written next fall through to the label.
    private mutating func precede(_ label: Label) {
        if distance(to: label) > 0 { _ = steppingStone(to: label) }
    }

    private mutating func steppingStone(to label: Label) -> Label {
        put(BPFInstruction(code: Opcode.jump, constant: UInt32(distance(to: label))))
    }

    private mutating func put(_ instruction: BPFInstruction) -> Label {
        reversed.append(instruction)
        return Label(fromEnd: reversed.count)
    }
}

/// Operation codes of `linux/bpf_common.h`, of which seccomp allows these and a few more.
enum Opcode {
    /// `BPF_LD | BPF_W | BPF_ABS`
    static let loadWord: UInt16 = 0x20
    /// `BPF_ALU | BPF_AND | BPF_K`
    static let and: UInt16 = 0x54
    /// `BPF_JMP | BPF_JA`
    static let jump: UInt16 = 0x05
    /// `BPF_JMP | BPF_JEQ | BPF_K`
    static let jumpIfEqual: UInt16 = 0x15
    /// `BPF_JMP | BPF_JGE | BPF_K`
    static let jumpIfGreaterOrEqual: UInt16 = 0x35
    /// `BPF_RET | BPF_K`
    static let `return`: UInt16 = 0x06
}
