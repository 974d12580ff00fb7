package import LinuxSystem
internal import Synchronization
package import WorkerProtocol

/// The worker's last words. Whoever calls first ends the process. Any thread.
package final class Ending: Sendable {
    private let reports: OwnedFD
    private let state = Mutex<State>(State())

    private struct State {
        var hasEnded = false
        var onEnd: @Sendable () -> Void = {}
        var warnings = 0
    }

    /// More warnings than that are of no use to anybody.
    private static let maxWarnings = 100

    package init(reports: consuming OwnedFD) {
        self.reports = reports
    }

    /// Called before the process ends.
    func onEnd(_ body: @escaping @Sendable () -> Void) {
        state.withLock { $0.onEnd = body }
    }

    package func report(_ report: WorkerReport) {
        // A parent that is gone needs no report.
        try? reports.writeAll(report.encoded)
    }

    func warn(_ text: String) {
        let isHeard = state.withLock { state in
            state.warnings += 1
            return state.warnings <= Self.maxWarnings
        }
        if isHeard { report(.warning(text)) }
    }

    package func end(_ end: WorkerEnd) {
        let body = state.withLock { state -> (@Sendable () -> Void)? in
            if state.hasEnded { return nil }
            state.hasEnded = true
            return state.onEnd
        }
        guard let body else { return }
        body()
        report(.ended(end))
        CurrentProcess.end(status: end == .guestReset ? 0 : 1)
    }

    /// Blocks until the parent's end of the reports closes.
    package func waitForParent() {
        // An error means the same as the end: there is nobody to report to.
        _ = try? reports.read(upTo: 1)
    }
}
