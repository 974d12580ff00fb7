import Foundation
import Telemetry
import Testing

@Suite("Dashboards of the playground") struct PlaygroundTests {
    /// As Prometheus names what arrives by OTLP: the unit is a part of the name, and so is that a sum only grows.
    private static func series(of metric: Metric) -> [String] {
        let units = ["s": "_seconds", "By": "_bytes", "USD": "_USD", "1": "_ratio"]
        let name = metric.name.replacing(".", with: "_") + (units[metric.unit] ?? "")
        return switch metric.kind {
        case .sum: [name + "_total"]
        case .gauge: [name]
        case .histogram: [name + "_bucket", name + "_sum", name + "_count"]
        }
    }

    private static let labels = [
        Convention.box, Convention.requestModel, Convention.tokenType, Convention.tool, "voidbox.outcome",
        "voidbox.is_error",
    ].map { $0.replacing(".", with: "_") }

    @Test func `show all metrics, and nothing that is not sent`() throws {
        let directory = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../playground/dashboards").standardizedFileURL
        var shown: Set<String> = []
        for file in try FileManager.default.contentsOfDirectory(at: directory, includingPropertiesForKeys: nil) {
            let text = try String(contentsOf: file, encoding: .utf8)
            let dashboard = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
            let panels = try #require(dashboard["panels"] as? [[String: Any]])
            let targets = panels.flatMap { $0["targets"] as? [[String: Any]] ?? [] }
            for query in targets.compactMap({ $0["expr"] as? String }) {
                shown.formUnion(query.matches(of: /(voidbox|gen_ai)_\w+/).map { String($0.output.0) })
            }
        }
        let sent = Set(Metric.all.flatMap(Self.series))
        #expect(shown.subtracting(sent).subtracting(Self.labels).isEmpty)
        for metric in Metric.all {
            #expect(!shown.isDisjoint(with: Self.series(of: metric)), "\(metric.name) is shown")
        }
    }
}
