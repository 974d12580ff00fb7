internal import Crypto
internal import FoundationEssentials
internal import LinuxSystem
internal import Skills

/// Remote skills on this host: files by the hash of their content, and what each skill at each commit is made of. Whatever is
/// taken out is hashed again.
struct SkillCache: Sendable {
    let directory: String

    struct Manifest: Codable, Hashable {
        struct Entry: Codable, Hashable {
            var path: String
            var sha256: String
            var executable: Bool
        }

        var version = 1
        var files: [Entry]
    }

    /// The files of a skill, nil where one is missing or not what it was.
    func files(of reference: RemoteSkillReference, commit: String) -> [SkillBundle.File]? {
        // What cannot be read or decoded is as good as not there: it is fetched again.
        guard let bytes = try? FileSystem.read(manifestPath(reference, commit), limit: 1 << 20),
            let manifest = try? JSONDecoder().decode(Manifest.self, from: Data(bytes)), manifest.version == 1
        else { return nil }
        var files: [SkillBundle.File] = []
        for entry in manifest.files {
            guard Self.isHash(entry.sha256),
                let bytes = try? FileSystem.read(blobPath(entry.sha256), limit: SkillBundle.maxBytes),
                Self.sha256(bytes) == entry.sha256
            else { return nil }
            files.append(.init(path: entry.path, bytes: bytes, isExecutable: entry.executable))
        }
        return files
    }

    func keep(_ files: [SkillBundle.File], of reference: RemoteSkillReference, commit: String) throws {
        var entries: [Manifest.Entry] = []
        for file in files {
            let hash = Self.sha256(file.bytes)
            try write(file.bytes, to: blobPath(hash))
            entries.append(.init(path: file.path, sha256: hash, executable: file.isExecutable))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        try write(Array(try encoder.encode(Manifest(files: entries))), to: manifestPath(reference, commit))
    }

    /// The commit that a tag stood for when it was first used: what is pinned does not move.
    func commit(ofTag tag: String, _ reference: RemoteSkillReference) -> String? {
        // As above: a tag that is not known is asked for.
        guard let bytes = try? FileSystem.read(tagPath(tag, reference), limit: 100) else { return nil }
        let commit = String(decoding: bytes, as: UTF8.self)
        return RemoteSkillReference.isCommit(commit) ? commit : nil
    }

    func keep(commit: String, ofTag tag: String, _ reference: RemoteSkillReference) throws {
        try write(Array(commit.utf8), to: tagPath(tag, reference))
    }

    // MARK: Places

    private func blobPath(_ hash: String) -> String { "\(directory)/blobs/\(hash.prefix(2))/\(hash)" }

    private func repository(_ reference: RemoteSkillReference) -> String {
        "\(directory)/repositories/\(reference.owner)/\(reference.repository)"
    }

    private func manifestPath(_ reference: RemoteSkillReference, _ commit: String) -> String {
        let place = Self.sha256(Array(reference.path.joined(separator: "/").utf8)).prefix(16)
        return "\(repository(reference))/\(commit)-\(place).json"
    }

    private func tagPath(_ tag: String, _ reference: RemoteSkillReference) -> String {
        "\(repository(reference))/tag-\(Self.sha256(Array(tag.utf8)).prefix(16))"
    }

    /// Whole or not at all.
    private func write(_ bytes: [UInt8], to path: String) throws {
        let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        try FileManager.default.createDirectory(atPath: String(parent), withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(filePath: path), options: .atomic)
    }

    static func sha256(_ bytes: [UInt8]) -> String { hex(SHA256.hash(data: bytes)) }

    /// What git calls a file of that content.
    static func gitBlobHash(_ bytes: [UInt8]) -> String {
        hex(Insecure.SHA1.hash(data: Array("blob \(bytes.count)\0".utf8) + bytes))
    }

    private static func hex(_ digest: some Sequence<UInt8>) -> String {
        digest.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }
        .joined()
    }

    private static func isHash(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
