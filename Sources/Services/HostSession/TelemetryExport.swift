internal import Foundation
internal import LinuxSystem
internal import Logging
internal import OTLPExport
internal import Runs
internal import Spec
internal import Telemetry

extension HostFacts {
    /// Nanoseconds since 1970.
    static var now: UInt64 { UInt64(clamping: unixNanoseconds) }
}

/// Where the telemetry of a specification's run goes to.
struct TelemetryExport: Sendable {
    let sink: OTLPExporter
    let remote: TraceContext?

    /// Nil where nobody asks for it.
    init?(of spec: Spec, environment: [String: String], logger: Logger) throws(RunFailure) {
        let signals = spec.observe.map { observe in
            let asked: [(OTLPSettings.Signal, Bool)] = [
                (.traces, observe.traces), (.metrics, observe.metrics), (.logs, observe.logs),
            ]
            return Set(asked.filter(\.1).map(\.0))
        }
        let settings: OTLPSettings?
        do throws(OTLPSettings.Problem) {
            settings = try OTLPSettings(
                endpoint: spec.observe?.otlpEndpoint,
                signals: signals,
                serviceName: spec.observe?.serviceName,
                queueLimit: spec.observe?.telemetryBufferSize,
                environment: environment,
            )
        } catch {
            throw RunFailure(.usage, "\(error)")
        }
        guard var settings else { return nil }
        // Sums start afresh with each run: without this, those of two runs would be one broken series.
        let instance = settings.resource["service.instance.id"] ?? .text(UUID().uuidString.lowercased())
        settings.resource["service.instance.id"] = instance
        sink = OTLPExporter(settings, version: VoidBoxVersion.current, logger: logger, now: { HostFacts.now })
        remote = settings.remote
    }
}
