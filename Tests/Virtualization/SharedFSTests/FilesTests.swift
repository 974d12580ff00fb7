import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

@Suite("Files of a share", .timeLimit(.minutes(10))) struct FilesTests {
    private let guest: GuestKernel

    init() throws {
        guest = try GuestKernel()
    }

    private func hostText(_ name: String) throws -> String { try FileSystem.readText(guest.host(name)) }

    // MARK: Data

    @Test func `what the guest writes the host reads, and the other way round`() throws {
        let node = try guest.write("from the guest", to: "a")
        #expect(try hostText("a") == "from the guest")
        try FileSystem.replace(guest.host("a"), with: "from the host")
        let handle = try guest.open(node, O_RDONLY)
        #expect(try guest.text(node, handle) == "from the host")
        #expect(try guest.attributes(node).size == 13)
    }

    @Test func `a read is as long as the file, the request and the room for it allow`() throws {
        let (entry, handle) = try guest.create("a")
        try guest.write(Array(0..<100), entry.node, handle)
        #expect(try guest.read(entry.node, handle, at: 90, count: 50) == Array(90..<100))
        #expect(try guest.read(entry.node, handle, at: 10, count: 5) == Array(10..<15))
        #expect(try guest.read(entry.node, handle, at: 0, count: 100, capacity: 16 + 7) == Array(0..<7))
        #expect(try guest.read(entry.node, handle, at: 0, count: 100, capacity: 16) == [])
        #expect(try guest.read(entry.node, handle, at: 5000) == [])
        #expect(throws: Errno.invalidArgument) { try guest.read(entry.node, handle, at: .max) }
    }

    @Test func `a file that was removed lives on while it is open`() throws {
        let (entry, handle) = try guest.create("a")
        try guest.write(Array("before".utf8), entry.node, handle)
        try guest.unlink("a")
        try guest.write(Array("after!".utf8), entry.node, handle, at: 6)
        #expect(try guest.text(entry.node, handle) == "beforeafter!")
        #expect(try guest.attributes(entry.node, handle: handle).size == 12)
        // fstat(2) of a guest asks by number, without the handle.
        #expect(try guest.attributes(entry.node).links == 0)
        try guest.setattr(entry.node, .size(3))
        #expect(try guest.text(entry.node, handle) == "bef")
        try guest.release(entry.node, handle)
        #expect(throws: Errno.badDescriptor) { try guest.text(entry.node, handle) }
    }

    @Test func `appends from two handles do not overwrite each other, nor the host's`() throws {
        let (entry, first) = try guest.create("log", flags: O_WRONLY | O_APPEND)
        let second = try guest.open(entry.node, O_WRONLY | O_APPEND)
        for index in 0..<50 {
            // The guest's idea of the end is behind the times.
            try guest.write(Array("a".utf8), entry.node, first, at: UInt64(index / 3), flags: O_APPEND)
            try guest.write(Array("b".utf8), entry.node, second, at: 0, flags: O_APPEND)
            let host = try OwnedFD.open(guest.host("log"), O_WRONLY | O_APPEND)
            try host.writeAll("c")
        }
        #expect(try hostText("log") == String(repeating: "abc", count: 50))
    }

    @Test func `a page of a mapping goes where it belongs, even by a handle that appends`() throws {
        let (entry, handle) = try guest.create("a", flags: O_RDWR | O_APPEND)
        try guest.write(Array("0123456789".utf8), entry.node, handle, flags: O_APPEND)
        try guest.write(Array("XY".utf8), entry.node, handle, at: 4, flags: O_APPEND, writeFlags: 1)
        #expect(try hostText("a") == "0123XY6789")
    }

    @Test(arguments: [O_DSYNC, O_SYNC]) func `a synchronous write is one`(_ flag: Int32) throws {
        let (entry, handle) = try guest.create("a", flags: O_RDWR | flag)
        #expect(try guest.write([1, 2, 3], entry.node, handle, flags: flag) == 3)
        try guest.call(.fsync, entry.node, guest.arguments(handle, UInt32(1), UInt32(0)))
        try guest.call(.fsync, entry.node, guest.arguments(handle, UInt32(0), UInt32(0)))
    }

    @Test func `a handle allows what it was opened for`() throws {
        let node = try guest.write("text", to: "a")
        let reading = try guest.open(node, O_RDONLY)
        let writing = try guest.open(node, O_WRONLY)
        #expect(throws: Errno.badDescriptor) { try guest.write([1], node, reading) }
        #expect(throws: Errno.badDescriptor) { try guest.read(node, writing) }
        #expect(throws: Errno.badDescriptor) { try guest.read(node, 999) }
        #expect(throws: Errno.invalidArgument) { try guest.open(node, 3) }
    }

    @Test func `a handle belongs to its file`() throws {
        let (a, b) = (try guest.write("a", to: "a"), try guest.write("b", to: "b"))
        let handle = try guest.open(a, O_RDONLY)
        #expect(throws: Errno.badDescriptor) { try guest.read(b, handle) }
        #expect(throws: Errno.badDescriptor) { try guest.release(b, handle) }
        #expect(try guest.text(a, handle) == "a")
        let directory = try guest.opendir()
        #expect(throws: Errno.badDescriptor) { try guest.read(1, directory) }
        #expect(throws: Errno.badDescriptor) { try guest.readdir(a, handle) }
    }

    @Test func `offsets at the edge of the world are refused`() throws {
        let (entry, handle) = try guest.create("a")
        #expect(throws: Errno.fileTooLarge) { try guest.write([1], entry.node, handle, at: .max) }
        #expect(throws: Errno.fileTooLarge) { try guest.write([1], entry.node, handle, at: UInt64(Int64.max)) }
        #expect(throws: Errno.fileTooLarge) { try guest.setattr(entry.node, .size(.max)) }
        #expect(throws: Errno.fileTooLarge) {
            try guest.call(.fallocate, entry.node, guest.arguments(handle, UInt64(0), UInt64.max, UInt64(0)))
        }
    }

    // MARK: Creation

    @Test func `O_EXCL creates and never opens`() throws {
        let (entry, handle) = try guest.create("a", flags: O_RDWR | O_EXCL)
        try guest.release(entry.node, handle)
        #expect(throws: Errno.exists) { try guest.create("a", flags: O_RDWR | O_EXCL) }
        try guest.symlink("dangling", to: "nowhere")
        #expect(throws: Errno.exists) { try guest.create("dangling", flags: O_RDWR | O_EXCL) }
        // Without it, the file that is there is opened, and kept unless it is to be truncated.
        try guest.write(Array("text".utf8), entry.node, try guest.open(entry.node))
        let (again, second) = try guest.create("a")
        #expect(again.node == entry.node)
        #expect(try guest.text(again.node, second) == "text")
        _ = try guest.create("a", flags: O_RDWR | O_TRUNC)
        #expect(try guest.attributes(entry.node).size == 0)
    }

    @Test(arguments: [0o000, 0o400, 0o644, 0o666, 0o777, 0o1777] as [UInt32])
    func `the mode is the guest's, whatever the umask of the host's process`(_ mode: UInt32) throws {
        #expect(try guest.create("file", mode: mode).entry.attributes.mode == 0o100000 | mode)
        #expect(try guest.mkdir("directory", mode: mode).attributes.mode == 0o040000 | mode)
        #expect(try guest.mknod("fifo", mode: 0o010000 | mode).attributes.mode == 0o010000 | mode)
    }

    @Test func `a file without permissions can be written by the handle that created it`() throws {
        let (entry, handle) = try guest.create("a", flags: O_WRONLY, mode: 0)
        #expect(try guest.write([1], entry.node, handle) == 1)
    }

    @Test func `opening with O_TRUNC empties`() throws {
        let node = try guest.write("text", to: "a")
        let handle = try guest.open(node, O_WRONLY | O_TRUNC)
        #expect(try guest.attributes(node, handle: handle).size == 0)
    }

    // MARK: Space

    @Test func `truncation cuts, and extends with zeros`() throws {
        let (entry, handle) = try guest.create("a")
        try guest.write(Array("0123456789".utf8), entry.node, handle)
        #expect(try guest.setattr(entry.node, .size(4)).size == 4)
        #expect(try guest.setattr(entry.node, .size(6)).size == 6)
        #expect(try guest.read(entry.node, handle) == Array("0123".utf8) + [0, 0])
        // ftruncate(2)
        #expect(try guest.setattr(entry.node, .init(valid: 8 | 1 << 6, handle: handle, size: 1)).size == 1)
        let directory = try guest.mkdir("d")
        #expect(throws: Errno.isADirectory) { try guest.setattr(directory.node, .size(0)) }
    }

    @Test func `a sparse file has holes, which can be found and made`() throws {
        let (entry, handle) = try guest.create("sparse")
        let mebibyte: UInt64 = 1 << 20
        try guest.write([UInt8](repeating: 1, count: 65536), entry.node, handle, at: 16 * mebibyte)
        let attributes = try guest.attributes(entry.node)
        #expect(attributes.size == 16 * mebibyte + 65536)
        #expect(attributes.blocks * 512 < mebibyte)
        func seek(_ whence: UInt32, from offset: UInt64) throws -> UInt64 {
            let reply = try guest.call(.lseek, entry.node, guest.arguments(handle, offset, whence, UInt32(0)))
            return reply.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        #expect(try seek(3, from: 0) == 16 * mebibyte)
        #expect(try seek(4, from: 0) == 0)
        #expect(try seek(4, from: 16 * mebibyte) == attributes.size)
        #expect(throws: Errno.noSuchDeviceOrAddress) { try seek(3, from: attributes.size) }
        #expect(throws: Errno.invalidArgument) { try seek(0, from: 0) }
        #expect(throws: Errno.noSuchDeviceOrAddress) { try seek(3, from: .max) }
    }

    @Test func `space can be allocated, zeroed and given back`() throws {
        let (entry, handle) = try guest.create("a")
        func allocate(_ mode: UInt32, _ offset: UInt64, _ count: UInt64) throws {
            try guest.call(.fallocate, entry.node, guest.arguments(handle, offset, count, mode, UInt32(0)))
        }
        try allocate(0, 0, 65536)
        #expect(try guest.attributes(entry.node).size == 65536)
        try allocate(1, 0, 1 << 20)
        #expect(try guest.attributes(entry.node).size == 65536)
        try guest.write([UInt8](repeating: 7, count: 8192), entry.node, handle)
        try allocate(3, 0, 4096)
        #expect(try guest.read(entry.node, handle, at: 4090, count: 12) == [0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7])
        // Collapsing a range moves everything behind it.
        #expect(throws: Errno.notSupported) { try allocate(8, 0, 4096) }
        let reading = try guest.open(entry.node, O_RDONLY)
        #expect(throws: Errno.badDescriptor) {
            try guest.call(
                .fallocate,
                entry.node,
                guest.arguments(reading, UInt64(0), UInt64(1), UInt32(0), UInt32(0)),
            )
        }
    }

    @Test func `a copy between files stays on the host`() throws {
        let source = try guest.write("0123456789", to: "source")
        let reading = try guest.open(source, O_RDONLY)
        let (target, writing) = try guest.create("target")
        let reply = try guest.call(
            .copyFileRange,
            source,
            guest.arguments(reading, UInt64(2), target.node, writing, UInt64(1), UInt64(5), UInt64(0)),
        )
        #expect(reply == [5, 0, 0, 0, 0, 0, 0, 0])
        #expect(try hostText("target") == "\u{0}23456")
        #expect(throws: Errno.invalidArgument) {
            try guest.call(
                .copyFileRange,
                source,
                guest.arguments(reading, UInt64(0), target.node, writing, UInt64(0), UInt64(5), UInt64(1)),
            )
        }
        #expect(throws: Errno.badDescriptor) {
            try guest.call(
                .copyFileRange,
                target.node,
                guest.arguments(writing, UInt64(0), source, reading, UInt64(0), UInt64.max, UInt64(0)),
            )
        }
    }

    @Test func `the file system's numbers arrive`() throws {
        let reply = try guest.call(.statfs)
        #expect(reply.count == 80)
        // blocks and namelen
        #expect(reply[..<8].contains { $0 != 0 })
        #expect(reply[44] == 255)
        try guest.call(.syncfs, 1, guest.arguments(UInt64(0)))
    }
}
