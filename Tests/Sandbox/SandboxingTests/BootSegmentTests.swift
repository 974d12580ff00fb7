import Foundation
import GuestAPI
import SwiftProtobuf
import TestSupport
import Testing

@testable import Sandboxing

@Suite("Boot segment") struct BootSegmentTests {
    @Test func `a file is a header, its name and its bytes, each padded to four`() {
        var archive = CPIOArchive()
        archive.addFile("ab", mode: 0o400, contents: [1, 2, 3])
        let text = String(decoding: archive.bytes.prefix(110), as: UTF8.self)
        // magic, inode, mode 0100400, uid, gid, links, time, size 3, four device numbers, name length 3, checksum
        #expect(
            text == "070701" + "00000001" + "00008100" + "00000000" + "00000000" + "00000001" + "00000000" + "00000003"
                + "00000000" + "00000000" + "00000000" + "00000000" + "00000003" + "00000000"
        )
        #expect(Array(archive.bytes[110..<116]) == Array("ab".utf8) + [0, 0, 0, 0])
        #expect(Array(archive.bytes[116...]) == [1, 2, 3, 0])
    }

    @Test func `cpio reads what we write`() async throws {
        var archive = CPIOArchive()
        archive.addDirectory("voidbox", mode: 0o700)
        archive.addFile("voidbox/boot", mode: 0o400, contents: Array("secret".utf8))
        archive.finish()
        let file = FileManager.default.temporaryDirectory.appending(path: "voidbox-cpio-\(UUID())")
        try Data(archive.bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let cpio = try await TestProcess.start(["/bin/sh", "-c", "cpio -tv --quiet < \(file.path)"]).end()
        try #require(cpio.status == 0, "cpio cannot read it, or is not installed (make setup)")
        let lines = cpio.output.split(separator: "\n")
        try #require(lines.count == 2)
        #expect(lines[0].hasPrefix("drwx------") && lines[0].hasSuffix("voidbox"))
        #expect(lines[1].hasPrefix("-r--------") && lines[1].hasSuffix("voidbox/boot"))
    }

    @Test func `the parameters say what the configuration says`() throws {
        var configuration = SandboxConfiguration(
            name: "My Box!",
            boot: BootArtifacts(kernel: "", initramfs: "", rootDisk: "")
        )
        configuration.policy.programs = .only(["b", "a"])
        configuration.disks = [.init(imagePath: "/d", mountPoint: "/opt/x")]
        configuration.environment = ["A": "1"]
        let names = BootNames(rootSerial: "root", diskSerials: ["disk0"], shareTags: [], shareKind: "9p")
        let bytes = try configuration.bootSegment(names, unixNanoseconds: 7)
        // The second entry's contents: after both headers, names and padding.
        let marker = Array("voidbox/boot\0".utf8)
        let start = try #require(bytes.firstRange(of: marker)?.upperBound)
        let size = try #require(
            Int(String(decoding: bytes[(start - 13 - 56)..<(start - 13 - 48)], as: UTF8.self), radix: 16)
        )
        let padded = (start + 3) / 4 * 4
        let message = try Voidbox_Guest_V1_BootParameters(serializedBytes: Array(bytes[padded..<padded + size]))
        #expect(message.hostname == "my-box")
        #expect(message.policy.allowedPrograms == ["a", "b"] && !message.policy.allowAnyProgram)
        #expect(message.disks.first?.serial == "disk0" && message.disks.first?.mountPoint == "/opt/x")
        #expect(!message.hasNetwork)
        #expect(message.clockUnixNanos == 7)
    }
}

@Suite("Send gate", .timeLimit(.minutes(10))) struct SendGateTests {
    @Test func `a sender waits for credit and goes on with it`() async throws {
        let gate = SendGate(capacity: 10)
        #expect(try await gate.pass(8) == 8)
        #expect(try await gate.pass(8) == 2)
        let waiting = Task { try await gate.pass(5) }
        #expect(gate.giveBack(4))
        #expect(try await waiting.value == 4)
        #expect(!gate.giveBack(11), "more than was sent")
    }

    @Test func `closing fails those who wait and those who come`() async throws {
        struct Gone: Error {}
        let gate = SendGate(capacity: 1)
        _ = try await gate.pass(1)
        let waiting = Task { try await gate.pass(1) }
        gate.close(Gone())
        await #expect(throws: Gone.self) { _ = try await waiting.value }
        await #expect(throws: Gone.self) { _ = try await gate.pass(1) }
    }

    @Test func `a cancelled sender stops waiting`() async throws {
        let gate = SendGate(capacity: 1)
        _ = try await gate.pass(1)
        let waiting = Task { try await gate.pass(1) }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { _ = try await waiting.value }
    }
}

@Suite("Choosing a backend") struct BackendSelectionTests {
    @Test func `auto is a real machine, and KVM only where the hardware is behind it`() throws {
        let native = HostVirtualization(mayOpenKVM: true, hasHardwareVirtualization: true)
        let emulating = HostVirtualization(mayOpenKVM: true, hasHardwareVirtualization: false)
        for mode in [SandboxMode.auto, .local] {
            #expect(mode.backend(on: native, needsNetwork: false) == .kvm)
            #expect(mode.backend(on: native, needsNetwork: true) == .qemu, "kvm has no network")
            #expect(mode.backend(on: emulating, needsNetwork: false) == .qemu)
        }
        for (mode, name) in [(SandboxMode.kvm, BackendName.kvm), (.qemu, .qemu), (.mock, .mock)] {
            #expect(mode.backend(on: emulating, needsNetwork: true) == name, "what is named is taken")
        }
        func acceleration(_ kvm: Bool, _ hardware: Bool) -> QEMUAcceleration {
            HostVirtualization(mayOpenKVM: kvm, hasHardwareVirtualization: hardware).qemuAcceleration
        }
        #expect(acceleration(true, true) == .kvm)
        #expect(acceleration(true, false) == .tcg, "an emulating /dev/kvm is slower than QEMU's emulation")
        #expect(acceleration(false, true) == .tcg)
    }
}
