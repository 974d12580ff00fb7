internal import Primitives
internal import Sandboxing

/// A file of a box, as it is described.
public struct FileDescription: Hashable, Sendable {
    public enum Kind: Hashable, Sendable {
        case file, directory, other
        case symbolicLink(target: String)
    }

    public let name: String
    public let kind: Kind
    /// In bytes.
    public let size: UInt64
    /// Permissions, such as `0o644`.
    public let mode: UInt32
    public let owner: UInt32
    public let group: UInt32
}

extension RunningSandbox {
    /// Reads a file whole.
    ///
    /// - Parameters:
    ///   - path: In the box.
    ///   - limit: A file above it is an error, not a part.
    public func readFile(_ path: String, limit: Int = 64 << 20) async throws -> [UInt8] {
        try await call { try await $0.readFile(path, limit: limit) }
    }

    /// Reads a file whole, as UTF-8; what is none is replaced.
    public func readText(_ path: String, limit: Int = 64 << 20) async throws -> String {
        String(decoding: try await readFile(path, limit: limit), as: UTF8.self)
    }

    /// Writes a file whole or not at all, and makes the directories that it needs. It belongs to the user of the box's
    /// programs.
    public func writeFile(_ path: String, _ contents: [UInt8], mode: UInt32 = 0o644) async throws {
        try await call { try await $0.writeFile(path, contents, options: WriteOptions(mode: mode)) }
    }

    /// The same of text, as UTF-8.
    public func writeFile(_ path: String, _ text: String, mode: UInt32 = 0o644) async throws {
        try await writeFile(path, Array(text.utf8), mode: mode)
    }

    /// Describes what is at a path.
    ///
    /// - Parameters:
    ///   - path: In the box.
    ///   - followsLinks: False describes a symbolic link itself.
    public func describeFile(_ path: String, followsLinks: Bool = true) async throws -> FileDescription {
        try await call { FileDescription(try await $0.stat(path, followLinks: followsLinks)) }
    }

    /// Whether there is something at that path.
    public func fileExists(_ path: String) async throws -> Bool {
        do {
            _ = try await describeFile(path)
            return true
        } catch let error as VoidBoxError where error.code == .notFound {
            return false
        }
    }

    /// What is in a directory.
    public func listDirectory(_ path: String) async throws -> [FileDescription] {
        try await call { try await $0.listDirectory(path).map { FileDescription($0) } }
    }

    /// Makes a directory, and those above it.
    public func makeDirectory(_ path: String) async throws {
        try await call { try await $0.makeDirectory(path, parents: true) }
    }

    /// Removes a file or a directory.
    ///
    /// - Parameters:
    ///   - path: In the box.
    ///   - recursive: A directory goes with what is in it.
    public func remove(_ path: String, recursive: Bool = false) async throws {
        try await call { try await $0.remove(path, recursive: recursive) }
    }

    /// Gives a file or directory another name, in place of what has it.
    public func rename(_ path: String, to newPath: String) async throws {
        try await call { try await $0.rename(path, to: newPath) }
    }
}

extension FileDescription {
    fileprivate init(_ info: FileInfo) {
        name = info.name
        kind =
            switch info.kind {
            case .regular: .file
            case .directory: .directory
            case .other: .other
            case .symbolicLink(let target): .symbolicLink(target: target)
            }
        size = info.size.bytes
        mode = info.mode
        owner = info.uid
        group = info.gid
    }
}
