import ByteCodec
import Foundation
import LinuxSystem
import Testing

@testable import SharedFS

@Suite("FUSE protocol", .timeLimit(.minutes(10))) struct ProtocolTests {
    // MARK: The session

    @Test func `INIT settles the version and what was offered`() throws {
        let guest = try GuestKernel(initialize: false)
        var reader = ByteReader(try guest.initialize(flags: .max, minor: 45))
        #expect(try reader.littleEndian(UInt32.self) == 7)
        #expect(try reader.littleEndian(UInt32.self) == 41)
        #expect(try reader.littleEndian(UInt32.self) == 131072)
        let flags: UInt32 = try reader.littleEndian()
        // No writeback cache (bit 16): the host could not change a file under it.
        #expect(flags & 1 << 16 == 0)
        // MAX_PAGES and DO_READDIRPLUS
        #expect(flags & (1 << 22 | 1 << 13) == 1 << 22 | 1 << 13)
        // Locks stay in the guest.
        #expect(flags & (1 << 1 | 1 << 10) == 0)
        _ = try reader.slice(4)
        #expect(try reader.littleEndian(UInt32.self) == 1 << 20)
        #expect(try reader.littleEndian(UInt32.self) == 1)
        #expect(try reader.littleEndian(UInt16.self) == 256)
        #expect(reader.remaining == 2 + 4 + 28)
        let modest = try guest.initialize(flags: 1 << 5, minor: 31)
        #expect(modest[12..<16].elementsEqual([1 << 5, 0, 0, 0]))
        #expect(modest[4] == 31)
    }

    @Test func `a newer major version is asked to come back, an older one is refused`() throws {
        let guest = try GuestKernel(initialize: false)
        #expect(try guest.initialize(major: 8)[0] == 7)
        #expect(throws: Errno.inputOutput) { try guest.lookup("x") }
        #expect(throws: Errno.protocolError) { try guest.initialize(major: 6) }
        #expect(throws: Errno.protocolError) { try guest.initialize(minor: 30) }
        try guest.initialize()
        #expect(throws: Errno.notFound) { try guest.lookup("x") }
    }

    @Test func `nothing is served before INIT or after DESTROY, and INIT starts over`() throws {
        let guest = try GuestKernel(initialize: false)
        #expect(throws: Errno.inputOutput) { try guest.attributes(1) }
        try guest.initialize()
        let node = try guest.write("x", to: "a")
        let handle = try guest.open(node)
        try guest.call(.destroy)
        #expect(throws: Errno.inputOutput) { try guest.attributes(1) }
        try guest.initialize()
        #expect(throws: Errno.staleHandle) { try guest.attributes(node) }
        #expect(throws: Errno.badDescriptor) { try guest.read(node, handle) }
        #expect(guest.server.load == (1, 0, 0))
    }

    @Test func `a server that goes on for another serves the root, and no number means another file`() throws {
        let first = try GuestKernel(fill: { try FileSystem.makeDirectories("\($0)/a") })
        let old = try first.lookup("a").node
        let progress = first.server.progress
        #expect(progress.isInitialized && progress.nextNode > old)
        let second = try GuestKernel(initialize: false, fill: { try FileSystem.makeDirectories("\($0)/b") })
        try second.server.resume(progress)
        #expect(throws: Errno.staleHandle) { try second.lookup("x", in: old) }
        #expect(try second.lookup("b").node >= progress.nextNode)
        #expect(throws: FUSEServer.ProgressViolation.node(1)) {
            try second.server.resume(.init(isInitialized: true, nextNode: 1, nextHandle: 1))
        }
        #expect(throws: FUSEServer.ProgressViolation.handle(.max)) {
            try second.server.resume(.init(isInitialized: true, nextNode: 2, nextHandle: .max))
        }
    }

    @Test func `what is not known is not implemented`() throws {
        let guest = try GuestKernel()
        var data = ArrayData()
        // BMAP, IOCTL, POLL, SETUPMAPPING, TMPFILE, STATX and none
        for opcode in [37, 39, 40, 48, 51, 52, 7, 0, UInt32.max] {
            let request = GuestKernel.request(opcode, node: 1, unique: 9, [])
            let reply = try guest.server.handle(request, replyCapacity: 4096, data: &data)
            #expect(reply == [16, 0, 0, 0] + [218, 255, 255, 255] + [9, 0, 0, 0, 0, 0, 0, 0])
        }
    }

    @Test func `INTERRUPT and FORGET have no reply`() throws {
        let guest = try GuestKernel()
        try guest.post(.interrupt, 0, guest.arguments(UInt64(5)))
        try guest.post(.forget, 77, guest.arguments(UInt64(1)))
        try guest.post(.forget, 1, [])
        try guest.post(.batchForget, 0, [1, 2, 3])
        _ = try guest.attributes(1)
    }

    @Test func `FLUSH is left out where locks stay in the guest`() throws {
        let guest = try GuestKernel()
        let (entry, handle) = try guest.create("a")
        #expect(throws: Errno.notImplemented) {
            try guest.call(.flush, entry.node, guest.arguments(handle, UInt64(0), UInt64(1)))
        }
    }

    // MARK: Frames

    @Test func `a request shorter than a header is a violation`() throws {
        let guest = try GuestKernel()
        var data = ArrayData()
        for count in 0..<40 {
            #expect(throws: FUSEViolation.truncatedHeader(length: count)) {
                try guest.server.handle([UInt8](repeating: 0, count: count), replyCapacity: 100, data: &data)
            }
        }
    }

    @Test func `a length that is not the request's is a violation`() throws {
        let guest = try GuestKernel()
        var data = ArrayData()
        for length in [0, 39, 41, UInt32.max] {
            var request = GuestKernel.request(3, node: 1, unique: 1, [])
            request.replaceSubrange(0..<4, with: guest.arguments(length))
            #expect(throws: FUSEViolation.lengthMismatch(header: length, actual: 40)) {
                try guest.server.handle(request, replyCapacity: 100, data: &data)
            }
        }
        // A write counts its data: 2 bytes are announced, 3 are said to be there.
        let arguments = guest.arguments(UInt64(1), UInt64(0), UInt32(3), UInt32(0), UInt64(0), UInt64(0))
        #expect(throws: FUSEViolation.lengthMismatch(header: 82, actual: 83)) {
            try guest.server.handle(
                GuestKernel.request(16, node: 1, unique: 1, arguments, data: 2),
                replyCapacity: 100,
                data: &data,
            )
        }
    }

    @Test func `no room for a reply's header is a violation`() throws {
        let guest = try GuestKernel()
        var data = ArrayData()
        for capacity in [0, 15, -1] {
            #expect(throws: FUSEViolation.replyCapacity(capacity)) {
                try guest.server.handle(
                    GuestKernel.request(3, node: 1, unique: 1, []),
                    replyCapacity: capacity,
                    data: &data,
                )
            }
        }
    }

    @Test func `without room for the reply nothing is done`() throws {
        let guest = try GuestKernel()
        var data = ArrayData()
        let mkdir = guest.arguments(UInt32(0o755), UInt32(0)) + guest.name("d")
        #expect(try guest.send(.mkdir, 1, mkdir, capacity: 143, data: &data).error == EIO)
        #expect(throws: Errno.notFound) { try guest.lookup("d") }
        #expect(try guest.send(.mkdir, 1, mkdir, capacity: 144, data: &data).error == 0)
        let link = try guest.symlink("l", to: String(repeating: "t", count: 500))
        #expect(try guest.send(.readlink, link.node, [], capacity: 100, data: &data).error == EIO)
    }

    @Test func `only the arguments of a write are copied, not its data`() throws {
        let write = GuestKernel.request(16, node: 1, unique: 1, [UInt8](repeating: 0, count: 40), data: 1 << 20)
        #expect(FUSERequest.controlLength(header: Array(write.prefix(40)), length: 80 + 1 << 20) == 80)
        #expect(FUSERequest.controlLength(header: Array(write.prefix(40)), length: 60) == 60)
        let lookup = GuestKernel.request(1, node: 1, unique: 1, [])
        #expect(FUSERequest.controlLength(header: lookup, length: 45) == 45)
        #expect(FUSERequest.controlLength(header: lookup, length: 1 << 20) == nil)
        #expect(FUSERequest.controlLength(header: [], length: 3) == 3)
    }

    @Test func `arguments that end early or late are invalid`() throws {
        let guest = try GuestKernel()
        let (entry, handle) = try guest.create("a")
        for opcode in FUSE.Opcode.allCases where !opcode.hasNoReply {
            switch opcode {
            // No arguments, or none that are looked at.
            case .destroy, .initialize, .readlink, .statfs, .opendir, .syncfs, .flush: continue
            default: break
            }
            #expect(try guest.send(opcode, 1, []).error == EINVAL, "\(opcode)")
            #expect(try guest.send(opcode, 1, [1]).error == EINVAL, "\(opcode)")
        }
        // A name without its zero byte, and one with something behind it.
        #expect(try guest.send(.lookup, 1, [97]).error == EINVAL)
        #expect(try guest.send(.lookup, 1, [97, 0, 98, 0]).error == EINVAL)
        #expect(try guest.text(entry.node, handle) == "")
    }

    @Test func `numbers of nowhere are stale`() throws {
        let guest = try GuestKernel()
        for node in [0, 2, 77, UInt64.max] {
            #expect(throws: Errno.staleHandle) { try guest.attributes(node) }
            #expect(throws: Errno.staleHandle) { try guest.lookup("a", in: node) }
            #expect(throws: Errno.staleHandle) { try guest.open(node) }
        }
    }

    // MARK: Read-only shares

    @Test func `a read-only share refuses every change`() throws {
        let guest = try GuestKernel({ $0.isReadOnly = true }) { path in
            try FileSystem.replace("\(path)/a", with: "text")
            try FileSystem.makeDirectories("\(path)/d")
            try FileSystem.makeLink("\(path)/l", to: "a")
        }
        let a = try guest.lookup("a").node
        #expect(throws: Errno.readOnlyFileSystem) { try guest.create("b") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.mkdir("b") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.mknod("b", mode: 0o100644) }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.symlink("b", to: "a") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.link(a, as: "b") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.unlink("a") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.rmdir("d") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.rename("a", to: "b") }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.setattr(a, .mode(0o777)) }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.setattr(a, .size(0)) }
        #expect(throws: Errno.readOnlyFileSystem) { try guest.setattr(a, .init(valid: 1 << 5)) }
        for flags in [O_WRONLY, O_RDWR, O_RDONLY | O_TRUNC, O_WRONLY | O_APPEND] {
            #expect(throws: Errno.readOnlyFileSystem) { try guest.open(a, flags) }
        }
        let handle = try guest.open(a, O_RDONLY)
        #expect(throws: Errno.readOnlyFileSystem) { try guest.write([1], a, handle) }
        for opcode in FUSE.Opcode.allCases where opcode.isMutation {
            #expect(try guest.send(opcode, a, [UInt8](repeating: 0, count: 64)).error == EROFS)
        }
        #expect(try guest.text(a, handle) == "text")
        #expect(try guest.list(plus: true).count == 3)
        #expect(try guest.call(.readlink, try guest.lookup("l").node) == Array("a".utf8))
        #expect(try guest.send(.access, a, guest.arguments(UInt32(2), UInt32(0))).error == EROFS)
        #expect(try guest.send(.access, a, guest.arguments(UInt32(4), UInt32(0))).error == 0)
    }

    // MARK: Locks

    private func lock(
        _ guest: GuestKernel,
        _ node: UInt64,
        _ handle: UInt64,
        owner: UInt64,
        _ range: ClosedRange<UInt64>,
        _ kind: RecordLock.Kind,
        flags: UInt32 = 0,
        by opcode: FUSE.Opcode = .setlk,
    ) throws -> [UInt8] {
        try guest.call(
            opcode,
            node,
            guest.arguments(
                handle,
                owner,
                range.lowerBound,
                range.upperBound,
                kind.rawValue,
                UInt32(42),
                flags,
                UInt32(0),
            ),
        )
    }

    @Test func `two owners get in each other's way, by range and kind`() throws {
        let guest = try GuestKernel { $0.sharesLocks = true }
        let (entry, handle) = try guest.create("a")
        let whole: ClosedRange<UInt64> = 0...UInt64(Int64.max)
        func set(_ owner: UInt64, _ range: ClosedRange<UInt64>, _ kind: RecordLock.Kind) throws {
            _ = try lock(guest, entry.node, handle, owner: owner, range, kind)
        }
        try set(1, 0...9, .write)
        #expect(throws: Errno.again) { try set(2, 5...20, .write) }
        #expect(throws: Errno.again) { try set(2, 9...9, .read) }
        // The same through a request that would wait.
        #expect(throws: Errno.again) {
            try lock(guest, entry.node, handle, owner: 2, 0...0, .write, by: .setlkw)
        }
        try set(2, 10...20, .write)
        // GETLK tells where the lock in the way is: start, end, type
        let conflict = try lock(guest, entry.node, handle, owner: 2, whole, .read, by: .getlk)
        #expect(conflict == guest.arguments(UInt64(0), UInt64(9), UInt32(1), UInt32(0)))
        let free = try lock(guest, entry.node, handle, owner: 1, 0...9, .write, by: .getlk)
        #expect(free[16..<20].elementsEqual([2, 0, 0, 0]))
        try set(1, whole, .none)
        try set(2, 0...9, .read)
        try set(1, 0...9, .read)
        // Any close by an owner lets its locks go.
        try guest.call(.flush, entry.node, guest.arguments(handle, UInt64(0), UInt64(2)))
        try set(1, whole, .write)
    }

    @Test func `locks are the host's too, and go with the file`() throws {
        let guest = try GuestKernel { $0.sharesLocks = true }
        let (entry, handle) = try guest.create("a")
        let host = try FileSystem.openForReadingAndWriting(guest.host("a"))
        _ = try lock(guest, entry.node, handle, owner: 1, 0...0, .write)
        #expect(throws: Errno.again) {
            do throws(SyscallError) {
                try host.setLock(RecordLock(.write, start: 0, length: 1))
            } catch {
                throw error.errno
            }
        }
        try guest.release(entry.node, handle)
        try host.setLock(RecordLock(.write, start: 0, length: 1))
        let second = try guest.open(entry.node)
        #expect(throws: Errno.again) { try lock(guest, entry.node, second, owner: 1, 0...0, .read) }
        #expect(guest.server.load.handles == 1)
    }

    @Test func `flock is by handle`() throws {
        let guest = try GuestKernel { $0.sharesLocks = true }
        let (entry, first) = try guest.create("a")
        let second = try guest.open(entry.node, O_RDONLY)
        _ = try lock(guest, entry.node, first, owner: 1, 0...0, .write, flags: 1)
        #expect(throws: Errno.again) { try lock(guest, entry.node, second, owner: 2, 0...0, .read, flags: 1) }
        try guest.release(entry.node, first)
        _ = try lock(guest, entry.node, second, owner: 2, 0...0, .read, flags: 1)
        _ = try lock(guest, entry.node, second, owner: 2, 0...0, .none, flags: 1)
    }

    @Test func `locks of no sense are refused`() throws {
        let guest = try GuestKernel { $0.sharesLocks = true }
        let (entry, handle) = try guest.create("a")
        #expect(throws: Errno.invalidArgument) {
            try lock(guest, entry.node, handle, owner: 1, 0...UInt64.max, .write)
        }
        let values = guest.arguments(handle, UInt64(1), UInt64(9), UInt64(3), UInt32(1), UInt32(0), UInt64(0))
        #expect(try guest.send(.setlk, entry.node, values).error == EINVAL)
        let kind = guest.arguments(handle, UInt64(1), UInt64(0), UInt64(3), UInt32(7), UInt32(0), UInt64(0))
        #expect(try guest.send(.setlk, entry.node, kind).error == EINVAL)
    }

    // MARK: Hostile bytes

    @Test(arguments: 0..<8) func `random requests get replies and never more`(_ seed: Int) throws {
        let guest = try GuestKernel({
            $0.sharesLocks = seed.isMultiple(of: 2)
            $0.maxDescriptors = 4
            $0.maxHandles = 20
            $0.maxNodes = 50
        }) { path in
            try FileSystem.makeDirectories("\(path)/d/e")
            try FileSystem.replace("\(path)/a", with: "text")
            try FileSystem.makeLink("\(path)/l", to: "../..")
        }
        var random = SplitMix(state: UInt64(seed))
        var data = ArrayData(bytes: [UInt8](repeating: 7, count: 100))
        let names = ["a", "d", "e", "l", "..", "", "x/y", "n"]
        for index in 0..<20000 {
            if index.isMultiple(of: 500) { try guest.initialize() }
            let opcode = UInt32.random(in: 0...53, using: &random)
            var arguments: [UInt8] = []
            for _ in 0..<Int.random(in: 0...9, using: &random) {
                switch Int.random(in: 0...4, using: &random) {
                case 0: arguments += guest.arguments(UInt64.random(in: .min ... .max, using: &random))
                case 1: arguments += guest.arguments(UInt64.random(in: 0...9, using: &random))
                case 2: arguments += guest.arguments(UInt32.random(in: 0...0o777, using: &random))
                case 3: arguments += guest.name(names.randomElement(using: &random) ?? "")
                default: arguments.append(0)
                }
            }
            let request = GuestKernel.request(
                opcode,
                node: UInt64.random(in: 0...12, using: &random),
                unique: UInt64(index),
                arguments,
                data: opcode == 16 && arguments.count >= 40
                    ? Int(arguments[16..<20].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }) & 0xFFFF_FF : 0,
            )
            let capacity = [16, 80, 160, 4096].randomElement(using: &random) ?? 16
            do throws(FUSEViolation) {
                let reply = try guest.server.handle(request, replyCapacity: capacity, data: &data)
                if let reply { #expect(reply.count >= 16 && reply.count <= capacity) }
            } catch {
                // A write whose size is not what follows it.
                #expect(opcode == 16, "\(error)")
            }
        }
        #expect(guest.server.load.nodes <= 51 && guest.server.load.descriptors <= 4 && guest.server.load.handles <= 40)
        #expect(!FileManager.default.fileExists(atPath: "\(guest.path)/n"))
    }
}

/// Random numbers that a seed repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
