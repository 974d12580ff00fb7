import LinuxSystem
import TestSupport
import Testing
import WorkerProtocol

/// A guest that breaks every rule of its devices. Its worker goes on serving, or ends for a reason that it names; it does not
/// crash, grow, hang or spin.
@Suite("Hostile guest", .needsKVM, .takesBoxSlot, .timeLimit(.minutes(40)))
struct HostileGuestTests {
    /// What is fired, by the numbers of `Guest/hostile/main.c`. The first eight go to every queue of every device; each of the
    /// others is for one kind of device, or for the machine.
    enum Abuse: Int, CaseIterable, Sendable, CustomTestStringConvertible {
        case malformedChains = 1
        case malformedBuffers = 2
        case malformedQueues = 3
        case disorderlyStatus = 4
        case oddAccesses = 5
        case kickStorm = 6
        case changingDescriptors = 14
        case randomRequests = 15
        case blockRequests = 7
        case frames = 8
        case vsockPackets = 9
        case vsockStreams = 17
        case fileRequests = 10
        case consoleFlood = 12
        case largeRequests = 13
        case allPorts = 50
        case serialFlood = 51

        var testDescription: String { "\(self)" }
    }

    /// In KiB, beyond what a worker has when its guest starts: stacks and heaps of threads that serve for the first time.
    private static let memoryAllowance = 8 << 10

    @Test(arguments: Abuse.allCases)
    func `a machine survives its guest`(_ abuse: Abuse) async throws {
        try await HostileGuest.with("hostile.case=\(abuse.rawValue) hostile.ms=250") { guest in
            var lines = await guest.lines(to: "hostile: ")
            let atStart = try WorkerLoad(of: guest.process.pid)
            lines += await guest.lines(to: "QUIET")
            let quiet = try WorkerLoad(of: guest.process.pid)
            lines += await guest.lines(to: "SURVIVED")
            let atEnd = try WorkerLoad(of: guest.process.pid)
            let account = lines.joined(separator: "\n")
            #expect(lines.last == "SURVIVED \(HostileGuest.deviceCount), 0 failures", "\(account)")
            let growth = zip([atEnd.memory], [atStart.memory]).map { ($0 ?? 0) - ($1 ?? 0) }[0]
            #expect(growth < Self.memoryAllowance, "KiB\n\(account)")
            #expect(atEnd.threads == atStart.threads)
            // What the worker closes last as it starts may be there still when the guest speaks first.
            #expect(atEnd.descriptors ?? 0 <= atStart.descriptors ?? 0)
            #expect(atEnd.deviceTicks - quiet.deviceTicks < 10, "of 20 or more: a thread spins\n\(account)")
            let figures = lines.filter { $0.first?.isNumber == true || $0.contains("resets") }
            print("\(abuse): \(growth) KiB more; \(figures.joined(separator: "; "))")
        }
    }

    @Test func `a rule that is broken is named`() async throws {
        try await HostileGuest.with("hostile.case=1 hostile.device=1") { guest in
            _ = await guest.lines(to: "SURVIVED")
            for name in ["chainTooLong", "nextOutOfRange", "headOutOfRange", "emptyBuffer", "indirectInsideIndirect"] {
                let isNamed = guest.violations.contains { $0.contains("its entropy device") && $0.contains(name) }
                #expect(isNamed, "\(name)")
            }
        }
    }

    @Test func `a disk whose file is cut short under it goes on`() async throws {
        try await HostileGuest.with("hostile.case=16 hostile.device=2") { guest in
            _ = await guest.lines(to: "TRUNCATE")
            try guest.truncateDisk(to: 512)
            let lines = await guest.lines(to: "SURVIVED")
            #expect(lines.last == "SURVIVED 1, 0 failures", "\(lines)")
        }
    }

    @Test func `a guest that resets ends its machine with that word`() async throws {
        try await HostileGuest.with("hostile.case=5 hostile.device=1 hostile.end=1") { guest in
            let end = try await guest.end()
            #expect(end.lastWord == .guestReset)
            #expect(end.status == .exited(0))
        }
    }

    @Test func `a guest that runs what is no memory ends its machine with a reason`() async throws {
        try await HostileGuest.with("hostile.case=52") { guest in
            let end = try await guest.end()
            switch end.lastWord {
            case .failed(let reason): #expect(reason.hasPrefix("KVM gave up on processor 0"))
            case .tripleFault: break
            case let other: Issue.record("\(String(describing: other)): \(end.errors)")
            }
            #expect(end.status == .exited(1))
        }
    }
}
