import Foundation
import Primitives
import Sandboxing
import TestSupport
import Testing

/// A writable directory of the host behaves in a box as POSIX says, and nothing beside it is to be reached.
@Suite("Contract: shared directories", .takesBoxSlot) struct SharedDirectoryTests {
    /// Where the directory is on the host, and whose.
    enum Place: String, CaseIterable, CustomTestStringConvertible, Sendable {
        case ofRootInMemory, ofAnotherUserOnDisk

        var testDescription: String { rawValue }

        func make() throws -> URL {
            let parent = self == .ofRootInMemory ? FileManager.default.temporaryDirectory : URL(filePath: "/var/tmp")
            let directory = parent.appending(path: "voidbox-share-\(UUID())")
            let owner =
                self == .ofRootInMemory ? [:] : [FileAttributeKey.ownerAccountID: 4321, .groupOwnerAccountID: 4321]
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try FileManager.default.setAttributes(owner, ofItemAtPath: directory.path)
            return directory
        }
    }

    @Test(arguments: ContractBackend.withMappedShares)
    func `a writable directory passes the checks of POSIX`(_ backend: ContractBackend) async throws {
        try await check(backend, .ofAnotherUserOnDisk, as: "sandbox", atLeast: 55)
    }

    @Test(arguments: ContractBackend.withMappedShares, Place.allCases)
    func `permissions hold between the users of a box`(_ backend: ContractBackend, _ place: Place) async throws {
        let checks = [
            "permissions_hold_for_others", "permissions_hold_for_the_owner", "a_file_belongs_to_who_made_it",
            "an_owner_cannot_be_given_away", "set_id_bits_of_files_do_not_reach_the_host", "chmod_sets_every_bit",
            "device_nodes_cannot_be_made", "attributes_of_the_host_are_out_of_reach", "user_attributes_are_kept",
            "times_are_kept_to_the_nanosecond", "a_new_file_has_the_mode_less_the_umask",
        ]
        try await check(backend, place, as: "root", checks, atLeast: checks.count)
    }

    /// Runs the program of checks; each that fails is an issue with its name.
    private func check(
        _ backend: ContractBackend,
        _ place: Place,
        as user: String,
        _ checks: [String] = [],
        atLeast count: Int,
    ) async throws {
        let directory = try place.make()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await backend.withBox({
            $0.shares = [.init(hostPath: directory.path, guestPath: "/mnt/share", isReadOnly: false)]
        }) { box in
            try await box.writeFile("/tmp/checks.py", try GuestProgram.shareChecks.contents)
            var request = ExecRequest(["python3", "/tmp/checks.py", "/mnt/share"] + checks)
            request.user = user
            let result = try await box.run(request)
            #expect(result.exit.status == .code(0), "\(result.errorText)")
            let lines = result.text.split(separator: "\n")
            #expect(lines.count { $0.hasPrefix("ok ") } >= count, "\(result.text)")
            for line in lines where line.hasPrefix("FAIL ") { Issue.record("\(line)") }
            for line in lines where line.hasPrefix("skip ") { print(line) }
            if ProcessInfo.processInfo.environment["VOIDBOX_TEST_VERBOSE"] == "1" { print(result.text) }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == [])
    }

    @Test(arguments: ContractBackend.withMappedShares)
    func `the box's user sees its own files, and the host those of the directory's owner`(_ backend: ContractBackend)
        async throws
    {
        let directory = try Place.ofAnotherUserOnDisk.make()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await backend.withBox({
            $0.shares = [.init(hostPath: directory.path, guestPath: "/mnt/share", isReadOnly: false)]
        }) { box in
            let made = try await box.run(
                "sh",
                "-c",
                "cd /mnt/share && echo x > file && mkdir d && stat -c %u:%g . file d"
            )
            #expect(made.text == "1000:1000\n1000:1000\n1000:1000\n", "\(made.errorText)")
            let warnings = try await box.health().warnings
            #expect(warnings == [])
        }
        for name in ["file", "d"] {
            let owner = try FileManager.default.attributesOfItem(atPath: directory.appending(path: name).path)
            #expect(owner[.ownerAccountID] as? Int == 4321)
        }
    }

