package import LinuxSystem

/// Which system calls a thread may make, as a value: rules that are compiled to the kernel's BPF, and can be asked.
///
/// ```swift
/// var filter = SeccompFilter()
/// filter.allow(.read, .write)
/// filter.allow(.ioctl, where: .argument(1, equals: kvmRun))
/// filter.refuse(.openat, with: .notFound)
/// ```
/// Of the rules that match a call the mildest answer holds, in whatever order they were added; a call that none matches gets
/// the default action. Calls of another architecture or of the x32 ABI always end the process: their numbers mean other calls.
///
/// A process that was ended shows as ended by `SIGSYS`; the kernel's audit log (`dmesg`, type=1326) has the call's number.
///
/// The compiler is our own, and not libseccomp, because the worker is a small static executable that needs a sorted table and
/// two dozen lines of assembler of it; and because a rule here is a value that a test can run against its program.
package struct SeccompFilter: Hashable, Sendable {
    /// What becomes of a call, `SECCOMP_RET_*`.
    package enum Action: Hashable, Sendable {
        case allow
        /// Allowed, and noted in the audit log: to find out what a filter lacks.
        case log
        /// Not made; the caller sees this error.
        case errno(Errno)
        /// Not made; the thread gets `SIGSYS`.
        case trap
        case killThread
        case killProcess
    }

    /// What an argument must be. Addresses cannot be judged by what they point to: another thread could change it.
    package struct Condition: Hashable, Sendable {
        let argument: Int
        let mask: UInt64
        let value: UInt64

        private init(_ argument: Int, _ mask: UInt64, _ value: UInt64) {
            precondition((0..<6).contains(argument), "a system call has six arguments")
            precondition(value & ~mask == 0, "a condition that no argument meets")
            self.argument = argument
            self.mask = mask
            self.value = value
        }

        /// Judges the low 32 bits, which are all that the kernel reads of an `int`.
        package static func argument(_ index: Int, equals value: UInt32) -> Condition {
            Condition(index, 0xFFFF_FFFF, UInt64(value))
        }

        /// Judges those of the low 32 bits that are in the mask.
        package static func argument(_ index: Int, masked mask: UInt32, equals value: UInt32) -> Condition {
            Condition(index, UInt64(mask), UInt64(value))
        }

        /// Judges all 64 bits: sizes, offsets and addresses.
        package static func wideArgument(_ index: Int, equals value: UInt64) -> Condition {
            Condition(index, .max, value)
        }

        package static func wideArgument(_ index: Int, masked mask: UInt64, equals value: UInt64) -> Condition {
            Condition(index, mask, value)
        }

        func holds(for data: SystemCallData) -> Bool {
            data.arguments[argument] & mask == value
        }
    }

    struct Rule: Hashable, Sendable {
        let conditions: [Condition]
        let action: Action
    }

    package let defaultAction: Action
    /// By call, mildest first; among equals in the order added.
    private(set) var rules: [SystemCall: [Rule]] = [:]

    package init(defaultAction: Action = .killProcess) {
        self.defaultAction = defaultAction
    }

    // MARK: Rules

    package mutating func allow(_ calls: SystemCall...) {
        for call in calls { answer(call, with: .allow, where: []) }
    }

    /// Allows the call where all conditions hold.
    package mutating func allow(_ call: SystemCall, where first: Condition, _ others: Condition...) {
        answer(call, with: .allow, where: [first] + others)
    }

    /// Lets the call fail.
    package mutating func refuse(_ calls: SystemCall..., with errno: Errno) {
        for call in calls { answer(call, with: .errno(errno), where: []) }
    }

    package mutating func answer(_ call: SystemCall, with action: Action, where conditions: [Condition]) {
        insert(Rule(conditions: conditions, action: action), for: call)
    }

    /// Adds all rules of another filter.
    package mutating func formUnion(_ other: SeccompFilter) {
        for (call, rules) in other.rules {
            for rule in rules { insert(rule, for: call) }
        }
    }

    private mutating func insert(_ rule: Rule, for call: SystemCall) {
        var list = rules[call, default: []]
        if list.contains(rule) { return }
        list.insert(rule, at: list.firstIndex { $0.action.mildness < rule.action.mildness } ?? list.endIndex)
        // What stands behind a rule without conditions is never reached.
        if let last = list.firstIndex(where: \.conditions.isEmpty) { list.removeSubrange((last + 1)...) }
        rules[call] = list
    }

    // MARK: Decisions

    /// The answer by the rules: what the compiled program must say too.
    package func decision(for data: SystemCallData) -> Action {
        guard data.architecture == auditArchitecture, data.number < Self.firstForeignNumber else { return .killProcess }
        guard let call = SystemCall(rawValue: data.number), let rules = rules[call] else { return defaultAction }
        let rule = rules.first { rule in rule.conditions.allSatisfy { $0.holds(for: data) } }
        return rule?.action ?? defaultAction
    }

    /// Bit 30 marks calls of the x32 ABI, `__X32_SYSCALL_BIT`.
    static let firstForeignNumber: UInt32 = 0x4000_0000

    /// Puts the filter on this thread.
    func install() throws(JailError.Cause) {
        let program: SeccompProgram
        do throws(SeccompProgram.Violation) {
            program = try SeccompProgram(compiling: self)
        } catch {
            throw .filter(error)
        }
        do throws(SyscallError) {
            try Seccomp.install(program.instructions)
        } catch {
            throw .system(error)
        }
    }
}

extension SeccompFilter.Action {
    /// As the kernel encodes it.
    package var returnValue: UInt32 {
        switch self {
        case .allow: 0x7FFF_0000
        case .log: 0x7FFC_0000
        case .errno(let errno): 0x0005_0000 | UInt32(UInt16(truncatingIfNeeded: errno.rawValue))
        case .trap: 0x0003_0000
        case .killThread: 0x0000_0000
        case .killProcess: 0x8000_0000
        }
    }

    /// Nil for a value that no action has.
    init?(returnValue: UInt32) {
        switch returnValue & 0xFFFF_0000 {
        case 0x7FFF_0000: self = .allow
        case 0x7FFC_0000: self = .log
        case 0x0005_0000: self = .errno(Errno(rawValue: Int32(returnValue & 0xFFFF)))
        case 0x0003_0000: self = .trap
        case 0x0000_0000: self = .killThread
        case 0x8000_0000: self = .killProcess
        default: return nil
        }
    }

    /// The kernel's own order: the encoded values as signed numbers.
    fileprivate var mildness: Int32 { Int32(bitPattern: returnValue) }
}
