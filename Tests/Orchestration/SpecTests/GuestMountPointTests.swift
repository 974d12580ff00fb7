import Testing

@testable import Spec

@Suite("Guest mount point") struct GuestMountPointTests {
    @Test(arguments: [
        ("/workspace", "/workspace"), ("/workspace//data/./x/", "/workspace/data/x"), ("/opt/tool", "/opt/tool"),
        ("/tmp/x", "/tmp/x"), ("/library", "/library"), ("/home/sandbox", "/home/sandbox"), ("/...", "/..."),
    ])
    func `a place is brought into one form`(_ text: String, _ path: String) throws {
        #expect(try GuestMountPoint(text).path == path)
    }

    @Test(arguments: [
        "", "relative", "./x", "/", "//", "/./", "/a/../b", "/..", "/a\0b", "/etc", "/etc/ssl", "//etc", "/./proc/1",
        "/sys", "/dev/shm", "/usr/local", "/bin", "/sbin", "/lib", "/lib64/x", "/run/voidbox", "/boot", "/tmp", "/opt",
        "/opt/claude-code", "/opt/claudio/bin", "/" + String(repeating: "x", count: 300),
    ])
    func `a place that the box needs for itself, or that is none, is refused`(_ text: String) {
        #expect(throws: GuestMountPoint.Violation.self) { try GuestMountPoint(text) }
    }
}
