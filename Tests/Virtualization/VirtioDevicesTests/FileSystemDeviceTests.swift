import ByteCodec
import Foundation
import LinuxSystem
import MachineMemory
import SharedFS
import Testing
import Virtio
import VirtioDevices
import VirtioDriver

/// What the server does with requests is its own tests' matter; here is how they come to it.
@Suite("File system device") struct FileSystemDeviceTests {
    /// Of node 2, which nobody knows: it has no answer all the same.
    private static let forget: [UInt8] = {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(48))
        bytes.append(littleEndian: UInt32(2))  // FUSE_FORGET
        bytes.append(littleEndian: UInt64(1))
        bytes.append(littleEndian: UInt64(2))
        return bytes + [UInt8](repeating: 0, count: 24)
    }()

    private func fixture() throws -> DeviceFixture {
        let path = FileManager.default.temporaryDirectory.path
        return try DeviceFixture(FileSystemDevice.description(tag: "share")) {
            FileSystemDevice($0, try FUSEServer(root: Directory(path), options: FUSEOptions()))
        }
    }

    private func offerForget(_ fixture: DeviceFixture) throws {
        try fixture.memory.write(Self.forget, at: GuestAddress(DeviceFixture.buffers))
        try fixture.queues[0].offer(readable: [(DeviceFixture.buffers, 48)])
    }

    /// Waits until the device asks for the kick of the request behind so many.
    private func untilKickIsAsked(_ fixture: DeviceFixture, behind count: UInt16) throws {
        let queue = fixture.queues[0].state
        let event = try fixture.memory.range(at: GuestAddress(queue.device + 4 + 8 * UInt64(queue.size)), count: 2)
        let deadline = ContinuousClock.now + .seconds(30)
        while event.loadAcquire16(at: 0) != count {
            guard ContinuousClock.now < deadline else { throw DeviceFixture.Silence() }
            try fixture.awaitInterrupt()
        }
    }

    @Test func `files that are forgotten in a row cost one kick, and after a lull the next is asked for`() throws {
        let fixture = try fixture()
        try untilKickIsAsked(fixture, behind: 0)
        try offerForget(fixture)
        fixture.kick(0)
        _ = try fixture.used(0)
        // Without a kick.
        for _ in 0..<3 {
            try offerForget(fixture)
            _ = try fixture.used(0)
        }
        try untilKickIsAsked(fixture, behind: 4)
        try offerForget(fixture)
        fixture.kick(0)
        _ = try fixture.used(0)
    }
}
