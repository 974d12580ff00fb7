import Foundation
import Testing

@testable import LinuxSystem

@Suite("Files of the host") final class FileSystemTests: Sendable {
    private let place = FileManager.default.temporaryDirectory.appending(path: "files-\(UUID())")

    init() throws {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: place)
    }

    @Test func `a tree of any depth is removed, and no link is followed`() throws {
        let outside = place.appending(path: "outside").path
        try FileSystem.replace(outside, with: "stays")
        let parent = try Directory(place.path)
        try parent.makeDirectory("tree", mode: 0o700)
        // Deeper than a path may be long and than there are descriptors.
        var directory = try parent.openDirectory("tree")
        for _ in 0..<3000 {
            try directory.makeDirectory("d", mode: 0o700)
            try FileSystem.makeLink("/proc/self/fd/\(directory.descriptor.rawValue)/link", to: place.path)
            try directory.create("file", mode: 0o600).writeAll("x")
            directory = try directory.openDirectory("d")
        }
        try FileSystem.removeTree("tree", in: parent)
        #expect(try parent.names() == ["outside"])
        try FileSystem.removeTree("tree", in: parent)
        #expect(try FileSystem.readText(outside) == "stays")
    }

    @Test func `a file is replaced whole, also where a writer was killed before`() throws {
        let directory = try Directory(place.path)
        try FileSystem.replaceAtomically("a", in: directory, with: Array("one".utf8))
        try directory.create(".a.new", mode: 0o600).writeAll("torn")
        try FileSystem.replaceAtomically("a", in: directory, with: Array("two".utf8))
        #expect(try directory.names() == ["a"])
        #expect(try FileSystem.readText(place.appending(path: "a").path) == "two")
        #expect(try directory.status(of: "a").mode == 0o600)
    }

    @Test func `a process is told from another one with its number`() throws {
        let own = try #require(ProcessIdentity.current)
        #expect(own.exists && own.pid == HostFacts.processID)
        let earlier = ProcessIdentity(pid: own.pid, startTime: own.startTime - 1)
        #expect(!earlier.exists)
        for gone in [earlier, ProcessIdentity(pid: 0, startTime: 0), ProcessIdentity(pid: -1, startTime: 0)] {
            let error = #expect(throws: SyscallError.self) { try gone.signal(Signal.kill) }
            #expect(error?.errno == .noSuchProcess, "or this test would be gone")
        }
        try own.signal(0)
    }
}
