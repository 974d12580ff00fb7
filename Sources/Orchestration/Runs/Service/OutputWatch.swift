internal import AgentRuntimes
internal import LinuxSystem
internal import Primitives
internal import Sandboxing

/// A version of what a service tells the world: the contents of its output file at one moment.
package struct OutputVersion: Hashable, Sendable {
    /// Counted from 1, for the whole run.
    package var number: Int
    /// In the box.
    package var file: String
    package var sizeBytes: UInt64
    /// Its beginning, where it is text.
    package var text: String?
    /// Where the host has it; nil for a run that is not recorded. The next version takes its place.
    package var artifact: String?
    package var mediaType: String
}

/// Watches the output file of a service, tells of each version, and keeps the newest one with the run.
///
/// It asks for the file's size and time only, and reads it when they have changed. Looks must not overlap: `follow` has
/// returned when somebody else looks.
actor OutputWatch {
    /// Of the text in an event.
    private static let textLimit = 4 << 10
    private static let maxWarnings = 20

    /// What tells that the file may be another one.
    private struct Mark: Hashable {
        var size: UInt64
        var modified: Int64

        init(_ path: String, of box: any SandboxInstance) async throws {
            let info = try await box.stat(path, followLinks: false)
            size = info.size.bytes
            modified = info.modifiedUnixNanoseconds
        }
    }

    private let path: String
    private let stage: StageName
    private let directory: String?
    private let limit: Duration
    private let observe: RunObserver

    private(set) var latest: OutputVersion?
    /// Of the newest version.
    private(set) var contents: [UInt8]?
    private(set) var warnings: [String] = []
    private var seen: Mark?
    private var wasTorn = false

    /// - Parameters:
    ///   - directory: Of the host, for the newest version; made when there is one.
    ///   - limit: Of one look.
    init(path: String, stage: StageName, directory: String?, limit: Duration, observe: @escaping RunObserver) {
        self.path = path
        self.stage = stage
        self.directory = directory
        self.limit = limit
        self.observe = observe
    }

    /// Looks every so often until its task is cancelled.
    func follow(_ box: any SandboxInstance, every interval: Duration) async {
        seen = nil
        repeat {
            await look(at: box)
        } while (try? await Task.sleep(for: interval)) != nil
    }

    /// Publishes what is there if it is new. Never throws: a box that is gone, or has no such file, has nothing new.
    ///
    /// - Parameter isLast: Takes the file as it is, where it may be in the middle of being written.
    func look(at box: any SandboxInstance, isLast: Bool = false) async {
        do {
            guard let (mark, bytes) = try await read(from: box, isLast: isLast) else { return }
            seen = mark
            if let bytes, bytes != contents { await publish(bytes) }
        } catch let error as SandboxError {
            switch error.code {
            case .notFound, .machineEnded: break
            case .resourceExhausted:
                await warn(
                    "the output file \(path) is larger than \(AgentRun.maxOutputFileBytes >> 20) MiB and is not published"
                )
            default: await warn("the output file \(path) cannot be read: \(error.message)")
            }
        } catch {
            // Given up or cancelled: the next look sees the same.
        }
    }

    /// Nil where there is nothing new. One that cannot be read is reported once, and again when it has changed.
    private func read(from box: any SandboxInstance, isLast: Bool) async throws -> (Mark, [UInt8]?)? {
        let (before, mayBeTorn) = (seen, !isLast && !wasTorn)
        let (path, limit) = (path, limit)
        let found = try await withThrowingTaskGroup(of: Found?.self) { group in
            group.addTask { try await Found.read(path, of: box, unless: before) }
            group.addTask {
                try await Task.sleep(for: limit)
                throw CancellationError()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let found else { return nil }
        if let problem = found.problem {
            seen = found.mark
            throw problem
        }
        // What changed while it was read is read again, but not for ever: some files change all the time.
        wasTorn = found.hasChanged && mayBeTorn
        return wasTorn ? nil : (found.mark, found.bytes)
    }

    private struct Found: Sendable {
        var mark: Mark
        var bytes: [UInt8]?
        var hasChanged = false
        var problem: SandboxError?

        /// Nil for a file that is as it was. An empty one is about to be written.
        static func read(_ path: String, of box: any SandboxInstance, unless seen: Mark?) async throws -> Found? {
            let mark = try await Mark(path, of: box)
            guard mark != seen, mark.size > 0 else { return nil }
            do {
                let bytes = try await box.readFile(path, limit: AgentRun.maxOutputFileBytes)
                return Found(mark: mark, bytes: bytes, hasChanged: try await Mark(path, of: box) != mark)
            } catch let error as SandboxError where error.code != .machineEnded && error.code != .notFound {
                return Found(mark: mark, problem: error)
            }
        }
    }

    // MARK: Publishing

    private func publish(_ bytes: [UInt8]) async {
        var version = OutputVersion(
            number: (latest?.number ?? 0) + 1,
            file: path,
            sizeBytes: UInt64(bytes.count),
            text: Self.text(of: bytes),
            mediaType: Self.mediaType(of: path),
        )
        do {
            version.artifact = try keep(bytes)
        } catch {
            await warn("the output of the service cannot be kept: \(error)")
        }
        contents = bytes
        latest = version
        await observe(.outputPublished(stage, version))
    }

    private func keep(_ bytes: [UInt8]) throws -> String? {
        guard let directory else { return nil }
        let last = path.split(separator: "/").last.map(String.init) ?? "output"
        let name = last.utf8.count < 200 ? last : "output"
        try FileSystem.makeDirectories(directory, mode: 0o700)
        try FileSystem.replaceAtomically(name, in: try Directory(directory), with: bytes)
        return "\(directory)/\(name)"
    }

    private func warn(_ text: String) async {
        guard warnings.last != text, warnings.count < Self.maxWarnings else { return }
        warnings.append(text)
        await observe(.warning(box: stage.box, text))
    }

    private static func text(of bytes: [UInt8]) -> String? {
        var beginning = bytes.prefix(textLimit)
        // A character that is cut off is left out.
        for _ in 0..<4 {
            if let text = String(validating: beginning, as: UTF8.self) { return text }
            guard bytes.count > textLimit else { return nil }
            beginning = beginning.dropLast()
        }
        return nil
    }

    private static func mediaType(of path: String) -> String {
        switch path.split(separator: "/").last?.split(separator: ".").last {
        case "json": "application/json"
        case "md": "text/markdown"
        case "txt", "log": "text/plain"
        case "html": "text/html"
        case "csv": "text/csv"
        default: "application/octet-stream"
        }
    }
}

extension ArtifactReport {
    /// Nil for a version that the host has not kept.
    init?(_ version: OutputVersion) {
        guard let path = version.artifact, let name = path.split(separator: "/").last else { return nil }
        self.init(name: String(name), mediaType: version.mediaType, sizeBytes: version.sizeBytes, path: path)
    }
}
