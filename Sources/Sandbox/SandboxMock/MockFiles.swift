internal import Primitives
internal import Sandboxing
internal import Synchronization

/// The files of a mock box: paths and bytes in memory. Any thread; guarded by `entries`.
package final class MockFiles: Sendable {
    private enum Entry {
        case directory
        case file([UInt8], mode: UInt32)
    }

    private let entries = Mutex<[String: Entry]>(["/": .directory])
    /// Other trees and where they appear, the longest path first.
    private let mounts: [(path: String, files: MockFiles)]

    init(directories: [String] = [], shares: [(path: String, files: MockFiles)] = []) {
        mounts = shares.sorted { $0.path.utf8.count > $1.path.utf8.count }
        entries.withLock { entries in
            for path in directories + mounts.flatMap({ Self.parents(of: $0.path) + [$0.path] }) {
                entries[path] = .directory
            }
        }
    }

    /// The tree that a path is in, and the path there; nil for this one.
    private func mounted(_ path: String) -> (files: MockFiles, path: String)? {
        let path = Self.normalized(path)
        for mount in mounts where path.hasPrefix(mount.path + "/") {
            return (mount.files, String(path.dropFirst(mount.path.count)))
        }
        return mounts.first { $0.path == path }.map { ($0.files, "/") }
    }

    package func contents(of path: String) -> [UInt8]? {
        if let (files, path) = mounted(path) { return files.contents(of: path) }
        guard case .file(let bytes, _)? = entries.withLock({ $0[Self.normalized(path)] }) else { return nil }
        return bytes
    }

    /// Throws as a guest does for what is no file.
    func read(_ path: String) throws -> [UInt8] {
        if let (files, path) = mounted(path) { return try files.read(path) }
        let path = Self.normalized(path)
        switch entries.withLock({ $0[path] }) {
        case .file(let bytes, _)?: return bytes
        case .directory?: throw SandboxError(.invalidArgument, resource: path, "Is a directory")
        case nil: throw Self.missing(path)
        }
    }

    package func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) {
        if let (files, path) = mounted(path) { return files.write(bytes, to: path, mode: mode) }
        let path = Self.normalized(path)
        entries.withLock { entries in
            for parent in Self.parents(of: path) where entries[parent] == nil { entries[parent] = .directory }
            entries[path] = .file(bytes, mode: mode)
        }
    }

    func stat(_ path: String) throws -> FileInfo {
        if let (files, path) = mounted(path) { return try files.stat(path) }
        let path = Self.normalized(path)
        guard let entry = entries.withLock({ $0[path] }) else { throw Self.missing(path) }
        return Self.info(path, entry)
    }

    func list(_ path: String) throws -> [FileInfo] {
        if let (files, path) = mounted(path) { return try files.list(path) }
        let path = Self.normalized(path)
        let prefix = path == "/" ? "/" : path + "/"
        return try entries.withLock { entries in
            guard case .directory? = entries[path] else { throw Self.missing(path) }
            return
                entries
                .filter { $0.key != path && $0.key.hasPrefix(prefix) && !$0.key.dropFirst(prefix.count).contains("/") }
                .sorted { $0.key < $1.key }
                .map { Self.info($0.key, $0.value) }
        }
    }

    func makeDirectory(_ path: String, parents: Bool) throws {
        if let (files, path) = mounted(path) { return try files.makeDirectory(path, parents: parents) }
        let path = Self.normalized(path)
        try entries.withLock { entries in
            if entries[path] != nil, !parents {
                throw SandboxError(.alreadyExists, resource: path, "there is something of that name")
            }
            for parent in Self.parents(of: path) where entries[parent] == nil {
                guard parents else { throw Self.missing(parent) }
                entries[parent] = .directory
            }
            if entries[path] == nil { entries[path] = .directory }
        }
    }

    func remove(_ path: String, recursive: Bool) throws {
        if let (files, path) = mounted(path) { return try files.remove(path, recursive: recursive) }
        let path = Self.normalized(path)
        try entries.withLock { entries in
            guard entries[path] != nil else { throw Self.missing(path) }
            let below = entries.keys.filter { $0.hasPrefix(path + "/") }
            guard below.isEmpty || recursive else {
                throw SandboxError(.invalidArgument, resource: path, "the directory is not empty")
            }
            for key in below + [path] { entries[key] = nil }
        }
    }

    func rename(_ from: String, to: String) throws {
        let (from, to) = (Self.normalized(from), Self.normalized(to))
        try entries.withLock { entries in
            guard let entry = entries.removeValue(forKey: from) else { throw Self.missing(from) }
            entries[to] = entry
            for key in entries.keys.filter({ $0.hasPrefix(from + "/") }) {
                entries[to + key.dropFirst(from.count)] = entries.removeValue(forKey: key)
            }
        }
    }

    private static func missing(_ path: String) -> SandboxError {
        SandboxError(.notFound, resource: path, "No such file or directory")
    }

    private static func info(_ path: String, _ entry: Entry) -> FileInfo {
        let name = path.split(separator: "/").last.map(String.init) ?? "/"
        let (kind, size, mode): (FileInfo.Kind, Int, UInt32) =
            switch entry {
            case .directory: (.directory, 0, 0o755)
            case .file(let bytes, let mode): (.regular, bytes.count, mode)
            }
        return FileInfo(
            name: name,
            kind: kind,
            size: ByteCount(bytes: UInt64(size)),
            mode: mode,
            uid: 1000,
            gid: 1000,
            modifiedUnixNanoseconds: 0,
        )
    }

    /// Absolute, without empty, `.` and `..` components; relative paths are below `/workspace`.
    private static func normalized(_ path: String) -> String {
        var components: [Substring] = []
        for component in (path.hasPrefix("/") ? path : "/workspace/" + path).split(separator: "/") {
            switch component {
            case ".": continue
            case "..": _ = components.popLast()
            default: components.append(component)
            }
        }
        return "/" + components.joined(separator: "/")
    }

    private static func parents(of path: String) -> [String] {
        let components = path.split(separator: "/").dropLast()
        return components.indices.map { "/" + components[...$0].joined(separator: "/") }
    }
}

/// What appears in several boxes. Any thread; guarded by `trees`.
final class MockShares: Sendable {
    private let trees = Mutex<[String: MockFiles]>([:])

    /// Of a directory of the host, which nobody touches.
    func files(of hostPath: String) -> MockFiles {
        trees.withLock { trees in
            if let files = trees[hostPath] { return files }
            let files = MockFiles()
            trees[hostPath] = files
            return files
        }
    }
}
