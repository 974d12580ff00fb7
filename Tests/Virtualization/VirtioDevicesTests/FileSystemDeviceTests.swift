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

    /// Offers a request, with a kick if the device asks for one, and waits until it is served. Whether it was kicked.
    private func forget(_ fixture: DeviceFixture) throws -> Bool {
        let queue = fixture.queues[0]
        let index = queue.nextIndex
        try fixture.memory.write(Self.forget, at: GuestAddress(DeviceFixture.buffers))
        try queue.offer(readable: [(DeviceFixture.buffers, 48)])
        let isAskedFor = try queue.kickEvent == index
        if isAskedFor { fixture.kick(0) }
        _ = try fixture.used(0)
        return isAskedFor
    }

    @Test func `files that are forgotten in a row cost one kick, and after a lull the next is asked for`() throws {
        let fixture = try fixture()
        // A busy host may end the lull between two requests, so not every row costs one kick only.
        for _ in 0..<100 {
            try fixture.untilKickIsAsked(0, forRequest: fixture.queues[0].nextIndex)
            let kicks = try (0..<4).map { _ in try forget(fixture) }
            #expect(kicks[0])
            if kicks == [true, false, false, false] { return }
        }
        Issue.record("no row of four requests in a hundred cost one kick")
    }
}
