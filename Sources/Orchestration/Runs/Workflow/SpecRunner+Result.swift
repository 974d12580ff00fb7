internal import FoundationEssentials
internal import LinuxSystem
internal import Primitives
internal import Sandboxing

/// What a workflow leaves: `/workspace/result.json`, and the files that its `artifacts` names.
extension SpecRunner {
    private static let resultFile = "/workspace/result.json"
    private static let maxResultBytes = 16 << 20
    private static let maxArtifacts = 1000
    /// Of one file.
    private static let maxArtifactBytes: UInt64 = 1 << 30

    func collectResult(of box: any SandboxInstance, _ report: inout RunReport) async throws {
        let bytes: [UInt8]
        do {
            bytes = try await box.readFile(Self.resultFile, limit: Self.maxResultBytes)
        } catch let error as SandboxError where error.code == .notFound {
            return
        } catch let error as SandboxError where error.code != .machineEnded {
            return await warn("\(Self.resultFile) cannot be read: \(error.message)", &report)
        }
        let result: JSONValue
        do {
            result = try JSONLines.decode(bytes)
        } catch {
            return await warn("\(Self.resultFile) is not JSON", &report)
        }
        report.result = result
        guard let listed = result["artifacts"]?.arrayValue, !listed.isEmpty else { return }
        if listed.count > Self.maxArtifacts {
            await warn("of \(listed.count) artifacts, the first \(Self.maxArtifacts) are fetched", &report)
        }
        guard let directories else {
            return await warn("the run is not recorded, so its artifacts are not kept", &report)
        }
        var artifacts: [ArtifactReport] = []
        for entry in listed.prefix(Self.maxArtifacts) {
            guard let name = entry["name"]?.stringValue, Self.isFileName(name) else {
                await warn("\(Self.resultFile): an artifact's name must be the name of a file", &report)
                continue
            }
            guard !artifacts.contains(where: { $0.name == name }) else {
                await warn("\(Self.resultFile): there are two artifacts \"\(name)\"", &report)
                continue
            }
            do {
                let path = "\(directories.artifacts)/\(name)"
                try FileSystem.makeDirectories(directories.artifacts, mode: 0o700)
                let size = try await Self.fetch(
                    entry["path"]?.stringValue ?? "/workspace/\(name)",
                    of: box,
                    to: name,
                    directories
                )
                artifacts.append(
                    ArtifactReport(
                        name: name,
                        mediaType: entry["media_type"]?.stringValue ?? "application/octet-stream",
                        sizeBytes: size,
                        path: path,
                    )
                )
            } catch let error as SandboxError where error.code != .machineEnded {
                await warn("the artifact \"\(name)\" cannot be fetched: \(error.message)", &report)
            }
        }
        report.artifacts = artifacts
    }

    private static func isFileName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name.utf8.count < 200
            && !name.unicodeScalars.contains { $0 == "/" || $0.properties.generalCategory == .control }
    }

    /// Copies a file of the box; what does not arrive whole is not there.
    private static func fetch(
        _ source: String,
        of box: any SandboxInstance,
        to name: String,
        _ directories: RunDirectories,
    ) async throws -> UInt64 {
        let directory = try Directory(directories.artifacts)
        let file = try directory.create(name, mode: 0o600)
        var size: UInt64 = 0
        do {
            try await box.readFile(source) { piece in
                size += UInt64(piece.count)
                guard size <= maxArtifactBytes else {
                    throw SandboxError(.resourceExhausted, resource: source, "it is larger than 1 GiB")
                }
                let bytes = copy piece
                try file.writeAll(bytes)
            }
        } catch {
            // The error is what counts; a part that cannot be removed goes with the run.
            try? directory.unlink(name)
            throw error
        }
        return size
    }
}
