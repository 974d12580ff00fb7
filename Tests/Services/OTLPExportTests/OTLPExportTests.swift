internal import Foundation
internal import HTTPSupport
internal import HTTPTypes
internal import Hummingbird
internal import JSONCoding
internal import Logging
internal import Primitives
internal import Synchronization
internal import Testing

@testable internal import OTLPExport
@testable internal import Telemetry

@Suite("OTLP export", .timeLimit(.minutes(2))) struct OTLPExportTests {
    private func settings(
        endpoint: String? = nil,
        signals: Set<OTLPSettings.Signal>? = nil,
        _ environment: [String: String] = [:],
    ) throws -> OTLPSettings? {
        try OTLPSettings(
            endpoint: endpoint,
            signals: signals,
            serviceName: "svc",
            queueLimit: nil,
            environment: environment,
        )
    }

    private func span(_ name: String) -> SpanRecord {
        SpanRecord(
            context: .root(),
            parentSpanID: nil,
            name: name,
            startNanoseconds: 1,
            endNanoseconds: 2,
            attributes: ["n": .integer(1)],
            status: .failed("no"),
            isClient: true,
        )
    }

    private func exporter(_ settings: OTLPSettings, interval: Duration = .seconds(1)) -> OTLPExporter {
        OTLPExporter(settings, version: "1", logger: .silent, interval: interval, now: { 5 })
    }

    private func document(_ seen: EndpointStandIn.Seen) throws -> JSONValue { try JSONValue(decoding: seen.body) }

    // MARK: Settings

    @Test func `variables of the host win over the specification`() throws {
        #expect(try settings() == nil)
        let own = try #require(try settings(endpoint: "http://spec:4318/", signals: [.traces]))
        #expect(own.endpoints == [.traces: "http://spec:4318/v1/traces"])
        let environment = [
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel:4318", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs/x",
            "OTEL_METRICS_EXPORTER": "none", "OTEL_SERVICE_NAME": "name",
            "OTEL_RESOURCE_ATTRIBUTES": "team=a%20b,service.name=other", "OTEL_EXPORTER_OTLP_HEADERS": "a=b, c=d%3D",
        ]
        let all = try #require(try settings(endpoint: "http://spec:4318", environment))
        #expect(all.endpoints == [.traces: "http://otel:4318/v1/traces", .logs: "http://logs/x"])
        #expect(all.resource == ["service.name": .text("name"), "team": .text("a b")])
        #expect(all.headers.map(\.name) == ["a", "c"] && all.headers.map(\.value) == ["b", "d="])
        let ours = environment.merging(["VOIDBOX_OTLP_ENDPOINT": "http://ours", "VOIDBOX_OTLP_HEADERS": "x=y"]) { $1 }
        let won = try #require(try settings(ours))
        #expect(won.endpoints[.traces] == "http://ours/v1/traces" && won.headers.map(\.name) == ["x"])
    }

    @Test func `nothing is exported where that is said`() throws {
        #expect(try settings(endpoint: "http://x", ["OTEL_SDK_DISABLED": "true"]) == nil)
        #expect(try settings(endpoint: "http://x", signals: []) == nil)
    }

    @Test(arguments: [
        ["VOIDBOX_OTLP_ENDPOINT": "collector:4317"],
        ["VOIDBOX_OTLP_ENDPOINT": "http://x", "VOIDBOX_OTLP_HEADERS": "novalue"],
        ["VOIDBOX_OTLP_ENDPOINT": "http://x", "VOIDBOX_OTLP_HEADERS": "a=%zz"],
        ["VOIDBOX_OTLP_ENDPOINT": "http://x", "VOIDBOX_OTLP_HEADERS": "a=%0d%0ab"],
    ])
    func `variables that make no sense are named`(_ environment: [String: String]) {
        let error = #expect(throws: OTLPSettings.Problem.self) { try settings(environment) }
        #expect(error?.description.contains("OTLP") == true)
    }

    // MARK: Sending

    @Test func `spans, logs and metrics arrive with the headers of the settings`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in .json(200, "{}") }) { url in
            let settings = try #require(try settings(endpoint: url, ["VOIDBOX_OTLP_HEADERS": "x-token=t"]))
            let exporter = exporter(settings)
            let span = span("a")
            exporter.take(span)
            exporter.take(
                LogRecord(
                    nanoseconds: 3,
                    severity: .warning,
                    body: "line\n\"x\"",
                    attributes: [:],
                    context: span.context
                )
            )
            exporter.take(2, of: .runDuration, ["k": .texts(["a", "b"])])
            exporter.take(0.5, of: .guestCPU, [:])
            exporter.take(3, of: .toolCalls, [:])
            await exporter.shutdown(within: .seconds(20))
            #expect(exporter.dropped == 0)
        }
        #expect(Set(endpoint.seen.map(\.target)) == ["/v1/traces", "/v1/logs", "/v1/metrics"])
        #expect(endpoint.seen.allSatisfy { $0.headers[.contentType] == "application/json" })
        let token = try #require(HTTPField.Name("x-token"))
        #expect(endpoint.seen.allSatisfy { $0.headers[token] == "t" })
        let traces = try document(try #require(endpoint.seen.first { $0.target == "/v1/traces" }))
        let scope = traces["resourceSpans"]?.arrayValue?.first?["scopeSpans"]?.arrayValue?.first
        let sent = scope?["spans"]?.arrayValue?.first
        #expect(sent?["name"] == "a" && sent?["kind"] == 3 && sent?["startTimeUnixNano"] == "1")
        #expect(sent?["status"] == ["code": 2, "message": "no"])
        #expect(sent?["attributes"] == [["key": "n", "value": ["intValue": "1"]]])
        let metrics = try document(try #require(endpoint.seen.last { $0.target == "/v1/metrics" }))
        let list = metrics["resourceMetrics"]?.arrayValue?.first?["scopeMetrics"]?.arrayValue?.first?["metrics"]?
            .arrayValue
        #expect(
            list?.compactMap { $0["name"]?.stringValue } == [
                "voidbox.guest.cpu.utilization", "voidbox.run.duration", "voidbox.tool.calls",
            ]
        )
    }

    @Test func `a collector that is busy is asked again, one that refuses is not`() async throws {
        for (status, attempts) in [(503, 2), (400, 1)] {
            let endpoint = EndpointStandIn()
            let answers = Mutex(0)
            try await endpoint.run(answer: { _ in
                let number = answers.withLock { count in
                    count += 1
                    return count
                }
                return .json(number == 1 ? status : 200, "{}")
            }) { url in
                let exporter = exporter(try #require(try settings(endpoint: url, signals: [.traces])))
                exporter.take(span("a"))
                await exporter.shutdown(within: .seconds(20))
                #expect(exporter.dropped == (status == 400 ? 1 : 0))
            }
            #expect(endpoint.seen.count == attempts)
        }
    }

    @Test func `without a collector nothing waits, and what is lost is counted`() async throws {
        var settings = try #require(try settings(endpoint: "http://127.0.0.1:1", signals: [.traces]))
        settings.queueLimit = 100
        // Nothing leaves the queue while it is filled.
        let exporter = exporter(settings, interval: .seconds(3600))
        for index in 0..<1000 { exporter.take(span("\(index)")) }
        #expect(exporter.dropped == 900)
        let start = ContinuousClock.now
        await exporter.shutdown(within: .seconds(3))
        #expect(ContinuousClock.now - start < .seconds(120))
        #expect(exporter.dropped == 1000)
    }

    @Test func `a collector that never answers does not hold up the end`() async throws {
        let endpoint = EndpointStandIn()
        try await endpoint.run(answer: { _ in
            try await Task.sleep(for: .seconds(600))
            return .json(200, "{}")
        }) { url in
            let exporter = exporter(try #require(try settings(endpoint: url, signals: [.traces])))
            exporter.take(span("a"))
            let start = ContinuousClock.now
            await exporter.shutdown(within: .milliseconds(300))
            #expect(ContinuousClock.now - start < .seconds(120))
            #expect(exporter.dropped == 1)
        }
    }

    @Test func `a file gets a line for each batch`() async throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "otlp-\(UUID()).jsonl")
        defer { try? FileManager.default.removeItem(at: file) }
        let exporter = exporter(try #require(try settings(["VOIDBOX_OTLP_FILE": file.path])))
        exporter.take(span("a"))
        exporter.take(1, of: .cost, [:])
        await exporter.shutdown(within: .seconds(20))
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        let documents = try lines.map { try JSONValue(decoding: Array($0.utf8)) }
        #expect(
            documents.contains { $0["resourceSpans"] != nil } && documents.contains { $0["resourceMetrics"] != nil }
        )
        let mode = try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }
}
