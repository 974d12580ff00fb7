import TTRPC
import Testing

@testable import GuestAgentCore

@Suite("Program policy") struct ProgramPolicyTests {
    @Test func `an allowed name may be called by any path`() throws {
        let policy = ProgramPolicy.only(["git"])
        try policy.check("git")
        try policy.check("/usr/bin/git")
    }

    @Test func `a refusal names the program and what is allowed`() {
        let error = #expect(throws: TTRPCStatus.self) { try ProgramPolicy.only(["sh", "git"]).check("/usr/bin/gcc") }
        #expect(error?.code == .permissionDenied)
        #expect(error?.message == "program \"gcc\" is not allowed; the policy of this box allows: git, sh")
    }

    @Test func `without names nothing may run`() {
        let error = #expect(throws: TTRPCStatus.self) { try ProgramPolicy.only([]).check("sh") }
        #expect(error?.message.contains("allows none") == true)
    }

    @Test func `any program means any`() throws {
        try ProgramPolicy.any.check("whatever")
    }
}

@Suite("Program lookup") struct ProgramLookupTests {
    @Test func `a name is looked for along the path`() {
        let lookup = ProgramLookup(program: "git", path: "/usr/bin::/bin:tools", workingDirectory: "/w")
        #expect(lookup.candidates == ["/usr/bin/git", "/w/git", "/bin/git", "/w/tools/git"])
    }

    @Test func `a path is taken as it is, relative to the working directory`() {
        #expect(ProgramLookup(program: "./x", path: "/bin", workingDirectory: "/w").candidates == ["/w/./x"])
        #expect(ProgramLookup(program: "/x/y", path: "/bin", workingDirectory: "/w").candidates == ["/x/y"])
    }

    @Test func `a program that is nowhere is named with the path`() {
        let lookup = ProgramLookup(program: "no-such-program", path: "/bin:/usr/bin", workingDirectory: "/")
        let error = #expect(throws: TTRPCStatus.self) { try lookup.find() }
        #expect(error?.code == .notFound)
        #expect(error?.message == "program \"no-such-program\" is not in PATH (/bin:/usr/bin)")
    }

    @Test func `a file that is not executable is said to be so`() {
        let lookup = ProgramLookup(program: "/etc/passwd", path: "", workingDirectory: "/")
        let error = #expect(throws: TTRPCStatus.self) { try lookup.find() }
        #expect(error?.code == .permissionDenied)
    }
}

@Suite("Exec environment") struct ExecEnvironmentTests {
    private let account = Account(name: "ada", uid: 1, gid: 1, groups: [1], home: "/home/ada", shell: "/bin/sh")

    @Test func `the call wins over the box, and the box over the defaults`() {
        let environment = ExecEnvironment(
            boxDefaults: ["A": "box", "B": "box", "HOME": "/elsewhere"],
            diskBinaries: []
        )
        let variables = environment.variables(for: account, hasTerminal: false, call: ["B": "call"])
        #expect(variables["A"] == "box")
        #expect(variables["B"] == "call")
        #expect(variables["HOME"] == "/elsewhere")
        #expect(variables["USER"] == "ada")
        #expect(variables["TERM"] == nil)
    }

    @Test func `disks add their programs behind those of the system`() {
        let environment = ExecEnvironment(boxDefaults: [:], diskBinaries: ["/opt/claude/bin"])
        let path = environment.variables(for: account, hasTerminal: true, call: [:])["PATH"]
        #expect(path == ExecEnvironment.systemPath + ":/opt/claude/bin")
    }

    @Test(arguments: [["": "x"], ["A=B": "x"], ["A": "x\0y"]])
    func `a variable that cannot be is refused`(_ variables: [String: String]) {
        #expect(throws: TTRPCStatus.self) { try ExecEnvironment.check(variables) }
    }
}
