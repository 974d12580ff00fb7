internal import Foundation
internal import Primitives

/// The report of a run as one page: no script, and nothing that a browser would load from elsewhere.
package struct ReportPage {
    /// A page that is larger is no use to a browser. The rest is in the events.
    private static let maxLogLines = 5000

    private let run: RunListing
    private var timeline: ReportTimeline
    private var log: [RecordedEvent] = []
    private var unshownLines = 0
    package var unreadableLines = 0

    package init(_ run: RunListing) {
        self.run = run
        timeline = ReportTimeline(origin: run.record.startedMilliseconds)
    }

    /// Takes the events of the run, in order.
    package mutating func add(_ event: RecordedEvent) {
        timeline.add(event)
        if event.type == .stageQueued { return }
        if log.count < Self.maxLogLines { log.append(event) } else { unshownLines += 1 }
    }

    package var html: String {
        let title = HTML.escaped("\(run.record.name) – VoidBox run")
        return """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
            <title>\(title)</title>
            <style>
            \(Self.style)
            </style>
            </head>
            <body>
            <main>
            \(header)
            \(failure)
            \(figures)
            \(section("Timeline", timelineBody))
            \(section("Stages", stages))
            \(output)
            \(section("Log", logBody))
            </main>
            </body>
            </html>
            """
    }

    // MARK: Parts

    private var header: String {
        let record = run.record
        let started = JSONLines.timestamp(milliseconds: record.startedMilliseconds)
        let mock = run.report?.isolated == false && run.report?.backend == "mock"
        return """
            <header>
            <h1>\(HTML.escaped(record.name)) <span class="state \(run.state.rawValue)">\(run.state.rawValue)</span></h1>
            <p class="facts"><span>\(HTML.escaped(record.kind))</span><span>\(HTML.escaped(record.file))</span>\
            <span>\(HTML.escaped(started))</span><span class="id">\(record.id)</span></p>
            \(mock ? "<p class=\"alert\">This run was not isolated (mock). It proves nothing about a real one.</p>" : "")
            </header>
            """
    }

    private var failure: String {
        guard let failure = run.report?.failure else {
            return run.state == .killed
                ? "<p class=\"alert\">The process of this run was killed. What follows is what it had told until then.</p>"
                : ""
        }
        let hint = failure.hint.map { "<br><small>\(HTML.escaped($0))</small>" } ?? ""
        return "<p class=\"alert\">\(HTML.escaped(failure.message))\(hint)</p>"
    }

    private var figures: String {
        let report = run.report
        let took = run.endedMilliseconds.map { max($0 - run.record.startedMilliseconds, 0) } ?? timeline.end
        let calls = report?.stageResults.compactMap(\.toolCalls).reduce(0, +) ?? 0
        let cost = report?.totalCostUSD.map { Self.cost($0) } ?? "unknown"
        func tokens(_ count: UInt64?) -> String { count.map { Self.grouped($0) } ?? "–" }
        let cells: [(String, String)] = [
            ("Duration", Self.length(took)),
            ("Stages", "\(report?.stages ?? 0)"),
            ("Tokens in", tokens(report?.inputTokens)),
            ("Tokens out", tokens(report?.outputTokens)),
            ("Cached tokens", tokens(report?.cacheReadTokens)),
            ("Cost", cost),
            ("Tool calls", "\(calls)"),
            ("Backend", report?.backend ?? "–"),
        ]
        var list = ""
        for (name, value) in cells { list += "<div><dt>\(name)</dt><dd>\(HTML.escaped(value))</dd></div>" }
        return "<dl class=\"figures\">\(list)</dl>"
    }

    private var timelineBody: String {
        let rows = timeline.result
        guard !rows.isEmpty else { return "<p>No stage began.</p>" }
        let end = max(timeline.end, 1)
        let ticks = (0...4).map { "<span>\(Self.length(end * Int64($0) / 4))</span>" }.joined()
        var lines = ["<div class=\"scale\"><span></span><div>\(ticks)</div></div>"]
        for row in rows { lines.append(Self.line(row, end)) }
        for (stage, count) in timeline.uncountedTools.sorted(by: { $0.key < $1.key }) {
            lines.append("<p>\(count) more calls of \(HTML.escaped(stage)) are not shown.</p>")
        }
        var legend = ""
        for kind in ["boot", "stage", "tool", "failed", "cancelled"] {
            legend += "<span><i class=\"\(kind)\"></i>\(kind == "tool" ? "tool call" : kind)</span>"
        }
        return "<div class=\"timeline\">\(lines.joined(separator: "\n"))</div><p class=\"legend\">\(legend)</p>"
    }

    private static func line(_ row: ReportTimeline.Row, _ end: Int64) -> String {
        var bars = ""
        for bar in row.bars {
            let (start, stop) = (min(bar.start, end), min(bar.end ?? end, end))
            let place = "left:\(percent(start, of: end))%;width:\(percent(max(stop - start, 0), of: end))%"
            let tip = HTML.escaped("\(bar.label), \(length(stop - start)) from \(length(start))")
            let kind = bar.end == nil ? "\(bar.kind.rawValue) open" : bar.kind.rawValue
            bars += "<i class=\"\(kind)\" style=\"\(place)\" title=\"\(tip)\"></i>"
        }
        let took = row.bars.last { $0.kind != .boot }.map { length(min($0.end ?? end, end) - $0.start) } ?? ""
        let note = [row.note, took].filter { !$0.isEmpty }.joined(separator: ", ")
        let title = HTML.escaped(row.title)
        return """
            <div class="row\(row.isStage ? "" : " call")"><span class="name" title="\(title)">\(title)</span>\
            <div class="track">\(bars)</div><span class="note">\(HTML.escaped(note))</span></div>
            """
    }

    private var stages: String {
        guard let report = run.report, !report.stageResults.isEmpty else { return "<p>There is no report.</p>" }
        let head = ["Stage", "Status", "Time", "Tries", "Tools", "In", "Out", "Cost", "Exit", "Why"]
            .map { "<th>\($0)</th>" }.joined()
        let rows = report.stageResults.map { Self.tableRow($0) }
        return
            "<div class=\"scroll\"><table><thead><tr>\(head)</tr></thead><tbody>\(rows.joined())</tbody></table></div>"
    }

    private static func tableRow(_ stage: StageReport) -> String {
        let status = stage.status.rawValue
        var cells: [String] = [HTML.escaped(stage.name), "<span class=\"state \(status)\">\(status)</span>"]
        cells.append(length(Int64(clamping: stage.durationMilliseconds)))
        cells.append(stage.attempts.map { String($0) } ?? "")
        cells.append(stage.toolCalls.map { String($0) } ?? "")
        cells.append(stage.inputTokens.map { grouped($0) } ?? "")
        cells.append(stage.outputTokens.map { grouped($0) } ?? "")
        cells.append(stage.costUSD.map { cost($0) } ?? "")
        cells.append(stage.signal.map { "signal \($0)" } ?? stage.exitCode.map { String($0) } ?? "")
        cells.append(HTML.escaped(stage.error ?? ""))
        return "<tr><td>\(cells.joined(separator: "</td><td>"))</td></tr>"
    }

    private var output: String {
        var parts = ""
        if let report = run.report, !report.output.isEmpty {
            parts += section("Output", "<pre>\(HTML.escaped(Self.beginning(of: report.output)))</pre>")
        }
        let named = run.report?.stageResults.filter { $0.output?.isEmpty == false } ?? []
        if named.count > 1 {
            let list = named.map { stage in
                "<details><summary>\(HTML.escaped(stage.name))</summary>"
                    + "<pre>\(HTML.escaped(Self.beginning(of: stage.output ?? "")))</pre></details>"
            }
            parts += section("Outputs of the boxes", list.joined())
        }
        if let artifacts = run.report?.artifacts, !artifacts.isEmpty {
            let list = artifacts.map { artifact in
                let facts = "\(artifact.mediaType), \(Self.grouped(artifact.sizeBytes)) bytes, \(artifact.path)"
                return "<li>\(HTML.escaped(artifact.name)) <small>\(HTML.escaped(facts))</small></li>"
            }
            parts += section("Artifacts", "<ul>\(list.joined())</ul>")
        }
        return parts
    }

    private var logBody: String {
        let origin = run.record.startedMilliseconds
        let lines = log.map { event in
            let time = Self.length(max(event.timestampMilliseconds - origin, 0))
            let cells = [
                time, HTML.escaped(event.stageName ?? event.boxName ?? ""),
                HTML.escaped(event.stream ?? event.type.rawValue), HTML.escaped(event.message),
            ]
            return "<tr class=\"\(event.level.rawValue)\"><td>\(cells.joined(separator: "</td><td>"))</td></tr>"
        }
        var notes = ""
        if unshownLines > 0 { notes += "<p>\(unshownLines) later events are not shown; voidbox events has them.</p>" }
        if unreadableLines > 0 { notes += "<p>\(unreadableLines) lines of the record cannot be read.</p>" }
        return "<div class=\"scroll log\"><table><tbody>\(lines.joined(separator: "\n"))</tbody></table></div>\(notes)"
    }

    private func section(_ title: String, _ body: String) -> String {
        "<section><h2>\(title)</h2>\(body)</section>"
    }

    // MARK: Figures

    private static func percent(_ part: Int64, of whole: Int64) -> String {
        String(format: "%.3f", Double(part) * 100 / Double(whole))
    }

    private static func length(_ milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1000: "\(milliseconds) ms"
        case ..<60_000: String(format: "%.1f s", Double(milliseconds) / 1000)
        default: "\(milliseconds / 60_000) min \(milliseconds / 1000 % 60) s"
        }
    }

    private static func cost(_ dollars: Double) -> String { String(format: "$%.4f", dollars) }

    private static func grouped(_ number: UInt64) -> String {
        var digits = Array(String(number))
        for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert("\u{202F}", at: index) }
        return String(digits)
    }

    private static func beginning(of text: String) -> String {
        let limit = 1 << 20
        guard text.utf8.count > limit else { return text }
        return "\(String(decoding: text.utf8.prefix(limit), as: UTF8.self))\n… (\(text.utf8.count) bytes)"
    }
}
