internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// Removes a directory with all below it, a slice a turn, so that a large tree does not hold up the other calls.
///
/// Confined to the loop's thread. It never follows a link: each level is opened relative to the one above.
final class TreeRemoval {
    private static let entriesPerTurn = 512
    /// Each level costs a descriptor.
    private static let deepest = 2000

    private final class Level {
        let directory: Directory
        let name: String
        var names: [String]

        init(_ directory: consuming Directory, name: String) throws(SyscallError) {
            names = try directory.names()
            self.directory = directory
            self.name = name
        }
    }

    private let top: DirectoryEntry
    private let path: String
    private let loop: EventLoop
    private let call: Call
    private var levels: [Level] = []
    private var isAbandoned = false

    init(of top: consuming DirectoryEntry, path: String, on loop: EventLoop, _ call: Call) {
        self.top = top
        self.path = path
        self.loop = loop
        self.call = call
    }

    func begin() {
        do throws(SyscallError) {
            levels = [try Level(try top.directory.openDirectory(top.name), name: top.name)]
            call.onAbandoned { [self] in isAbandoned = true }
            run()
        } catch {
            call.fail(TTRPCStatus(error, on: path))
        }
    }

    private func run() {
        guard !isAbandoned else { return }
        do throws(TTRPCStatus) {
            for _ in 0..<Self.entriesPerTurn {
                guard let level = levels.last else { return call.finish(Voidbox_Guest_V1_Empty()) }
                try step(level)
            }
            _ = loop.schedule(after: .zero) { self.run() }
        } catch {
            call.fail(error)
        }
    }

    private func step(_ level: Level) throws(TTRPCStatus) {
        let place = ([path] + levels.dropFirst().map(\.name)).joined(separator: "/")
        do throws(SyscallError) {
            if let entry = level.names.popLast() {
                try remove(entry, in: level)
            } else {
                levels.removeLast()
                if let above = levels.last {
                    try above.directory.removeDirectory(level.name)
                } else {
                    try top.directory.removeDirectory(top.name)
                }
            }
        } catch {
            throw TTRPCStatus(error, on: place)
        }
        guard levels.count <= Self.deepest else {
            throw TTRPCStatus(.resourceExhausted, "\(path) is deeper than \(Self.deepest) directories")
        }
    }

    private func remove(_ entry: String, in level: Level) throws(SyscallError) {
        do throws(SyscallError) {
            try level.directory.unlink(entry)
        } catch {
            switch error.errno {
            case .isADirectory: levels.append(try Level(try level.directory.openDirectory(entry), name: entry))
            case .notFound: break
            default: throw error
            }
        }
    }
}
