internal import Foundation
internal import LinuxSystem
internal import Logging
internal import OTLPExport
internal import Runs
internal import Sandboxing
internal import Spec
internal import Telemetry

extension HostFacts {
    /// Nanoseconds since 1970.
    static var now: UInt64 { UInt64(clamping: unixNanoseconds) }
}

extension Spec {
    struct Exporter: Sendable {
        let sink: OTLPExporter
        let remote: TraceContext?
    }

    /// What the telemetry of this specification's run goes to; nil where nobody asks for it.
    func exporter(environment: [String: String], logger: Logger, _ output: OutputFormat) throws -> Exporter? {
        let signals = observe.map { observe in
            let asked: [(OTLPSettings.Signal, Bool)] = [
                (.traces, observe.traces), (.metrics, observe.metrics), (.logs, observe.logs),
            ]
            return Set(asked.filter(\.1).map(\.0))
        }
        let settings: OTLPSettings?
        do throws(OTLPSettings.Problem) {
            settings = try OTLPSettings(
                endpoint: observe?.otlpEndpoint,
                signals: signals,
                serviceName: observe?.serviceName,
                queueLimit: observe?.telemetryBufferSize,
                environment: environment,
            )
        } catch {
            throw Console.report(RunFailure(.usage, "\(error)"), as: output)
        }
        return settings.map { settings in
            var settings = settings
            // Sums start afresh with each run: without this, those of two runs would be one broken series.
            let instance = settings.resource["service.instance.id"] ?? .text(UUID().uuidString.lowercased())
            settings.resource["service.instance.id"] = instance
            let sink = OTLPExporter(settings, version: VoidBoxVersion.current, logger: logger, now: { HostFacts.now })
            return Exporter(sink: sink, remote: settings.remote)
        }
    }
}