    @Test(arguments: ContractBackend.withMappedShares)
    func `a directory for reading is not changed by anybody`(_ backend: ContractBackend) async throws {
        let directory = try Place.ofRootInMemory.make()
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data("kept".utf8).write(to: directory.appending(path: "file"))
        try await backend.withBox({
            $0.shares = [.init(hostPath: directory.path, guestPath: "/mnt/share", isReadOnly: true)]
        }) { box in
            // Even where root in the box takes the guest kernel's own word for it away.
            var remount = ExecRequest(["mount", "-o", "remount,rw", "/mnt/share"])
            remount.user = "root"
            _ = try await box.run(remount)
            let changes = [
                "echo x > new", "echo x > file", "echo x >> file", "rm file", "mv file other", "ln file link",
                "mkdir d",
                "ln -s file link", "chmod 600 file", "touch -d @1 file", "truncate -s 0 file", "mkfifo fifo",
                "python3 -c 'import os; os.setxattr(\"file\", \"user.x\", b\"1\")'",
            ]
            for change in changes {
                var request = ExecRequest(["sh", "-c", "cd /mnt/share && LC_ALL=C \(change)"])
                request.user = "root"
                let result = try await box.run(request)
                #expect(result.exit.status != .code(0), "\(change)")
                #expect(result.errorText.contains("Read-only file system"), "\(change): \(result.errorText)")
            }
            let text = try await box.run("cat", "/mnt/share/file").text
            #expect(text == "kept")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path) == ["file"])
    }

    @Test(arguments: ContractBackend.withMappedShares)
    func `races with symbolic links do not leave the directory`(_ backend: ContractBackend) async throws {
        let tries = ProcessInfo.processInfo.environment["VOIDBOX_STRESS_RACES"].flatMap { Int($0) } ?? 640
        let parent = try Place.ofRootInMemory.make()
        defer { try? FileManager.default.removeItem(at: parent) }
        let (inside, outside) = (parent.appending(path: "inside"), parent.appending(path: "outside"))
        for directory in [inside, outside] {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        }
        for name in ["secret", "hostname", "victim"] {
            try Data("outside".utf8).write(to: outside.appending(path: name))
        }
        let before = try Snapshot(of: outside)
        let hostBefore = try Snapshot(of: URL(filePath: "/etc"))
        try await backend.withBox({
            $0.name = "race"
            $0.shares = ["/mnt/one", "/mnt/two"].map { .init(hostPath: inside.path, guestPath: $0, isReadOnly: false) }
        }) { box in
            try await box.writeFile("/tmp/race.py", try GuestProgram.shareRace.contents)
            var request = ExecRequest(["python3", "/tmp/race.py", "\(tries)", outside.path, "/mnt/one", "/mnt/two"])
            request.user = "root"
            let result = try await box.run(request)
            #expect(result.exit.status == .code(0), "\(result.text) \(result.errorText)")
            let words = result.text.split(whereSeparator: \.isWhitespace)
            let counts = words.compactMap { Int($0) }
            print("races: \(result.text)", terminator: "")
            #expect(counts.count == 2 && counts.allSatisfy { $0 > 10 }, "there was no race: \(result.text)")
        }
        #expect(try Snapshot(of: outside) == before)
        #expect(try Snapshot(of: URL(filePath: "/etc")) == hostBefore)
    }

    /// The files of a directory: names, contents as far as sizes and times tell, and permissions.
    private struct Snapshot: Equatable {
        private var files: [String: [String]] = [:]

        init(of directory: URL) throws {
            for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) {
                let attributes = try FileManager.default.attributesOfItem(atPath: directory.appending(path: name).path)
                files[name] = [FileAttributeKey.size, .modificationDate, .posixPermissions, .systemFileNumber].map {
                    "\(attributes[$0] ?? "")"
                }
            }
        }
    }
}
