import LinuxSystem
import Testing

@testable import Jail

@Suite("Seccomp program") struct SeccompProgramTests {
    /// Numbers that are the same in each run: SplitMix64.
    struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    /// A filter of up to 60 calls with up to 12 rules each.
    private func filter(_ generator: inout Generator) -> SeccompFilter {
        let actions: [SeccompFilter.Action] = [
            .allow, .allow, .allow, .log, .errno(.notFound), .errno(.again), .trap, .killThread, .killProcess,
        ]
        var filter = SeccompFilter(defaultAction: actions.randomElement(using: &generator) ?? .allow)
        for call in SystemCall.allCases.shuffled(using: &generator).prefix(.random(in: 0...60, using: &generator)) {
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                let conditions = (0..<Int.random(in: 0...3, using: &generator)).map { _ in condition(&generator) }
                filter.answer(call, with: actions.randomElement(using: &generator) ?? .allow, where: conditions)
            }
        }
        return filter
    }

    /// Small numbers, so that conditions often hold and often nearly hold.
    private func condition(_ generator: inout Generator) -> SeccompFilter.Condition {
        let index = Int.random(in: 0..<6, using: &generator)
        let low = UInt64.random(in: 0...3, using: &generator)
        let high = UInt64.random(in: 0...1, using: &generator) << 32
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: return .argument(index, equals: UInt32(low))
        case 1: return .argument(index, masked: 0b101, equals: UInt32(low) & 0b101)
        case 2: return .wideArgument(index, equals: low | high)
        default:
            let mask: UInt64 = 0x1_0000_0002
            return .wideArgument(index, masked: mask, equals: (low | high) & mask)
        }
    }

    private func arguments(_ generator: inout Generator) -> [UInt64] {
        (0..<6).map { _ in
            UInt64.random(in: 0...3, using: &generator) | UInt64.random(in: 0...1, using: &generator) << 32
        }
    }

    @Test(arguments: 0..<40)
    func `the program answers as the rules do, for every number`(_ seed: Int) throws {
        var generator = Generator(state: UInt64(seed))
        let filter = filter(&generator)
        let program = try SeccompProgram(compiling: filter)
        try expectValid(program)
        for number in UInt32(0)..<480 {
            for _ in 0..<(SystemCall(rawValue: number).map { filter.rules[$0] != nil } == true ? 40 : 1) {
                let data = SystemCallData(
                    number: number,
                    architecture: auditArchitecture,
                    arguments: arguments(&generator),
                )
                let expected = filter.decision(for: data)
                let actual = program.decision(for: data)
                // One comparison that records nothing: there are a hundred thousand.
                if actual != expected { Issue.record("\(data): \(String(describing: actual)), not \(expected)") }
            }
        }
    }

    @Test func `jumps over more than 255 instructions lead where they should`() throws {
        var filter = SeccompFilter()
        let requests = Array(UInt32(0xAE00)..<0xAE00 + 200)
        for call in [SystemCall.ioctl, .fcntl, .prctl] {
            for request in requests {
                filter.allow(call, where: .argument(1, equals: request), .wideArgument(2, equals: 7))
            }
        }
        filter.allow(.read, .clock_nanosleep)
        filter.refuse(.openat, with: .notFound)
        let program = try SeccompProgram(compiling: filter)
        #expect(program.instructions.count > 3 * 200 * 4)
        try expectValid(program)
        for call in SystemCall.allCases {
            for request in requests + [0xADFF, 0xAE00 + 200] {
                for third: UInt64 in [7, 8, 7 | 1 << 32] {
                    let data = SystemCallData(call, 0, UInt64(request), third)
                    if program.decision(for: data) != filter.decision(for: data) { Issue.record("\(data)") }
                }
            }
        }
    }

    @Test func `a program beyond what the kernel takes is an error, not an abort`() {
        var filter = SeccompFilter()
        for request in UInt32(0)..<3000 { filter.allow(.ioctl, where: .argument(1, equals: request)) }
        let violation = #expect(throws: SeccompProgram.Violation.self) { try SeccompProgram(compiling: filter) }
        guard case .tooLong(let count) = violation else { return }
        #expect(count > Seccomp.maximumLength)
    }

    @Test func `a filter without rules is a program too`() throws {
        let program = try SeccompProgram(compiling: SeccompFilter())
        try expectValid(program)
        #expect(program.decision(for: SystemCallData(.read)) == .killProcess)
    }

    /// What the kernel checks: jumps stay inside, loads are aligned and inside the data, the last instruction returns.
    private func expectValid(_ program: SeccompProgram) throws {
        let instructions = program.instructions
        let probe = SystemCallData(number: 0, architecture: 0)
        for (index, instruction) in instructions.enumerated() {
            let rest = instructions.count - index - 1
            switch instruction.code {
            case Opcode.loadWord: #expect(probe.word(at: instruction.constant) != nil)
            case Opcode.jump: #expect(Int(instruction.constant) < rest)
            case Opcode.jumpIfEqual, Opcode.jumpIfGreaterOrEqual:
                #expect(Int(max(instruction.jumpTrue, instruction.jumpFalse)) < rest)
            case Opcode.and, Opcode.return: break
            default: Issue.record("operation \(instruction.code)")
            }
        }
        #expect(try #require(instructions.last).code == Opcode.return)
    }
}
