import Foundation
import LinuxSystem
import Testing

@testable import Jail

/// Directories that stay reachable through a descriptor, and nothing above them.
@Suite("Jail: shares", .timeLimit(.minutes(10))) struct SharesTests {
    /// A directory with a file and a link out of it, beside a secret; all open to everybody.
    private func withShare(_ body: (_ path: String, _ descriptor: Int32) async throws -> Void) async throws {
        let top = FileManager.default.temporaryDirectory.appending(path: "voidbox-jail-\(UUID().uuidString)").path
        let share = top + "/share"
        try FileSystem.makeDirectories(share)
        defer {
            // What is left is in a temporary directory.
            try? FileManager.default.removeItem(atPath: top)
        }
        try FileSystem.replace(top + "/secret", with: "secret", mode: 0o644)
        try FileSystem.replace(share + "/file", with: "inside", mode: 0o644)
        try FileSystem.makeLink(share + "/link", to: "../secret")
        try FileSystem.setMode(of: share, 0o777)
        let directory = try Directory(share)
        try await body(top, directory.descriptor.rawValue)
    }

    private static let attempts = [
        "share-read", "share-create", "share-up", "share-far-up", "share-link-out", "share-stat-up", "share-chmod-up",
    ]

    @Test(arguments: JailProbe.User.allCases)
    func `a share can be read and written and has no way up`(_ user: JailProbe.User) async throws {
        try await withShare { top, descriptor in
            let probe = try await JailProbe.run(
                arguments: user.arguments() + ["--share", "3:rw", "--waive", "seccomp"] + Self.attempts,
                descriptors: [descriptor],
            )
            #expect(probe.layers["landlock"] == "installed")
            #expect(
                probe.results == [
                    "share-read": "inside", "share-create": "ok", "share-up": "ENOENT", "share-far-up": "ENOENT",
                    "share-link-out": "ENOENT", "share-stat-up": "itself", "share-chmod-up": "ENOENT",
                ]
            )
            #expect(try FileSystem.status(of: top + "/secret").mode == 0o644)
            #expect(FileSystem.exists(top + "/share/new"))
        }
    }

    @Test(arguments: JailProbe.User.allCases)
    func `a share that is read-only is so for the kernel`(_ user: JailProbe.User) async throws {
        try await withShare { _, descriptor in
            let probe = try await JailProbe.run(
                arguments: user.arguments()
                    + ["--share", "3:ro", "--waive", "seccomp", "--waive", "landlock", "share-read", "share-create"],
                descriptors: [descriptor],
            )
            #expect(probe.results == ["share-read": "inside", "share-create": "EROFS"])
        }
    }

    @Test(arguments: JailProbe.User.allCases)
    func `without namespaces Landlock opens nothing above a share`(_ user: JailProbe.User) async throws {
        try await withShare { _, descriptor in
            let probe = try await JailProbe.run(
                arguments: user.arguments()
                    + [
                        "--share", "3:ro", "--waive", "seccomp", "--waive", "namespaces", "share-read", "share-create",
                        "share-up", "share-far-up", "share-link-out",
                    ],
                descriptors: [descriptor],
            )
            #expect(
                probe.results == [
                    "share-read": "inside", "share-create": "EACCES", "share-up": "EACCES", "share-far-up": "EACCES",
                    "share-link-out": "EACCES",
                ]
            )
        }
    }

    @Test func `a share is used under the full jail`() async throws {
        try await withShare { _, descriptor in
            let probe = try await JailProbe.run(
                arguments: ["--share", "3:rw", "share-create", "share-up", "share-link-out"],
                descriptors: [descriptor],
            )
            #expect(probe.status == .exited(0))
            #expect(probe.results == ["share-create": "ok", "share-up": "ENOENT", "share-link-out": "ENOENT"])
        }
    }
}

@Suite("Jail report") struct JailReportTests {
    @Test(arguments: [(1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0), (7, 0), (99, 0)])
    func `an old Landlock tells what it lacks`(_ abi: Int, _ count: Int) {
        let reasons = JailState.shortcomings(ofLandlock: abi, hasShares: true)
        #expect(reasons.count == count)
        for reason in reasons { #expect(reason.hasPrefix("Landlock ABI \(abi): ")) }
    }

    @Test func `an error names the layer, the call, and the way out`() {
        let errno = SyscallError(.notSupported, call: "landlock_create_ruleset")
        let error = JailError(.landlock, .system(errno))
        #expect("\(error)".contains("landlock_create_ruleset"))
        #expect("\(error)".contains("waive it by name"))
    }

    @Test func `a report has a line for each layer`() {
        var report = JailReport()
        report.append(.landlock, .weaker(["Landlock ABI 2: no TCP rules"]))
        report.append(.seccomp, .waived)
        #expect(report.description == "landlock: installed, but Landlock ABI 2: no TCP rules\nseccomp: waived")
        #expect(!report.isComplete)
        #expect(report[.seccomp] == .waived)
        #expect(report[.dumpable] == nil)
    }
}
