import Foundation
import Sandboxing
import Spec
import Testing

@testable import Runs

@Suite("Runs") struct RunsTests {
    @Test func `a report's JSON has the documented keys`() throws {
        var report = RunReport(name: "n", kind: "agent")
        report.stageResults = [StageReport(name: "n", status: .failed, exitCode: 1)]
        report.failure = RunFailure(.run, "no", hint: "try")
        report.totalCostUSD = 0.25
        let object = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any]
        )
        for key in [
            "name", "kind", "success", "output", "stages", "total_cost_usd", "input_tokens", "output_tokens", "backend",
            "isolated", "stage_results", "failure", "warnings", "duration_ms",
        ] { #expect(object[key] != nil, "\(key)") }
        #expect(try JSONDecoder().decode(RunReport.self, from: JSONEncoder().encode(report)) == report)
    }

    @Test func `a failure's class is what its cause means for the user`() {
        #expect(RunFailure(SandboxError(.hostUnsupported, resource: "q", "no")).class == .host)
        #expect(RunFailure(SandboxError(.bootFailed, resource: "q", "no")).class == .run)
        #expect(RunFailure(SpecError(file: "f", issues: [])).class == .usage)
    }

    @Test func `assets are looked up by variable, then in the cache`() {
        let locator = AssetLocator(environment: ["VOIDBOX_CACHE_DIR": "/c", "VOIDBOX_KERNEL": "/k"])
        #expect(locator.path(of: .kernel) == "/k")
        #expect(locator.path(of: .baseRoot) == "/c/current/base.ext4")
        let error = #expect(throws: SandboxError.self) {
            try locator.bootArtifacts { $0 == "/k" }
        }
        #expect(error?.code == .hostUnsupported && error?.hint?.contains("make guest") == true)
    }
}
