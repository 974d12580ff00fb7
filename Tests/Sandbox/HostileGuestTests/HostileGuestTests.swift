import LinuxSystem
import TestSupport
import Testing
import WorkerProtocol

/// A guest that breaks every rule of its devices. Its worker goes on serving, or ends for a reason that it names; it does not
/// crash, grow, hang or spin.
@Suite("Hostile guest", .needsKVM, .takesBoxSlot, .timeLimit(.minutes(2)))
struct HostileGuestTests {
    /// What is fired at a device, by the numbers of `Guest/hostile/main.c`.
    enum Abuse: Int, CaseIterable, Sendable, CustomTestStringConvertible {
        case malformedChains = 1
        case malformedBuffers = 2
        case malformedQueues = 3
        case disorderlyStatus = 4
        case oddAccesses = 5
        case kickStorm = 6
        case changingDescriptors = 14
        case randomRequests = 15

        var testDescription: String { "\(self)" }
    }

    /// What only one kind of device understands, or none does.
    enum Speciality: Int, CaseIterable, Sendable, CustomTestStringConvertible {
        case blockRequests = 7
        case frames = 8
        case vsockPackets = 9
        case fileRequests = 10
        case consoleFlood = 12
        case largeRequests = 13
        case allPorts = 50
        case serialFlood = 51

        var testDescription: String { "\(self)" }
    }

    /// Beyond what a worker has when its guest starts: heaps of threads that serve for the first time.
    private static let memoryAllowance = 6 << 10

    @Test(arguments: Abuse.allCases, HostileGuest.Device.allCases)
    func `a device survives its guest`(_ abuse: Abuse, _ device: HostileGuest.Device) async throws {
        try await survive("hostile.case=\(abuse.rawValue) hostile.device=\(device.rawValue)", devices: 1)
    }

    @Test(arguments: Speciality.allCases)
    func `a machine survives its guest`(_ speciality: Speciality) async throws {
        try await survive("hostile.case=\(speciality.rawValue)", devices: HostileGuest.Device.allCases.count)
    }

    private func survive(_ words: String, devices: Int) async throws {
        try await HostileGuest.with("\(words) hostile.ms=300") { guest in
            var lines = await guest.lines(to: "hostile: ")
            let atStart = try WorkerLoad(of: guest.process.pid)
            lines += await guest.lines(to: "QUIET")
            let quiet = try WorkerLoad(of: guest.process.pid)
            lines += await guest.lines(to: "SURVIVED")
            let atEnd = try WorkerLoad(of: guest.process.pid)
            let account = lines.joined(separator: "\n")
            #expect(lines.last == "SURVIVED \(devices), 0 failures", "\(account)")
            if let before = atStart.memory, let after = atEnd.memory {
                #expect(after - before < Self.memoryAllowance, "KiB; from \(before) to \(after)\n\(account)")
            }
            #expect(atEnd.threads == atStart.threads)
            #expect(atEnd.descriptors == atStart.descriptors)
            #expect(atEnd.deviceTicks - quiet.deviceTicks < 10, "of 20 or more: a thread spins\n\(account)")
            for line in lines where line.contains(" ms") || line.contains("resets") { print("\(words): \(line)") }
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
