package import Telemetry

/// Where telemetry goes: what a specification's `observe` says, and variables of the host, which win.
package struct OTLPSettings: Hashable, Sendable {
    package enum Signal: String, Hashable, Sendable, CaseIterable {
        case traces, metrics, logs
    }

    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// Addresses, by signal.
    package var endpoints: [Signal: String] = [:]
    package var headers: [(name: String, value: String)] = []
    /// A file that gets the same as the addresses, a line for each batch.
    package var file: String?
    /// Of the file; of the addresses, those that there are.
    package var signals: Set<Signal> = Set(Signal.allCases)
    package var resource: Attributes
    /// Records that wait to be exported; later ones are dropped and counted.
    package var queueLimit = 4096
    /// The span of somebody else's that the run is a part of.
    package var remote: TraceContext?

    package static func == (a: OTLPSettings, b: OTLPSettings) -> Bool {
        a.endpoints == b.endpoints && a.file == b.file && a.signals == b.signals && a.resource == b.resource
            && a.headers.map(\.name) == b.headers.map(\.name) && a.headers.map(\.value) == b.headers.map(\.value)
            && a.queueLimit == b.queueLimit && a.remote == b.remote
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(endpoints)
        hasher.combine(file)
    }

    /// Nil where nothing is to be exported.
    ///
    /// - Parameters:
    ///   - endpoint: `observe.otlp_endpoint`.
    ///   - signals: What `observe` asks for; nil for a specification without it.
    ///   - environment: The host's variables: `VOIDBOX_OTLP_*`, then OpenTelemetry's own `OTEL_*`.
    package init?(
        endpoint: String?,
        signals: Set<Signal>?,
        serviceName: String?,
        queueLimit: Int?,
        environment: [String: String],
    ) throws(Problem) {
        func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
        if value("OTEL_SDK_DISABLED")?.lowercased() == "true" { return nil }
        if let signals { self.signals = signals }
        let base = value("VOIDBOX_OTLP_ENDPOINT") ?? value("OTEL_EXPORTER_OTLP_ENDPOINT") ?? endpoint
        for signal in self.signals {
            let word = signal.rawValue.uppercased()
            if value("OTEL_\(word)_EXPORTER")?.lowercased() == "none" {
                self.signals.remove(signal)
                continue
            }
            if let own = value("OTEL_EXPORTER_OTLP_\(word)_ENDPOINT") {
                endpoints[signal] = own
            } else if var base {
                while base.hasSuffix("/") { base.removeLast() }
                endpoints[signal] = "\(base)/v1/\(signal.rawValue)"
            }
        }
        for (signal, url) in endpoints where !url.hasPrefix("http://") && !url.hasPrefix("https://") {
            throw Problem(
                description: "the OTLP endpoint \(url) for \(signal.rawValue) must begin with http:// or https://"
            )
        }
        file = value("VOIDBOX_OTLP_FILE")
        guard !self.signals.isEmpty, !endpoints.isEmpty || file != nil else { return nil }
        resource = [
            "service.name": .text(value("OTEL_SERVICE_NAME") ?? serviceName ?? "voidbox")
        ]
        for (name, text) in try Self.pairs(value("OTEL_RESOURCE_ATTRIBUTES"), "OTEL_RESOURCE_ATTRIBUTES")
        where resource[name] == nil || value("OTEL_SERVICE_NAME") == nil {
            resource[name] = .text(text)
        }
        let name = value("VOIDBOX_OTLP_HEADERS") == nil ? "OTEL_EXPORTER_OTLP_HEADERS" : "VOIDBOX_OTLP_HEADERS"
        headers = try Self.pairs(value(name), name)
        if let queueLimit { self.queueLimit = queueLimit }
        remote = value("TRACEPARENT").flatMap { TraceContext(traceparent: $0) }
    }

    /// `a=b,c=d`, with values that may be percent-encoded.
    private static func pairs(_ text: String?, _ variable: String) throws(Problem) -> [(name: String, value: String)] {
        var pairs: [(name: String, value: String)] = []
        for part in (text ?? "").split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = sides[0].filter { !$0.isWhitespace }
            guard sides.count == 2, !name.isEmpty, let value = decoded(sides[1]),
                value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
            else { throw Problem(description: "\(variable) must be of the form name=value,name=value") }
            pairs.append((name, value))
        }
        return pairs
    }

    /// Without spaces at its ends; nil for a percent sign that begins nothing.
    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        while bytes.first == 0x20 { bytes.removeFirst() }
        while bytes.last == 0x20 { bytes.removeLast() }
        return String(validating: bytes, as: UTF8.self)
    }
}
