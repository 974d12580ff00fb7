import Foundation
import LinuxSystem
import Testing

/// A process that confined itself, and what it found out then.
struct JailProbe {
    /// What the report says of each layer.
    var layers: [String: String] = [:]
    /// How each attempt went: "ok", the name of an error, or what was found.
    var results: [String: String] = [:]
    var status: TerminationStatus

    /// `SIGSYS`: the filter ended it.
    static let endedByFilter = TerminationStatus.signalled(31)

    private static let program = Bundle.main.executableURL?.deletingLastPathComponent().appending(path: "jail-probe")

    /// Runs `jail-probe` with these arguments; its descriptors 3, 4, … are duplicates of those given. A layer that this host
    /// does not offer skips the test.
    static func run(
        arguments: [String],
        descriptors: [Int32] = [],
        change: (inout SpawnRequest) -> Void = { _ in },
    ) async throws -> JailProbe {
        let path = try #require(program?.path)
        var request = SpawnRequest(
            path: path,
            argv: ["jail-probe"] + arguments,
            environment: ["SWIFT_BACKTRACE=enable=no"],
        )
        change(&request)
        let output = try OwnedFD.pipe()
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        let spawner = try Spawner()
        let process = try await spawner.spawn(
            request,
            descriptors: [nothing.rawValue, output.second.rawValue, 2] + descriptors,
        )
        let reading = output.keepFirst()
        let text = String(decoding: try reading.readAll(limit: 1 << 20), as: UTF8.self)
        var probe = JailProbe(status: try await process.waitForEnd())
        for line in text.split(separator: "\n") {
            if line.hasPrefix("refused ") { try Test.cancel("this host: \(line.dropFirst(8))") }
            if let separator = line.range(of: " = ") {
                probe.results[String(line[..<separator.lowerBound])] = String(line[separator.upperBound...])
            } else if let separator = line.range(of: ": ") {
                probe.layers[String(line[..<separator.lowerBound])] = String(line[separator.upperBound...])
            }
        }
        return probe
    }

    /// The ways in which a worker may start.
    enum User: String, CaseIterable {
        case root, unprivileged

        /// Arguments for the probe. To become another user it must be root.
        func arguments() throws -> [String] {
            let isRoot = ProcessRestrictions.userID == 0
            switch self {
            case .root:
                if !isRoot { try Test.cancel("the tests do not run as root") }
                return []
            case .unprivileged: return isRoot ? ["--as", "65534"] : []
            }
        }
    }
}
