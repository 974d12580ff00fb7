import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

@Suite("Directories of a share", .timeLimit(.minutes(10))) struct DirectoriesTests {
    private func fill(_ path: String, _ count: Int) throws {
        let directory = try Directory(path)
        for index in 0..<count { _ = try directory.create("file-\(index)", mode: 0o644) }
    }

    @Test(arguments: [false, true], [false, true])
    func `every entry is listed once, with dot and dot-dot, in small pages`(_ plus: Bool, _ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens, fill: { try fill($0, 300) })
        let handle = try guest.opendir()
        var entries: [ListedEntry] = []
        while true {
            let page = try guest.readdir(
                1,
                handle,
                from: entries.last?.offset ?? 0,
                size: plus ? 400 : 100,
                plus: plus,
            )
            if page.isEmpty { break }
            entries += page
        }
        #expect(entries.count == 302)
        #expect(Set(entries.map(\.name)).count == 302)
        #expect(entries.contains { $0.name == "." } && entries.contains { $0.name == ".." })
    }

    @Test func `entries carry the number and type that their attributes have`() throws {
        let guest = try GuestKernel()
        try guest.write("", to: "file")
        try guest.mkdir("directory")
        try guest.symlink("link", to: "x")
        try guest.mknod("fifo", mode: 0o010600)
        for entry in try guest.list() {
            let attributes = try guest.lookup(entry.name).attributes
            #expect(entry.inode == attributes.inode)
            #expect(entry.type == attributes.mode >> 12)
        }
    }

    @Test func `what is above the share is not told`() throws {
        let guest = try GuestKernel()
        let entries = try guest.readdir(1, try guest.opendir())
        #expect(Set(entries.map(\.inode)).count == 1)
    }

    @Test(arguments: [false, true])
    func `a listing with attributes makes the files known, as lookups do`(_ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens, fill: { try fill($0, 20) })
        let entries = try guest.list(plus: true)
        #expect(entries.allSatisfy { $0.node > 1 })
        #expect(guest.server.load.nodes == 21)
        for entry in entries { #expect(try guest.lookup(entry.name).node == entry.node) }
        for entry in entries { try guest.forget(entry.node, 2) }
        #expect(guest.server.load == (1, 0, 0))
    }

    @Test(arguments: [false, true], [false, true])
    func `removing while reading, as rm -r does, leaves nothing`(_ plus: Bool, _ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens, fill: { try fill($0, 2000) })
        let handle = try guest.opendir()
        var offset: UInt64 = 0
        var removed = 0
        while true {
            let page = try guest.readdir(1, handle, from: offset, plus: plus)
            guard let last = page.last else { break }
            offset = last.offset
            for entry in page where !entry.name.hasPrefix(".") {
                try guest.unlink(entry.name)
                if entry.node != 0 { try guest.forget(entry.node) }
                removed += 1
            }
        }
        #expect(removed == 2000)
        #expect(try guest.list().isEmpty)
        #expect(guest.server.load.nodes == 1)
    }

    @Test(arguments: [false, true])
    func `an offset leads back to where it came from while entries go`(_ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens, fill: { try fill($0, 500) })
        let handle = try guest.opendir()
        let first = try guest.readdir(1, handle, size: 8192)
        let middle = first[first.count / 2]
        for entry in first[...(first.count / 2)] where !entry.name.hasPrefix(".") { try guest.unlink(entry.name) }
        // seekdir(3)
        let again = try guest.readdir(1, handle, from: middle.offset, size: 8192)
        #expect(again.first?.name == first[first.count / 2 + 1].name)
        // rewinddir(3)
        let start = try guest.readdir(1, handle, from: 0, size: 65536)
        #expect(!start.contains { $0.name == middle.name })
    }

    @Test(arguments: [false, true]) func `new entries show after a rewind`(_ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens)
        let handle = try guest.opendir()
        #expect(try guest.readdir(1, handle).count == 2)
        try guest.mkdir("new")
        #expect(try guest.readdir(1, handle).contains { $0.name == "new" })
    }

    @Test(arguments: [false, true])
    func `any offset is answered, and one that has no room for an entry is refused`(_ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens, fill: { try fill($0, 10) })
        let handle = try guest.opendir()
        for offset in [1, 77, UInt64(Int64.max)] { _ = try? guest.readdir(1, handle, from: offset) }
        #expect(throws: Errno.invalidArgument) { try guest.readdir(1, handle, from: .max) }
        #expect(throws: Errno.invalidArgument) { try guest.readdir(1, handle, from: 0, size: 8) }
        #expect(try guest.readdir(1, handle, from: 0, size: 65536).count == 12)
    }

    @Test(arguments: [false, true])
    func `a directory that was removed is known and empty while it is open`(_ opens: Bool) throws {
        let guest = try GuestKernel(opensDirectories: opens)
        let directory = try guest.mkdir("d")
        let handle = try guest.opendir(directory.node)
        try guest.rmdir("d")
        // What the guest's own kernel would answer, were it to ask.
        #expect(throws: Errno.notFound) { try guest.readdir(directory.node, handle) }
        #expect(try guest.attributes(directory.node).links == 0)
        #expect(throws: Errno.notFound) { try guest.create("x", in: directory.node) }
        try guest.call(.fsyncdir, directory.node, guest.arguments(handle, UInt32(0), UInt32(0)))
    }

    // MARK: Directories that are read without being opened

    @Test func `a directory needs no opening where the guest can do without`() throws {
        #expect(try GuestKernel().opendir() != 0)
        let guest = try GuestKernel(opensDirectories: false)
        #expect(try guest.opendir() == 0)
        try guest.call(.fsyncdir, 1, guest.arguments(UInt64(0), UInt32(0), UInt32(0)))
        let file = try guest.mknod("file", mode: 0o100600)
        #expect(throws: Errno.notADirectory) { try guest.readdir(file.node, 0) }
    }

    @Test func `what is read of many directories in turns is complete, and few are held`() throws {
        let guest = try GuestKernel(
            opensDirectories: false,
            fill: { path in
                for index in 0..<50 {
                    try FileSystem.makeDirectories("\(path)/\(index)")
                    try fill("\(path)/\(index)", 10)
                }
            }
        )
        let nodes = try (0..<50).map { try guest.lookup("\($0)").node }
        var names = [Set<String>](repeating: [], count: 50)
        var offsets = [UInt64](repeating: 0, count: 50)
        var open = Set(0..<50)
        while !open.isEmpty {
            for index in open {
                let page = try guest.readdir(nodes[index], 0, from: offsets[index], size: 100)
                names[index].formUnion(page.map(\.name))
                if let last = page.last { offsets[index] = last.offset } else { open.remove(index) }
                #expect(guest.server.load.handles <= 32)
            }
        }
        #expect(names.allSatisfy { $0.count == 12 })
        #expect(guest.server.load.handles == 0, "a directory that was read to its end is not held")
    }

    @Test func `two who read one directory at different places get all of it`() throws {
        let guest = try GuestKernel(opensDirectories: false, fill: { try fill($0, 100) })
        var names: [Set<String>] = [[], []]
        var offsets: [UInt64] = [0, 0]
        // The second begins when the first is in the middle.
        for step in 0..<200 {
            for reader in 0..<2 where reader == 0 || step >= 20 {
                let page = try guest.readdir(1, 0, from: offsets[reader], size: 100)
                names[reader].formUnion(page.map(\.name))
                if let last = page.last { offsets[reader] = last.offset }
            }
            if step == 25 { #expect(guest.server.load.handles == 2, "each goes on in a listing of its own") }
        }
        #expect(names[0].count == 102 && names[0] == names[1])
    }

    @Test func `a file that took the name of another while the directory was read is told as itself`() throws {
        let guest = try GuestKernel(opensDirectories: false, fill: { try fill($0, 60) })
        for index in 0..<60 { _ = try guest.lookup("file-\(index)") }
        var entries = try guest.readdir(1, 0, size: 400, plus: true)
        // What the server has read ahead names the numbers of before.
        let rest = Set((0..<60).map { "file-\($0)" }).subtracting(entries.map(\.name)).sorted()
        let share = try Directory(guest.path + "/share")
        for (old, new) in zip(rest, rest.dropFirst()) { try share.rename(old, to: share, new) }
        while case let page = try guest.readdir(1, 0, from: entries.last?.offset ?? 0, plus: true), !page.isEmpty {
            entries += page
        }
        for entry in entries where entry.node != 0 {
            #expect(try guest.lookup(entry.name).node == entry.node, "\(entry.name)")
        }
    }

    @Test func `a directory that the guest has forgotten is not held`() throws {
        let guest = try GuestKernel(opensDirectories: false)
        let directory = try guest.mkdir("d")
        _ = try guest.readdir(directory.node, 0, size: 32)
        #expect(guest.server.load.handles == 1)
        try guest.forget(directory.node)
        #expect(guest.server.load == (1, 0, 0))
    }

    // MARK: More files than descriptors

    @Test func `more files than descriptors stay known and usable`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 16 }) { path in
            for outer in 0..<10 {
                try FileSystem.makeDirectories("\(path)/d\(outer)/e")
                for inner in 0..<20 {
                    try FileSystem.replace("\(path)/d\(outer)/e/f\(inner)", with: "\(outer).\(inner)")
                }
            }
        }
        var files: [(node: UInt64, text: String)] = []
        for outer in 0..<10 {
            for inner in 0..<20 { files.append((try guest.walk("d\(outer)/e/f\(inner)").node, "\(outer).\(inner)")) }
        }
        #expect(guest.server.load.nodes == 1 + 10 + 10 + 200)
        #expect(guest.server.load.descriptors <= 16)
        for (node, text) in files.shuffled() {
            let handle = try guest.open(node, O_RDONLY)
            #expect(try guest.text(node, handle) == text)
            try guest.release(node, handle)
        }
        // Directories that move take their files along.
        try guest.rename("d3", to: "moved")
        #expect(try guest.attributes(files[3 * 20 + 7].node).size == 3)
        #expect(guest.server.load.descriptors <= 16)
    }

    @Test func `a file that cannot be found again is stale, and another in its place is not taken for it`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 4 }, fill: { try fill($0, 20) })
        let nodes = try (0..<20).map { try guest.lookup("file-\($0)").node }
        // The host removes one, and puts another file in the place of the second.
        try FileSystem.remove(guest.host("file-0"))
        try FileSystem.replace(guest.host("other"), with: "other")
        try Directory(guest.path + "/share").rename("other", to: try Directory(guest.path + "/share"), "file-1")
        #expect(throws: Errno.staleHandle) { try guest.attributes(nodes[0]) }
        #expect(throws: Errno.staleHandle) { try guest.attributes(nodes[1]) }
        #expect(try guest.lookup("file-1").attributes.size == 5)
        _ = try guest.attributes(nodes[2])
    }

    @Test func `a link in the place of a directory is not followed on the way back`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 4 }) { path in
            try FileSystem.makeDirectories("\(path)/d")
            try fill(path, 20)
            try FileSystem.replace("\(path)/d/secret", with: "inside")
        }
        let secret = try guest.walk("d/secret").node
        for index in 0..<20 { _ = try guest.lookup("file-\(index)") }
        try FileSystem.makeDirectories(guest.path + "/outside")
        // The very same file, so that only the way to it tells the difference.
        try Directory(guest.path + "/share/d").rename("secret", to: try Directory(guest.path + "/outside"), "secret")
        try FileManager.default.removeItem(atPath: guest.host("d"))
        try FileSystem.makeLink(guest.host("d"), to: "../outside")
        #expect(throws: Errno.staleHandle) { try guest.open(secret, O_RDONLY) }
    }

    @Test func `files that are open keep their descriptors`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 8 }, fill: { try fill($0, 100) })
        let open = try (0..<6).map { index in
            let node = try guest.lookup("file-\(index)").node
            return (node, try guest.open(node))
        }
        for (index, _) in open.enumerated() { try guest.unlink("file-\(index)") }
        for index in 6..<100 { _ = try guest.lookup("file-\(index)") }
        for (node, handle) in open {
            try guest.write([1, 2, 3], node, handle)
            #expect(try guest.attributes(node).size == 3)
        }
    }

    @Test func `the bounds hold, and what is over them is refused`() throws {
        let guest = try GuestKernel({
            $0.maxNodes = 10
            $0.maxHandles = 3
        }) { try fill($0, 30) }
        let listed = try guest.list(plus: true)
        #expect(listed.count == 30)
        #expect(listed.filter { $0.node != 0 }.count == 10)
        #expect(throws: Errno.tooManyOpenFilesInSystem) { try guest.lookup(listed.first { $0.node == 0 }?.name ?? "") }
        #expect(throws: Errno.tooManyOpenFilesInSystem) { try guest.mkdir("new") }
        #expect(!FileSystem.exists(guest.host("new")))
        let node = try #require(listed.first { $0.node != 0 }?.node)
        let handles = try (0..<3).map { _ in try guest.open(node) }
        #expect(throws: Errno.tooManyOpenFilesInSystem) { try guest.open(node) }
        #expect(throws: Errno.tooManyOpenFilesInSystem) { try guest.opendir() }
        try guest.release(node, handles[0])
        _ = try guest.open(node)
        // A reset lets everything go.
        guest.server.reset()
        #expect(guest.server.load == (1, 0, 0))
        #expect(throws: Errno.inputOutput) { try guest.lookup("file-1") }
    }

    @Test func `a deep tree does not exhaust the stack`() throws {
        let guest = try GuestKernel { $0.maxDescriptors = 4 }
        var nodes = [GuestKernel.root]
        for _ in 0..<1000 { nodes.append(try guest.mkdir("d", in: nodes.last ?? 1).node) }
        for name in ["a", "b", "c", "e"] { try guest.write("", to: name) }
        #expect(try guest.attributes(nodes.last ?? 1).links == 2)
        for parent in nodes.dropLast().reversed() { try guest.rmdir("d", in: parent) }
    }

    @Test func `a directory of many more entries than descriptors is listed and emptied`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 100 }, fill: { try fill($0, 20000) })
        #expect(Set(try guest.list(size: 1 << 20).map(\.name)).count == 20000)
        let handle = try guest.opendir()
        var offset: UInt64 = 0
        var removed = 0
        while case let page = try guest.readdir(1, handle, from: offset, size: 32768, plus: true), let last = page.last
        {
            offset = last.offset
            for entry in page where !entry.name.hasPrefix(".") {
                try guest.unlink(entry.name)
                removed += 1
            }
        }
        #expect(removed == 20000)
        #expect(try guest.list().isEmpty)
    }
}
