import FoundationEssentials
import GuestAPI
import LinuxSystem
import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("File calls", .enabled(if: AgentFixture.mayRun, "the agent gives files to other users, which only root may do"))
struct FileServiceTests {
    private typealias Input = Voidbox_Guest_V1_WriteFileInput

    private func write(
        _ agent: AgentFixture,
        _ path: String,
        _ bytes: [UInt8],
        _ change: (inout Voidbox_Guest_V1_WriteFileOpen) -> Void = { _ in },
    ) async throws {
        var input = Voidbox_Guest_V1_WriteFileInput()
        input.open.path = path
        change(&input.open)
        let stream = try agent.stream("WriteFile", input, Voidbox_Guest_V1_WriteFileOutput.self)
        var credit = 4 << 20
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(min(credit, 256 << 10))
            if piece.isEmpty {
                credit += Int(try await stream.receive()?.credit ?? 0)
                continue
            }
            credit -= piece.count
            rest = rest.dropFirst(piece.count)
            try stream.send { $0.data = Data(piece) }
        }
        try stream.send { $0.commit = Voidbox_Guest_V1_Empty() }
        while try await stream.receive() != nil {}
    }

    private func read(
        _ agent: AgentFixture,
        _ path: String,
        offset: UInt64 = 0,
        length: UInt64 = 0,
        following: Bool = false,
    ) async throws -> [UInt8] {
        var input = Voidbox_Guest_V1_ReadFileInput()
        input.open.path = path
        input.open.offset = offset
        input.open.length = length
        input.open.followLinks = following
        let stream = try agent.stream("ReadFile", input, Voidbox_Guest_V1_ReadFileOutput.self)
        var bytes: [UInt8] = []
        while let output = try await stream.receive() {
            #expect(output.data.count <= 256 << 10)
            bytes += output.data
            try stream.send { $0.credit = UInt32(output.data.count) }
        }
        return bytes
    }

    private func information(_ agent: AgentFixture, _ path: String, follow: Bool = false) async throws
        -> Voidbox_Guest_V1_FileInfo
    {
        var request = Voidbox_Guest_V1_StatRequest()
        request.path = path
        request.followLinks = follow
        return try await agent.call("Stat", request, Voidbox_Guest_V1_FileInfo.self)
    }

    @Test func `what is written is read, whole and in parts`() async throws {
        try await AgentFixture.with { agent in
            let data = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            let path = "\(agent.directory)/a/b/file"
            try await write(agent, path, data) { $0.createParents = true }
            #expect(try await read(agent, path) == data)
            #expect(try await read(agent, path, offset: 1000, length: 300_000) == Array(data[1000..<301_000]))
            #expect(try await read(agent, path, offset: 1 << 30).isEmpty)
            let status = try await information(agent, path)
            #expect(status.size == 6 << 20)
            #expect(status.uid == 1000)
            #expect(status.mode == 0o644)
            #expect(try await information(agent, "\(agent.directory)/a").uid == 1000)
        }
    }

    @Test func `owner and mode are those that were asked for`() async throws {
        try await AgentFixture.with { agent in
            let path = "\(agent.directory)/secret"
            try await write(agent, path, [1]) {
                $0.mode = 0o600
                $0.rootOwned = true
            }
            let status = try await information(agent, path)
            #expect(status.uid == 0)
            #expect(status.mode == 0o600)
            #expect(try await agent.shell("cat secret").exited?.how == .code(1))
        }
    }

    @Test func `nothing is visible before the commit, and nothing stays of what was abandoned`() async throws {
        try await AgentFixture.with { agent in
            let path = "\(agent.directory)/file"
            try await write(agent, path, Array("old".utf8))
            var input = Input()
            input.open.path = path
            let stream = try agent.stream("WriteFile", input, Voidbox_Guest_V1_WriteFileOutput.self)
            try stream.send { $0.data = Data([1, 2, 3]) }
            while try Directory(agent.directory).names().count == 1 { await Task.yield() }
            #expect(try await read(agent, path) == Array("old".utf8))
            stream.stream.cancel()
            while try Directory(agent.directory).names().count == 2 { await Task.yield() }
            let names = try Directory(agent.directory).names()
            #expect(names == ["file"])
            #expect(try await read(agent, path) == Array("old".utf8))
        }
    }

    @Test func `a symbolic link leads nowhere outside of the roots`() async throws {
        let unique = "/tmp/voidbox-roots-\(UInt64.random(in: .min ... .max))"
        try FileSystem.makeDirectories("\(unique)/open")
        try FileSystem.replace("\(unique)/closed", with: "secret")
        try FileSystem.makeLink("\(unique)/open/absolute", to: "\(unique)/closed")
        try FileSystem.makeLink("\(unique)/open/relative", to: "../closed")
        try FileSystem.makeLink("\(unique)/open/up", to: "..")
        try FileSystem.replace("\(unique)/open/inside", with: "fine")
        try FileSystem.makeLink("\(unique)/open/good", to: "inside")
        try await AgentFixture.with({ $0.policy.fileRoots = ["\(unique)/open"] }) { agent in
            for path in ["absolute", "relative", "up/closed"] {
                let status = await agent.status {
                    _ = try await read(agent, "\(unique)/open/\(path)", following: true)
                }
                #expect(status?.code == .permissionDenied, "\(path)")
            }
            let status = await agent.status {
                try await write(agent, "\(unique)/open/up/new", [1]) { $0.followLinks = true }
            }
            #expect(status?.code == .permissionDenied)
            #expect(try await read(agent, "\(unique)/open/good", following: true) == Array("fine".utf8))
            let outside = await agent.status { _ = try await read(agent, "/etc/passwd") }
            #expect(outside?.code == .permissionDenied)
            // Writing to a link replaces the link.
            try await write(agent, "\(unique)/open/absolute", Array("own".utf8))
            let kept = try FileSystem.readText("\(unique)/closed")
            #expect(kept == "secret")
        }
        for name in ["absolute", "relative", "up", "inside", "good"] { try FileSystem.remove("\(unique)/open/\(name)") }
        for name in ["open", "closed", ""] { try FileSystem.remove("\(unique)/\(name)") }
    }

    @Test func `a link that a program made leads the host nowhere unless it asks to be led`() async throws {
        try await AgentFixture.with { agent in
            let made = try await agent.shell(
                "ln -s /etc/passwd out; mkdir real; echo x > real/file; ln -s real way; ln -s /etc etc"
            )
            #expect(made.exited?.how == .code(0))
            for path in ["out", "way/file", "etc/passwd"] {
                let status = await agent.status { _ = try await read(agent, "\(agent.directory)/\(path)") }
                #expect(status?.code == .invalidArgument, "\(path)")
                #expect(status?.message.hasSuffix("a symbolic link, which is not followed") == true)
            }
            #expect(try await read(agent, "\(agent.directory)/way/file", following: true) == Array("x\n".utf8))
            for parents in [false, true] {
                let status = await agent.status {
                    try await write(agent, "\(agent.directory)/way/new", [1]) { $0.createParents = parents }
                }
                #expect(status?.code == .invalidArgument)
            }
            let names = try Directory("\(agent.directory)/real").names()
            #expect(names == ["file"])
        }
    }

    @Test func `a root that is itself a link is no way out`() async throws {
        let unique = "/tmp/voidbox-root-\(UInt64.random(in: .min ... .max))"
        try FileSystem.makeLink(unique, to: "/etc")
        try await AgentFixture.with({ $0.policy.fileRoots = [unique] }) { agent in
            let status = await agent.status { _ = try await read(agent, "\(unique)/passwd") }
            #expect(status?.code == .invalidArgument)
        }
        try FileSystem.remove(unique)
    }

    @Test func `what is no regular file is not read, and does not block`() async throws {
        try await AgentFixture.with { agent in
            let made = try await agent.shell("mkfifo pipe; mkdir dir")
            #expect(made.exited?.how == .code(0))
            for name in ["pipe", "dir", "/dev/zero"] {
                let path = name.hasPrefix("/") ? name : "\(agent.directory)/\(name)"
                let status = await agent.status { _ = try await read(agent, path) }
                #expect(status?.code == .invalidArgument)
            }
            let status = await agent.status { try await write(agent, "\(agent.directory)/dir", [1]) }
            #expect(status?.message == "\(agent.directory)/dir: Is a directory")
        }
    }

    @Test func `a missing file is named`() async throws {
        try await AgentFixture.with { agent in
            let path = "\(agent.directory)/none"
            var status = await agent.status { _ = try await read(agent, path) }
            #expect(status == TTRPCStatus(.notFound, "\(path): No such file or directory"))
            status = await agent.status { try await write(agent, "\(path)/x", [1]) }
            #expect(status?.code == .notFound)
            status = await agent.status { _ = try await information(agent, path) }
            #expect(status?.code == .notFound)
        }
    }

    @Test func `entries are listed by name with what they are`() async throws {
        try await AgentFixture.with { agent in
            #expect(try await agent.shell("mkdir b; echo x > c; ln -s c a").exited?.how == .code(0))
            var request = Voidbox_Guest_V1_ListDirectoryRequest()
            request.path = agent.directory
            let list = try await agent.call(
                "ListDirectory",
                request,
                Voidbox_Guest_V1_ListDirectoryResponse.self,
            )
            #expect(list.entries.map(\.name) == ["a", "b", "c"])
            #expect(list.entries.map(\.kind) == [.symbolicLink, .directory, .regular])
            #expect(list.entries[0].linkTarget == "c")
            #expect(try await information(agent, "\(agent.directory)/a").linkTarget == "c")
            #expect(try await information(agent, "\(agent.directory)/a", follow: true).size == 2)
            #expect(try await information(agent, "/").name == "/")
        }
    }

    @Test func `directories are made, renamed and removed`() async throws {
        try await AgentFixture.with { agent in
            var make = Voidbox_Guest_V1_MakeDirectoryRequest()
            make.path = "\(agent.directory)/x/y/z"
            var status = await agent.status { _ = try await agent.call("MakeDirectory", make) }
            #expect(status?.code == .notFound)
            make.parents = true
            _ = try await agent.call("MakeDirectory", make)
            _ = try await agent.call("MakeDirectory", make)
            make.parents = false
            status = await agent.status { _ = try await agent.call("MakeDirectory", make) }
            #expect(status?.code == .alreadyExists)

            #expect(try await agent.shell("for i in $(seq 1500); do : > x/y/$i; done; ln -s / x/y/root").errors == "")
            var rename = Voidbox_Guest_V1_RenameRequest()
            rename.from = "\(agent.directory)/x"
            rename.to = "\(agent.directory)/w"
            _ = try await agent.call("Rename", rename)

            var remove = Voidbox_Guest_V1_RemoveRequest()
            remove.path = "\(agent.directory)/w"
            status = await agent.status { _ = try await agent.call("Remove", remove) }
            #expect(status?.code == .failedPrecondition)
            remove.recursive = true
            _ = try await agent.call("Remove", remove)
            let names = try Directory(agent.directory).names()
            #expect(names.isEmpty)
            #expect(FileSystem.exists("/etc/passwd"))
            status = await agent.status { _ = try await agent.call("Remove", remove) }
            #expect(status?.code == .notFound)
        }
    }
}
