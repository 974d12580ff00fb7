import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

@Suite("Attributes of a share's files", .timeLimit(.minutes(10))) struct AttributesTests {
    private let user = FUSEOptions.Owner(uid: HostFacts.userID, gid: HostFacts.groupID)

    // MARK: Mode

    @Test func `a mode can be changed, on the host too`() throws {
        let guest = try GuestKernel()
        let file = try guest.write("", to: "a")
        for mode in [0o000, 0o111, 0o640, 0o777] as [UInt32] {
            #expect(try guest.setattr(file, .mode(0o100000 | mode)).mode == 0o100000 | mode)
            #expect(try FileSystem.status(of: guest.host("a")).mode == mode)
        }
        let directory = try guest.mkdir("d")
        #expect(try guest.setattr(directory.node, .mode(0o3770)).mode == 0o043770)
        let link = try guest.symlink("l", to: guest.host("a"))
        #expect(throws: Errno.notSupported) { try guest.setattr(link.node, .mode(0o600)) }
        #expect(try FileSystem.status(of: guest.host("a")).mode == 0o777)
    }

    @Test func `set-user-id bits of files are left out unless they are allowed`() throws {
        let guest = try GuestKernel()
        let file = try guest.create("a", mode: 0o4755).entry
        #expect(file.attributes.mode == 0o100755)
        #expect(try guest.setattr(file.node, .mode(0o6755)).mode == 0o100755)
        #expect(try guest.mknod("b", mode: 0o106755).attributes.mode == 0o100755)
        let trusting = try GuestKernel { $0.allowsSetID = true }
        let other = try trusting.create("a", mode: 0o755).entry
        #expect(try trusting.setattr(other.node, .mode(0o6755)).mode == 0o106755)
    }

    @Test func `a write, truncation or chown by an ordinary user takes set-user-id bits away`() throws {
        let guest = try GuestKernel { $0.allowsSetID = true }
        let (entry, handle) = try guest.create("a", mode: 0o755)
        func mode(after action: () throws -> Void) throws -> UInt32 {
            try guest.setattr(entry.node, .mode(0o6755))
            try action()
            return try guest.attributes(entry.node).mode & 0o7777
        }
        // FUSE_WRITE_KILL_SUIDGID, FATTR_KILL_SUIDGID, FUSE_OPEN_KILL_SUIDGID
        #expect(try mode { try guest.write([1], entry.node, handle, writeFlags: 1 << 2) } == 0o755)
        #expect(try mode { try guest.setattr(entry.node, .init(valid: 8 | 1 << 11)) } == 0o755)
        #expect(
            try mode {
                try guest.setattr(entry.node, .init(valid: 2 | 1 << 11, uid: entry.attributes.uid))
            } == 0o755
        )
        #expect(try mode { _ = try guest.open(entry.node, O_WRONLY | O_TRUNC, openFlags: 1) } == 0o755)
        if HostFacts.userID == 0 {
            // Without the flag the caller has CAP_FSETID.
            #expect(try mode { try guest.write([1], entry.node, handle) } == 0o6755)
        }
        // The set-group-id bit without the group's execute bit is no privilege.
        try guest.setattr(entry.node, .mode(0o6745))
        try guest.write([1], entry.node, handle, writeFlags: 1 << 2)
        #expect(try guest.attributes(entry.node).mode & 0o7777 == 0o2745)
    }

    // MARK: Owner

    @Test func `files of the serving user appear as the guest's owner`() throws {
        let guest = try GuestKernel({ $0.guestOwner = .init(uid: 1000, gid: 1001) }) {
            try FileSystem.replace("\($0)/host", with: "")
        }
        for entry in [try guest.lookup("host"), try guest.create("new").entry, try guest.mkdir("d")] {
            #expect(entry.attributes.uid == 1000)
            #expect(entry.attributes.gid == 1001)
        }
        let status = try FileSystem.status(of: guest.host("new"))
        #expect(status.uid == user.uid && status.gid == user.gid)
    }

    @Test(.enabled(if: HostFacts.userID == 0, "only root gives files away"))
    func `files of other users keep their owner`() throws {
        let guest = try GuestKernel({ $0.guestOwner = .init(uid: 1000, gid: 1000) }) {
            try FileSystem.replace("\($0)/other", with: "")
            try FileSystem.setOwner(of: "\($0)/other", uid: 4242, gid: 4343)
        }
        let attributes = try guest.lookup("other").attributes
        #expect(attributes.uid == 4242 && attributes.gid == 4343)
    }

    @Test func `an owner can be set to what it is and to nothing else`() throws {
        let guest = try GuestKernel { $0.guestOwner = .init(uid: 1000, gid: 1000) }
        let file = try guest.write("", to: "a")
        #expect(try guest.setattr(file, .owner(1000, 1000)).uid == 1000)
        for change in [GuestKernel.Change.owner(0, 0), .owner(1000, 0), .owner(1001, 1000), .owner(.max, .max)] {
            #expect(throws: Errno.notPermitted) { try guest.setattr(file, change) }
        }
        #expect(try FileSystem.status(of: guest.host("a")).uid == user.uid)
        let plain = try GuestKernel()
        let other = try plain.write("", to: "a")
        #expect(try plain.setattr(other, .owner(user.uid, user.gid)).uid == user.uid)
        #expect(throws: Errno.notPermitted) { try plain.setattr(other, .owner(user.uid + 1, user.gid)) }
    }

    @Test func `a refused owner changes nothing else`() throws {
        let guest = try GuestKernel()
        let file = try guest.write("text", to: "a")
        #expect(throws: Errno.notPermitted) {
            try guest.setattr(file, .init(valid: 1 | 2 | 8, size: 0, mode: 0o777, uid: user.uid + 1))
        }
        let attributes = try guest.attributes(file)
        #expect(attributes.size == 4 && attributes.mode == 0o100644)
    }

    // MARK: Times

    @Test func `times can be set to the nanosecond, before 1970 and to now, each alone`() throws {
        let guest = try GuestKernel()
        let file = try guest.write("", to: "a")
        let past = FileTime(seconds: 1_000_000_000, nanoseconds: 123_456_789)
        let older = FileTime(seconds: -86400, nanoseconds: 500_000_000)
        let set = try guest.setattr(file, .init(valid: 1 << 4 | 1 << 5, accessed: past, modified: older))
        #expect(set.accessed == past && set.modified == older)
        let status = try FileSystem.status(of: guest.host("a"))
        #expect(status.accessed == past && status.modified == older)
        // Modification alone, to now: FATTR_MTIME | FATTR_MTIME_NOW
        let now = HostFacts.unixNanoseconds / 1_000_000_000
        let touched = try guest.setattr(file, .init(valid: 1 << 5 | 1 << 8))
        #expect(touched.accessed == past)
        #expect(touched.modified.seconds >= now - 1)
        let accessed = try guest.setattr(file, .init(valid: 1 << 4 | 1 << 7))
        #expect(accessed.accessed.seconds >= now - 1)
        #expect(accessed.modified == touched.modified)
    }

    @Test(arguments: [1_000_000_000, 0x3FFF_FFFF, 0x3FFF_FFFE, .max] as [UInt32])
    func `a time of more than a second's nanoseconds is refused`(_ nanoseconds: UInt32) throws {
        let guest = try GuestKernel()
        let file = try guest.write("", to: "a")
        let before = try guest.attributes(file).modified
        let time = FileTime(seconds: 0, nanoseconds: nanoseconds)
        #expect(throws: Errno.invalidArgument) {
            try guest.setattr(file, .init(valid: 1 << 4 | 1 << 5, accessed: time, modified: time))
        }
        #expect(try guest.attributes(file).modified == before)
    }

    @Test func `times of a symbolic link are its own`() throws {
        let guest = try GuestKernel()
        try guest.write("", to: "target")
        let link = try guest.symlink("link", to: "target")
        let time = FileTime(seconds: 1, nanoseconds: 2)
        #expect(try guest.setattr(link.node, .init(valid: 1 << 5, modified: time)).modified == time)
        #expect(try guest.lookup("target").attributes.modified != time)
    }

    @Test func `contents change the file's times, entries the directory's, and status the change time`() throws {
        let guest = try GuestKernel()
        let (entry, handle) = try guest.create("a")
        let past = FileTime(seconds: 1000, nanoseconds: 0)
        try guest.setattr(entry.node, .init(valid: 1 << 4 | 1 << 5, accessed: past, modified: past))
        try guest.write([1], entry.node, handle)
        #expect(try guest.attributes(entry.node).modified > past)
        try guest.setattr(1, .init(valid: 1 << 5, modified: past))
        try guest.mkdir("d")
        #expect(try guest.attributes(1).modified > past)
        let before = try guest.attributes(entry.node)
        try guest.link(entry.node, as: "b")
        let after = try guest.attributes(entry.node)
        #expect(after.changed >= before.changed && after.modified == before.modified)
    }

    @Test func `times to keep are given with each answer`() throws {
        let guest = try GuestKernel {
            $0.entryTimeout = .milliseconds(1500)
            $0.attributeTimeout = .zero
        }
        try guest.write("", to: "a")
        let reply = try guest.call(.lookup, 1, guest.name("a"))
        // nodeid, generation, entry_valid, attr_valid, entry_valid_nsec, attr_valid_nsec
        #expect(reply[16..<24].elementsEqual([1, 0, 0, 0, 0, 0, 0, 0]))
        #expect(reply[24..<32].allSatisfy { $0 == 0 })
        #expect(reply[32..<36].elementsEqual([0x00, 0x65, 0xCD, 0x1D]))
        #expect(reply[36..<40].allSatisfy { $0 == 0 })
    }

    // MARK: Extended attributes

    private func value(_ guest: GuestKernel, _ node: UInt64, _ name: String, size: UInt32 = 65536) throws -> [UInt8] {
        try guest.call(.getxattr, node, guest.arguments(size, UInt32(0)) + guest.name(name))
    }

    private func set(
        _ guest: GuestKernel,
        _ node: UInt64,
        _ name: String,
        _ value: [UInt8],
        flags: UInt32 = 0,
    ) throws {
        try guest.call(.setxattr, node, guest.arguments(UInt32(value.count), flags) + guest.name(name) + value)
    }

    @Test func `extended attributes of the user kind are kept`() throws {
        let guest = try GuestKernel()
        let nodes = [try guest.write("", to: "a"), try guest.mkdir("d").node]
        for node in nodes {
            try set(guest, node, "user.one", [1, 0, 255])
            try set(guest, node, "user.two", [])
            #expect(try value(guest, node, "user.one") == [1, 0, 255])
            #expect(try value(guest, node, "user.two") == [])
            #expect(try value(guest, node, "user.one", size: 0) == [3, 0, 0, 0, 0, 0, 0, 0])
            #expect(throws: Errno.resultOutOfRange) { try value(guest, node, "user.one", size: 2) }
            let list = try guest.call(.listxattr, node, guest.arguments(UInt32(1000), UInt32(0)))
            #expect(
                Set(list.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }) == ["user.one", "user.two"]
            )
            // XATTR_CREATE and XATTR_REPLACE
            #expect(throws: Errno.exists) { try set(guest, node, "user.one", [], flags: 1) }
            #expect(throws: Errno.noData) { try set(guest, node, "user.three", [], flags: 2) }
            #expect(throws: Errno.invalidArgument) { try set(guest, node, "user.three", [], flags: 3) }
            try guest.call(.removexattr, node, guest.name("user.one"))
            #expect(throws: Errno.noData) { try value(guest, node, "user.one") }
        }
    }

    @Test(
        arguments: [
            "security.capability", "trusted.x", "system.posix_acl_access", "user.", "user", "", "other.x",
        ]
    ) func `other kinds of extended attributes are refused`(_ name: String) throws {
        let guest = try GuestKernel()
        let node = try guest.write("", to: "a")
        #expect(throws: Errno.notSupported) { try value(guest, node, name) }
        #expect(throws: Errno.notSupported) { try set(guest, node, name, [1]) }
        #expect(throws: Errno.notSupported) { try guest.call(.removexattr, node, guest.name(name)) }
    }

    @Test(.enabled(if: HostFacts.userID == 0, "only root sets them"))
    func `the host's own attributes are not listed`() throws {
        let guest = try GuestKernel()
        let node = try guest.write("", to: "a")
        let file = try FileSystem.openForReading(guest.host("a"))
        try file.setExtendedAttribute(Array("trusted.secret".utf8), to: [1], .create)
        try file.setExtendedAttribute(Array("user.visible".utf8), to: [1], .create)
        #expect(
            try guest.call(.listxattr, node, guest.arguments(UInt32(1000), UInt32(0))) == guest.name("user.visible")
        )
    }

    @Test func `attributes that are too big, or shorter than they say, are refused`() throws {
        let guest = try GuestKernel()
        let node = try guest.write("", to: "a")
        #expect(throws: Errno.resultOutOfRange) {
            try set(guest, node, "user." + String(repeating: "n", count: 251), [1])
        }
        #expect(throws: Errno.argumentsTooBig) {
            try set(guest, node, "user.x", [UInt8](repeating: 0, count: 65537))
        }
        #expect(throws: Errno.invalidArgument) {
            try guest.call(.setxattr, node, guest.arguments(UInt32(100), UInt32(0)) + guest.name("user.x") + [1, 2])
        }
        let link = try guest.symlink("l", to: "a")
        #expect(throws: Errno.notPermitted) { try set(guest, link.node, "user.x", [1]) }
        #expect(throws: Errno.noData) { try value(guest, link.node, "user.x") }
    }
}
