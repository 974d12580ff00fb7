import Foundation
import TestSupport
import Testing

/// The specifications of void-box, in `examples/void-box`: a scripted model stands in for theirs.
@Suite("Specifications of void-box", .timeLimit(.minutes(20))) struct VoidBoxSpecTests {
    private static let directory = Repository.root.appending(path: "examples/void-box")
    private static let model = [
        "VOIDBOX_LLM_PROVIDER": "scripted", "VOIDBOX_LLM_SCRIPT": directory.appending(path: "turns.yaml").path,
    ]

    private func voidbox(_ arguments: String...) async throws -> TestProcess.Result {
        try await VoidBoxProcess.start(arguments, environment: Self.model).end()
    }

    private func file(_ name: String) -> String { Self.directory.appending(path: name).path }

    @Test func `all are valid`() async throws {
        let names = try FileManager.default.subpathsOfDirectory(atPath: Self.directory.path)
        let files = names.filter { ($0.hasSuffix(".yaml") || $0.hasSuffix(".json")) && $0 != "turns.yaml" }
        #expect(files.count >= 20)
        for name in files {
            let result = try await voidbox("validate", "--file", file(name))
            #expect(result.status == 0, "\(name): \(result.errors)")
        }
    }

    @Test(
        .needsBox,
        .takesBoxSlot,
        arguments: [
            "agent.json", "credential_proxy_claude.yaml", "hackernews/hackernews_agent.yaml", "pipeline.yaml",
            "startup_cross_check.yaml",
        ]
    )
    func `one of each shape runs in boxes`(_ name: String) async throws {
        let result = try await voidbox("run", "--file", file(name), "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try result.json["isolated"] as? Bool == true)
    }

    @Test(arguments: [
        "pipeline_personal.yaml", "smoke.yaml", "smoke_claude_personal.yaml", "smoke_test.yaml",
        "snapshot_pipeline.yaml", "snapshot_restore.yaml", "workflow.yaml",
    ])
    func `the others run in boxes that are none`(_ name: String) async throws {
        let result = try await voidbox("run", "--file", file(name), "--mode", "mock", "--output", "json")
        #expect(result.status == 0, "\(result.errors)")
        #expect(try result.json["isolated"] as? Bool == false)
    }

    @Test(arguments: ["agent", "guest-image-workflow", "pipeline", "skills", "workflow"])
    func `what needs images of registries says so`(_ name: String) async throws {
        let result = try await voidbox("run", "--file", file("oci/\(name).yaml"))
        #expect(result.status == 2)
        #expect(result.errors.contains("not built yet"), "\(result.errors)")
    }
}
