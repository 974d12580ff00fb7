import Testing

@testable import GuestAgentCore

@Suite("User database") struct UserDatabaseTests {
    private let users = UserDatabase(
        passwd: """
            root:x:0:0:root:/root:/bin/bash
            broken line
            ada:x:1001:1001:Ada,,,:/home/ada:/bin/zsh
            bare:x:1002:100::::
            """,
        group: """
            root:x:0:
            wheel:x:10:root,ada
            ada:x:1001:ada
            docker:x:999:ada
            """,
    )

    @Test func `a user has the groups that name it, the primary one first and once`() throws {
        let ada = try users.account("ada")
        #expect(ada.uid == 1001)
        #expect(ada.groups == [1001, 10, 999])
        #expect(ada.home == "/home/ada")
        #expect(ada.shell == "/bin/zsh")
    }

    @Test(arguments: ["", "sandbox", "1000"])
    func `the default user exists in every image`(_ specification: String) throws {
        let account = try users.account(specification)
        #expect(account.uid == 1000)
        #expect(account.gid == 1000)
        #expect(account.name == "sandbox")
        #expect(account.home == "/home/sandbox")
    }

    @Test func `the default user is not whom an image gave the same number`() throws {
        let users = UserDatabase(passwd: "node:x:1000:1000::/home/node:/bin/sh", group: "")
        #expect(try users.account("").home == "/home/sandbox")
        #expect(try users.account("1000").home == "/home/node")
    }

    @Test func `an image may give the default user another number`() throws {
        let users = UserDatabase(passwd: "sandbox:x:500:501::/srv:/bin/sh", group: "")
        #expect(try users.account("").uid == 500)
    }

    @Test func `a number that is in the database is that user`() throws {
        #expect(try users.account("1001").name == "ada")
    }

    @Test func `a group of its own leaves no other groups`() throws {
        let account = try users.account("1001:7")
        #expect(account.gid == 7)
        #expect(account.groups == [7])
        #expect(account.home == "/home/ada")
    }

    @Test func `a number that nobody has is a user without a home`() throws {
        let account = try users.account("4242")
        #expect(account.name == "4242")
        #expect(account.gid == 4242)
        #expect(account.home == "/")
    }

    @Test func `empty fields have defaults`() throws {
        let account = try users.account("bare")
        #expect(account.home == "/")
        #expect(account.shell == "/bin/sh")
    }

    @Test func `a name that nobody has is unknown`() {
        #expect(throws: UserDatabase.LookupError.unknownUser("bob")) { try users.account("bob") }
    }

    @Test(arguments: ["4294967295", "4294967296", "1:", "1:2:3", "1:x", "1:4294967295"])
    func `a number that the kernel would not take is malformed`(_ specification: String) {
        #expect(throws: UserDatabase.LookupError.malformed(specification)) { try users.account(specification) }
    }
}
