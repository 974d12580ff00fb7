import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("File roots") struct FileRootsTests {
    @Test func `without roots everything is open`() throws {
        let location = try FileRoots([]).locate("/etc//./hosts")
        #expect(location.root == "/")
        #expect(location.relative == "etc/hosts")
        #expect(location.path == "/etc/hosts")
    }

    @Test func `the nearest root is taken`() throws {
        let roots = FileRoots(["/home", "/home/sandbox", "/workspace"])
        #expect(try roots.locate("/home/sandbox/x").root == "/home/sandbox")
        #expect(try roots.locate("/home/other").root == "/home")
        #expect(try roots.locate("/workspace").relative == ".")
    }

    @Test(arguments: ["/etc/passwd", "/", "/workspaces/x", "/home", "/workspace/../etc/passwd", "/workspace/a/.."])
    func `a path outside of the roots is refused`(_ path: String) {
        let error = #expect(throws: TTRPCStatus.self) { try FileRoots(["/workspace", "/home/sandbox"]).locate(path) }
        #expect(error?.code == .permissionDenied)
        #expect(error?.message.contains("/workspace") == true)
    }

    @Test(arguments: ["", "relative", "./x", "/a\0b", "/" + String(repeating: "x", count: 5000)])
    func `what is no absolute path is refused`(_ path: String) {
        let error = #expect(throws: TTRPCStatus.self) { try FileRoots([]).locate(path) }
        #expect(error?.code == .invalidArgument)
    }

    @Test(arguments: ["/", "/a/..", "//."])
    func `the root and the way up are no entries`(_ path: String) {
        let error = #expect(throws: TTRPCStatus.self) { try FileRoots([]).locateEntry(path) }
        #expect(error?.code == .invalidArgument)
    }

    @Test func `an entry is a name in a directory`() throws {
        let entry = try FileRoots(["/workspace"]).locateEntry("/workspace/a/b")
        #expect(entry.directory.relative == "a")
        #expect(entry.name == "b")
    }
}
