package import LinuxSystem

/// A filter as the kernel runs it.
///
/// The call's number is found by bisection, so a filter of a hundred calls costs seven comparisons. Calls that are allowed
/// whatever their arguments cost none: since 5.11 the kernel remembers them.
package struct SeccompProgram: Hashable, Sendable {
    package let instructions: [BPFInstruction]

    package enum Violation: Error, Hashable, CustomStringConvertible {
        case tooLong(Int)

        package var description: String {
            switch self {
            case .tooLong(let count):
                "the filter has \(count) instructions, and the kernel takes \(Seccomp.maximumLength)"
            }
        }
    }

    package init(compiling filter: SeccompFilter) throws(Violation) {
        var builder = ProgramBuilder()
        let otherwise = filter.defaultAction.returnValue
        let calls = filter.rules.sorted { $0.key.rawValue < $1.key.rawValue }
        let search = Self.search(calls[...], otherwise: otherwise, &builder)
        let foreign = builder.return(SeccompFilter.Action.killProcess.returnValue)
        let ours = builder.test(.greaterOrEqual, SeccompFilter.firstForeignNumber, then: foreign, else: search)
        let number = builder.load(SystemCallData.Offset.number, then: ours)
        let kill = builder.return(SeccompFilter.Action.killProcess.returnValue)
        let architecture = builder.test(.equal, auditArchitecture, then: number, else: kill)
        _ = builder.load(SystemCallData.Offset.architecture, then: architecture)
        instructions = builder.instructions
        if instructions.count > Seccomp.maximumLength { throw .tooLong(instructions.count) }
    }

    /// Finds the call's rules, with its number loaded.
    private static func search(
        _ calls: ArraySlice<(key: SystemCall, value: [SeccompFilter.Rule])>,
        otherwise: UInt32,
        _ builder: inout ProgramBuilder,
    ) -> ProgramBuilder.Label {
        guard let first = calls.first else { return builder.return(otherwise) }
        if calls.count == 1 {
            let rules = apply(first.value, otherwise: otherwise, &builder)
            return builder.test(.equal, first.key.rawValue, then: rules, else: builder.return(otherwise))
        }
        let middle = calls.startIndex + calls.count / 2
        let upper = search(calls[middle...], otherwise: otherwise, &builder)
        let lower = search(calls[..<middle], otherwise: otherwise, &builder)
        return builder.test(.greaterOrEqual, calls[middle].key.rawValue, then: upper, else: lower)
    }

    /// Tries a call's rules in their order.
    private static func apply(
        _ rules: [SeccompFilter.Rule],
        otherwise: UInt32,
        _ builder: inout ProgramBuilder,
    ) -> ProgramBuilder.Label {
        var next = builder.return(otherwise)
        for rule in rules.reversed() {
            var met = builder.return(rule.action.returnValue)
            for condition in rule.conditions.reversed() {
                met = check(condition, then: met, else: next, &builder)
            }
            next = met
        }
        return next
    }

    /// Compares those halves of an argument that the mask touches.
    private static func check(
        _ condition: SeccompFilter.Condition,
        then yes: ProgramBuilder.Label,
        else no: ProgramBuilder.Label,
        _ builder: inout ProgramBuilder,
    ) -> ProgramBuilder.Label {
        var next = yes
        let halves = [
            (SystemCallData.Offset.high(condition.argument), condition.mask >> 32, condition.value >> 32),
            (SystemCallData.Offset.low(condition.argument), condition.mask, condition.value),
        ]
        for (offset, mask, value) in halves {
            let mask = UInt32(truncatingIfNeeded: mask)
            if mask == 0 { continue }
            next = builder.test(.equal, UInt32(truncatingIfNeeded: value), then: next, else: no)
            if mask != .max { next = builder.and(mask, then: next) }
            next = builder.load(offset, then: next)
        }
        return next
    }
}

/// The kernel's interpreter, for tests.
extension SeccompProgram {
    /// What the program answers; nil where it would fault, which the kernel rules out when it takes a program.
    package func decision(for data: SystemCallData) -> SeccompFilter.Action? {
        var accumulator: UInt32 = 0
        var position = 0
        while instructions.indices.contains(position) {
            let instruction = instructions[position]
            position += 1
            switch instruction.code {
            case Opcode.loadWord:
                guard let word = data.word(at: instruction.constant) else { return nil }
                accumulator = word
            case Opcode.and: accumulator &= instruction.constant
            case Opcode.jump: position += Int(instruction.constant)
            case Opcode.jumpIfEqual:
                position += Int(accumulator == instruction.constant ? instruction.jumpTrue : instruction.jumpFalse)
            case Opcode.jumpIfGreaterOrEqual:
                position += Int(accumulator >= instruction.constant ? instruction.jumpTrue : instruction.jumpFalse)
            case Opcode.return: return SeccompFilter.Action(returnValue: instruction.constant)
            default: return nil
            }
        }
        return nil
    }
}
