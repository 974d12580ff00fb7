import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

@Suite("Names in a share", .timeLimit(.minutes(10))) struct NamesTests {
    private let guest: GuestKernel

    init() throws {
        guest = try GuestKernel()
    }

    // MARK: Lookup

    @Test func `a file of the host is found, with its attributes`() throws {
        try Data("hello".utf8).write(to: URL(fileURLWithPath: guest.host("a")))
        try FileSystem.setMode(of: guest.host("a"), 0o640)
        let entry = try guest.lookup("a")
        #expect(entry.node > 1)
        #expect(entry.attributes.size == 5)
        #expect(entry.attributes.mode == 0o100640)
        #expect(entry.attributes.links == 1)
    }

    @Test func `a name that is not there is not found`() throws {
        #expect(throws: Errno.notFound) { try guest.lookup("missing") }
    }

    @Test(arguments: [".", "..", "a/b", "/", "", "../x"]) func `a name of other than one component is refused`(
        _ name: String
    ) throws {
        #expect(throws: Errno.invalidArgument) { try guest.lookup(name) }
        #expect(throws: Errno.invalidArgument) { try guest.mkdir(name) }
        #expect(throws: Errno.invalidArgument) { try guest.create(name) }
        #expect(throws: Errno.invalidArgument) { try guest.unlink(name) }
        #expect(throws: Errno.invalidArgument) { try guest.rename("x", to: name) }
        #expect(throws: Errno.invalidArgument) { try guest.symlink(name, to: "x") }
    }

    @Test func `a name may have 255 bytes and not 256`() throws {
        let longest = String(repeating: "n", count: 255)
        let (entry, handle) = try guest.create(longest)
        try guest.release(entry.node, handle)
        #expect(try guest.lookup(longest).node == entry.node)
        #expect(try guest.list().map(\.name) == [longest])
        #expect(throws: Errno.nameTooLong) { try guest.create(longest + "n") }
        #expect(throws: Errno.nameTooLong) { try guest.lookup(longest + "n") }
        #expect(throws: Errno.nameTooLong) { try guest.mkdir(longest + "n") }
        try guest.unlink(longest)
        #expect(throws: Errno.notFound) { try guest.lookup(longest) }
    }

    @Test func `a name need not be text`() throws {
        let name: [UInt8] = [0xFF, 0xFE, 0x0A, 0x20, 0xC3, 0]
        let (mode, umask) = (UInt32(0o755), UInt32(0))
        try guest.call(.mkdir, 1, guest.arguments(mode, umask) + name)
        try guest.call(.lookup, 1, name)
        try guest.call(.rmdir, 1, name)
        #expect(try guest.send(.lookup, 1, name).error == ENOENT)
    }

    @Test func `a file in a file is no place`() throws {
        let file = try guest.write("", to: "file")
        #expect(throws: Errno.notADirectory) { try guest.lookup("x", in: file) }
        #expect(throws: Errno.notADirectory) { try guest.mkdir("x", in: file) }
        #expect(throws: Errno.notADirectory) { try guest.create("x", in: file) }
    }

    // MARK: Numbers of files

    @Test func `hard links share a number and count`() throws {
        let file = try guest.write("x", to: "a")
        let linked = try guest.link(file, as: "b")
        #expect(linked.node == file)
        #expect(linked.attributes.links == 2)
        #expect(try guest.lookup("b").node == file)
        try guest.unlink("a")
        #expect(try guest.attributes(file).links == 1)
        #expect(try guest.lookup("b").attributes.links == 1)
    }

    @Test func `directories count their subdirectories`() throws {
        let directory = try guest.mkdir("d")
        #expect(directory.attributes.links == 2)
        try guest.mkdir("e", in: directory.node)
        #expect(try guest.attributes(directory.node).links == 3)
        try guest.rmdir("e", in: directory.node)
        #expect(try guest.attributes(directory.node).links == 2)
    }

    @Test func `a symbolic link can be linked, and a directory cannot`() throws {
        let link = try guest.symlink("l", to: "/etc/passwd")
        let linked = try guest.link(link.node, as: "m")
        #expect(linked.node == link.node)
        #expect(linked.attributes.mode & 0o170000 == 0o120000)
        let directory = try guest.mkdir("d")
        #expect(throws: Errno.notPermitted) { try guest.link(directory.node, as: "e") }
        #expect(throws: Errno.exists) { try guest.link(link.node, as: "d") }
    }

    @Test func `a number that was forgotten is stale, and the file gets another`() throws {
        let first = try guest.write("x", to: "a")
        _ = try guest.lookup("a")
        // Twice known, by creation and lookup.
        try guest.forget(first)
        _ = try guest.attributes(first)
        try guest.forget(first)
        #expect(throws: Errno.staleHandle) { try guest.attributes(first) }
        #expect(try guest.lookup("a").node != first)
    }

    @Test func `forgetting in batches forgets each, and the root never`() throws {
        let nodes = try ["a", "b", "c"].map { try guest.write("", to: $0) }
        let before = guest.server.load.nodes
        var batch = guest.arguments(UInt32(4), UInt32(0))
        for node in nodes + [1] { batch += guest.arguments(node, UInt64(1)) }
        try guest.post(.batchForget, 0, batch)
        #expect(guest.server.load.nodes == before - 3)
        _ = try guest.attributes(GuestKernel.root)
        // More than there are: the count is the guest's, the bytes are what is there.
        try guest.post(.batchForget, 0, guest.arguments(UInt32.max, UInt32(0), UInt64(99), UInt64.max))
    }

    // MARK: Symbolic links

    @Test(arguments: ["/etc/passwd", "../../../etc", "nowhere", String(repeating: "t", count: 4095)])
    func `a symbolic link keeps its target, whatever it is`(_ target: String) throws {
        let link = try guest.symlink("link", to: target)
        #expect(link.attributes.mode & 0o170000 == 0o120000)
        #expect(link.attributes.size == UInt64(target.utf8.count))
        #expect(String(decoding: try guest.call(.readlink, link.node), as: UTF8.self) == target)
    }

    @Test func `a target beyond a path's length is refused`() throws {
        #expect(throws: Errno.nameTooLong) { try guest.symlink("l", to: String(repeating: "t", count: 4096)) }
        #expect(throws: Errno.notFound) { try guest.symlink("l", to: "") }
    }

    @Test func `only a symbolic link can be read as one`() throws {
        let file = try guest.write("", to: "file")
        #expect(throws: Errno.invalidArgument) { try guest.call(.readlink, file) }
    }

    // MARK: Rename

    @Test func `a rename replaces a file, which lives on while it is open`() throws {
        let old = try guest.write("old", to: "target")
        let handle = try guest.open(old, O_RDONLY)
        let new = try guest.write("new", to: "source")
        try guest.rename("source", to: "target")
        #expect(try guest.lookup("target").node == new)
        #expect(throws: Errno.notFound) { try guest.lookup("source") }
        #expect(try guest.text(old, handle) == "old")
        #expect(try guest.attributes(old).links == 0)
    }

    @Test func `a rename replaces an empty directory and no other`() throws {
        let source = try guest.mkdir("source")
        let full = try guest.mkdir("full")
        try guest.mkdir("child", in: full.node)
        try guest.mkdir("empty")
        #expect(throws: Errno.notEmpty) { try guest.rename("source", to: "full") }
        try guest.rename("source", to: "empty")
        #expect(try guest.lookup("empty").node == source.node)
    }

    @Test func `a rename does not mix files and directories`() throws {
        try guest.write("", to: "file")
        try guest.mkdir("directory")
        #expect(throws: Errno.isADirectory) { try guest.rename("file", to: "directory") }
        #expect(throws: Errno.notADirectory) { try guest.rename("directory", to: "file") }
    }

    @Test func `a directory cannot become its own child`() throws {
        let directory = try guest.mkdir("d")
        #expect(throws: Errno.invalidArgument) { try guest.rename("d", to: "e", inside: directory.node) }
    }

    @Test func `NOREPLACE keeps what is there`() throws {
        let (source, target) = (try guest.write("s", to: "s"), try guest.write("t", to: "t"))
        #expect(throws: Errno.exists) { try guest.rename("s", to: "t", flags: 1) }
        #expect(try guest.lookup("s").node == source)
        #expect(try guest.lookup("t").node == target)
        try guest.rename("s", to: "u", flags: 1)
        #expect(try guest.lookup("u").node == source)
    }

    @Test func `EXCHANGE swaps a file and a directory`() throws {
        let file = try guest.write("", to: "a")
        let directory = try guest.mkdir("b")
        try guest.rename("a", to: "b", flags: 2)
        #expect(try guest.lookup("a").node == directory.node)
        #expect(try guest.lookup("b").node == file)
        #expect(throws: Errno.notFound) { try guest.rename("a", to: "missing", flags: 2) }
    }

    @Test(arguments: [4, 3, 8, UInt32.max] as [UInt32]) func `whiteouts and unknown flags are refused`(
        _ flags: UInt32
    ) throws {
        try guest.write("", to: "a")
        #expect(throws: Errno.invalidArgument) { try guest.rename("a", to: "b", flags: flags) }
    }

    @Test func `the older rename has no flags`() throws {
        let directory = try guest.mkdir("d")
        let file = try guest.write("", to: "a")
        try guest.call(.rename, 1, guest.arguments(directory.node) + guest.name("a") + guest.name("b"))
        #expect(try guest.lookup("b", in: directory.node).node == file)
    }

    // MARK: Removal

    @Test func `unlink is for files, and rmdir for empty directories`() throws {
        try guest.write("", to: "file")
        let directory = try guest.mkdir("directory")
        try guest.write("", to: "child", in: directory.node)
        #expect(throws: Errno.isADirectory) { try guest.unlink("directory") }
        #expect(throws: Errno.notADirectory) { try guest.rmdir("file") }
        #expect(throws: Errno.notEmpty) { try guest.rmdir("directory") }
        try guest.unlink("child", in: directory.node)
        try guest.rmdir("directory")
        #expect(throws: Errno.notFound) { try guest.lookup("directory") }
    }

    // MARK: Nodes

    @Test func `files, FIFOs and sockets can be made, with their modes`() throws {
        #expect(try guest.mknod("file", mode: 0o100600).attributes.mode == 0o100600)
        #expect(try guest.mknod("fifo", mode: 0o010622).attributes.mode == 0o010622)
        #expect(try guest.mknod("socket", mode: 0o140777).attributes.mode == 0o140777)
        #expect(throws: Errno.exists) { try guest.mknod("fifo", mode: 0o010600) }
    }

    @Test(arguments: [0o020666, 0o060666, 0o040755, 0o120777] as [UInt32])
    func `device nodes and what has its own request are refused`(_ mode: UInt32) throws {
        #expect(throws: Errno.notPermitted) { try guest.mknod("node", mode: mode, device: 0x103) }
    }

    @Test func `a FIFO, a socket and a directory are not opened as files, and nothing waits`() throws {
        let fifo = try guest.mknod("fifo", mode: 0o010666)
        let socket = try guest.mknod("socket", mode: 0o140666)
        let directory = try guest.mkdir("d")
        for flags in [O_RDONLY, O_WRONLY, O_RDWR] {
            #expect(throws: Errno.noSuchDeviceOrAddress) { try guest.open(fifo.node, flags) }
            #expect(throws: Errno.noSuchDeviceOrAddress) { try guest.open(socket.node, flags) }
            #expect(throws: Errno.isADirectory) { try guest.open(directory.node, flags) }
        }
        // A creation that finds a FIFO makes the guest look again.
        #expect(throws: Errno.staleHandle) { try guest.create("fifo") }
        #expect(throws: Errno.invalidArgument) { try guest.setattr(fifo.node, .size(0)) }
    }
}
