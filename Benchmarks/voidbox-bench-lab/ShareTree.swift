import Foundation
import Sandboxing

/// Repositories on the host, one directory for each contestant: ten of a tenth of the files each.
struct ShareTree {
    static let repositories = 10

    let root: URL
    let files: Int

    init(below directory: URL, names: [String], files: Int) throws {
        root = directory.appending(path: "trees")
        self.files = files
        let first = root.appending(path: names[0])
        for repository in 0..<Self.repositories {
            let top = first.appending(path: "\(repository)")
            for folder in 0..<(files / Self.repositories / 50) {
                let place = top.appending(path: "folder\(folder)")
                try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
                for file in 0..<50 {
                    let text = "file \(file) of folder \(folder) of repository \(repository)\n"
                    try Data(text.utf8).write(to: place.appending(path: "file\(file).txt"))
                }
            }
            // Owners and inodes look different in a box, and files as young as the index are read by git to be sure: neither
            // is what a status costs.
            try Self.run(
                """
                git init -q .
                git config core.checkStat minimal
                git config core.trustctime false
                find . -name .git -prune -o -type f -exec touch -d @1735689600 {} +
                git add .
                git -c user.name=b -c user.email=b@localhost commit -q -m all
                """,
                in: top,
            )
        }
        for name in names.dropFirst() { try Self.run("cp -a \(names[0]) \(name)", in: root) }
    }

    func directory(of name: String) -> String { root.appending(path: name).path }

    private static func run(_ script: String, in directory: URL) throws {
        let shell = Process()
        shell.executableURL = URL(filePath: "/bin/sh")
        shell.arguments = ["-ec", script]
        shell.currentDirectoryURL = directory
        try shell.run()
        shell.waitUntilExit()
        guard shell.terminationStatus == 0 else {
            throw SandboxError(.hostUnsupported, resource: script, "it exited with \(shell.terminationStatus)")
        }
    }
}
