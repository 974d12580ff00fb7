import Foundation
import LinuxSystem
import Synchronization
import Testing

@testable import SharedFS

@Suite("The edge of a share", .timeLimit(.minutes(10))) struct EscapeTests {
    @Test func `a symbolic link is handed out as a link, whatever it points at`() throws {
        let guest = try GuestKernel(fill: { path in
            try FileSystem.replace("\(path)/../secret", with: "secret")
            try FileSystem.makeLink("\(path)/file", to: "../secret")
            try FileSystem.makeLink("\(path)/directory", to: "..")
            try FileSystem.makeLink("\(path)/root", to: "/")
        })
        for name in ["file", "directory", "root"] {
            let entry = try guest.lookup(name)
            #expect(entry.attributes.mode & 0o170000 == 0o120000)
            #expect(throws: Errno.notADirectory) { try guest.lookup("secret", in: entry.node) }
            #expect(throws: Errno.noSuchDeviceOrAddress) { try guest.open(entry.node, O_RDONLY) }
            #expect(throws: Errno.notADirectory) { try guest.opendir(entry.node) }
            #expect(throws: Errno.invalidArgument) { try guest.setattr(entry.node, .size(0)) }
            // Creation by a link's name neither follows it nor replaces it.
            #expect(throws: Errno.staleHandle) { try guest.create(name, flags: O_RDWR | O_TRUNC) }
        }
        #expect(try FileSystem.readText("\(guest.path)/secret") == "secret")
    }

    @Test func `a directory that is swapped for a link never leads outside`() throws {
        let guest = try GuestKernel({ $0.maxDescriptors = 4 }) { path in
            try FileSystem.makeDirectories("\(path)/../outside")
            try FileSystem.replace("\(path)/../outside/file", with: "outside")
            try FileSystem.makeDirectories("\(path)/d")
            try FileSystem.replace("\(path)/d/file", with: "inside")
            try FileSystem.makeLink("\(path)/l", to: "../outside")
        }
        let swaps = try Swapper(guest.path + "/share", "d", "l")
        defer { swaps.stop() }
        var (inside, links, stale) = (0, 0, 0)
        for _ in 0..<10000 {
            // As after a reset: nothing is held, each name is resolved anew.
            do throws(Errno) {
                try errno {
                    let directory = try guest.lookup("d")
                    defer { try? guest.forget(directory.node, 1) }
                    if directory.attributes.mode & 0o170000 == 0o120000 {
                        links += 1
                        return
                    }
                    let (entry, handle) = try guest.create("file", in: directory.node)
                    inside += try guest.text(entry.node, handle) == "inside" ? 1 : 0
                    #expect(try guest.text(entry.node, handle) == "inside")
                    try guest.release(entry.node, handle)
                    try guest.forget(entry.node, 1)
                }
            } catch {
                stale += 1
            }
        }
        swaps.stop()
        #expect(swaps.count > 100)
        #expect(inside > 0 && links > 0)
        #expect(try FileSystem.readText("\(guest.path)/outside/file") == "outside")
        #expect(try Directory("\(guest.path)/outside").names() == ["file"])
    }

    @Test func `the way back to a closed file is as narrow as the way there`() throws {
        // Descriptors are so few that every use of the file resolves d/e/file again, while "d" is a link half of the time.
        let guest = try GuestKernel({ $0.maxDescriptors = 3 }) { path in
            try FileSystem.makeDirectories("\(path)/../outside/e")
            try FileSystem.replace("\(path)/../outside/e/file", with: "outside")
            try FileSystem.makeDirectories("\(path)/d/e")
            try FileSystem.replace("\(path)/d/e/file", with: "inside")
            try FileSystem.makeLink("\(path)/l", to: "../outside")
            for index in 0..<8 { try FileSystem.replace("\(path)/other\(index)", with: "") }
        }
        let file = try guest.walk("d/e/file").node
        let others = try (0..<8).map { try guest.lookup("other\($0)").node }
        let swaps = try Swapper(guest.path + "/share", "d", "l")
        defer { swaps.stop() }
        var inside = 0
        for _ in 0..<2000 {
            for other in others { _ = try guest.attributes(other) }
            guard let handle = try? guest.open(file, O_RDWR) else { continue }
            inside += 1
            #expect(try guest.text(file, handle) == "inside")
            try guest.release(file, handle)
        }
        #expect(inside > 0)
    }

    /// Narrows what a body throws.
    private func errno(_ body: () throws -> Void) throws(Errno) {
        do {
            try body()
        } catch let error as Errno {
            throw error
        } catch {
            Issue.record(error)
        }
    }
}

/// Exchanges two names over and over, on a thread of its own.
private final class Swapper: Sendable {
    private let state = Mutex((stopped: false, count: 0))
    private let finished = DispatchSemaphore(value: 0)

    init(_ path: String, _ first: String, _ second: String) throws {
        let directory = InodeReference(adopting: try OwnedFD.open(path, OwnedFD.readOnly))
        let (first, second) = (try PathComponent(first), try PathComponent(second))
        Thread { [self] in
            while !state.withLock({ $0.stopped }) {
                // Both names are always there, so a failure would show as a count that stands still.
                guard (try? directory.rename(first, to: directory, second, .exchange)) != nil else { break }
                state.withLock { $0.count += 1 }
            }
            finished.signal()
        }.start()
    }

    var count: Int { state.withLock { $0.count } }

    /// Returns when the thread has ended; once is enough.
    func stop() {
        let first = state.withLock { state in
            defer { state.stopped = true }
            return !state.stopped
        }
        if first { finished.wait() }
    }
}
