import LinuxSystem
import Testing

@testable import Jail

@Suite("Seccomp filter") struct SeccompFilterTests {
    @Test func `a call that no rule names ends the process`() {
        var filter = SeccompFilter()
        filter.allow(.read)
        #expect(filter.decision(for: SystemCallData(.read)) == .allow)
        #expect(filter.decision(for: SystemCallData(.execve)) == .killProcess)
    }

    @Test func `of an int only the low half counts, of a wide argument all`() {
        var filter = SeccompFilter()
        filter.allow(.ioctl, where: .argument(1, equals: 0xAE80))
        filter.allow(.sendto, where: .wideArgument(4, equals: 0))
        #expect(filter.decision(for: SystemCallData(.ioctl, 3, 0xAE80)) == .allow)
        #expect(filter.decision(for: SystemCallData(.ioctl, 3, 0xFFFF_FFFF_0000_AE80)) == .allow)
        #expect(filter.decision(for: SystemCallData(.ioctl, 3, 0xAE81)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.sendto, 3, 1, 1, 0, 0)) == .allow)
        #expect(filter.decision(for: SystemCallData(.sendto, 3, 1, 1, 0, 1 << 40)) == .killProcess)
    }

    @Test func `all conditions of a rule must hold, and any rule will do`() {
        var filter = SeccompFilter()
        filter.allow(.fcntl, where: .argument(0, equals: 3), .argument(1, equals: 1))
        filter.allow(.fcntl, where: .argument(0, equals: 4))
        #expect(filter.decision(for: SystemCallData(.fcntl, 3, 1)) == .allow)
        #expect(filter.decision(for: SystemCallData(.fcntl, 3, 2)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.fcntl, 4, 2)) == .allow)
    }

    @Test func `the mildest of the rules that match holds, in whatever order they come`() {
        let add: [(inout SeccompFilter) -> Void] = [
            { $0.refuse(.openat, with: .notFound) },
            { $0.allow(.openat, where: .argument(0, equals: 5)) },
            { $0.answer(.openat, with: .trap, where: []) },
        ]
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            var filter = SeccompFilter()
            for index in order { add[index](&filter) }
            #expect(filter.decision(for: SystemCallData(.openat, 5)) == .allow)
            #expect(filter.decision(for: SystemCallData(.openat, 6)) == .errno(.notFound))
        }
    }

    @Test func `a union allows what either allows`() {
        var first = SeccompFilter()
        first.allow(.read)
        first.refuse(.openat, with: .notFound)
        var second = SeccompFilter()
        second.allow(.openat, .write)
        var union = first
        union.formUnion(second)
        var other = second
        other.formUnion(first)
        #expect(union == other)
        for call in [SystemCall.read, .openat, .write] {
            #expect(union.decision(for: SystemCallData(call)) == .allow)
        }
    }

    @Test func `another architecture and the x32 interface end the process, whatever the default`() throws {
        let filter = SeccompFilter(defaultAction: .allow)
        let i386: UInt32 = 0x4000_0003
        let foreign = [
            SystemCallData(number: 0, architecture: i386),
            SystemCallData(number: 0x4000_0000, architecture: auditArchitecture),
            SystemCallData(number: .max, architecture: auditArchitecture),
        ]
        let program = try SeccompProgram(compiling: filter)
        for data in foreign {
            #expect(filter.decision(for: data) == .killProcess)
            #expect(program.decision(for: data) == .killProcess)
        }
        #expect(program.decision(for: SystemCallData(.execve)) == .allow)
    }

    @Test(arguments: [
        SeccompFilter.Action.allow, .log, .errno(.notFound), .errno(.notImplemented), .trap, .killThread, .killProcess,
    ])
    func `an action survives its encoding`(_ action: SeccompFilter.Action) {
        #expect(SeccompFilter.Action(returnValue: action.returnValue) == action)
    }

    @Test func `the numbers are those of the kernel's header`() throws {
        let path = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"
        guard let header = HostFacts.text(of: path) else { try Test.cancel("\(path) is not installed") }
        var numbers: [String: UInt32] = [:]
        for line in header.split(separator: "\n") where line.hasPrefix("#define __NR_") {
            let words = line.split(separator: " ")
            numbers[String(words[1].dropFirst(5))] = UInt32(words[2])
        }
        for call in SystemCall.allCases {
            #expect(numbers["\(call)"] == call.rawValue, "\(call)")
        }
    }
}
