import Foundation
import TestSupport
import Testing

/// Python packages that tests put into boxes, and run on the host. See `scripts/python-packages`.
enum PythonPackages {
    struct NotInstalled: Error, CustomStringConvertible {
        let description: String
    }

    /// The directory with a list's packages, installed where they are missing.
    static func directory(_ list: String) async throws -> String {
        let result = try await VoidBoxProcess.run(script: "\(Repository.root.path)/scripts/python-packages \(list)")
        guard result.status == 0 else { throw NotInstalled(description: result.errors) }
        return result.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    static func are(_ list: String) async -> Bool {
        // Why they are not is told by the condition.
        (try? await directory(list)) != nil
    }
}

extension Trait where Self == ConditionTrait {
    /// With `VOIDBOX_REQUIRE_VM=1` the test runs, and fails, without them.
    static func needsPython(_ list: String) -> Self {
        .enabled("python3, pip or a package index is missing for Tests/Support/python/\(list).txt") {
            if ProcessInfo.processInfo.environment["VOIDBOX_REQUIRE_VM"] == "1" { return true }
            return await PythonPackages.are(list)
        }
    }
}
