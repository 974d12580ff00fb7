internal import LinuxSystem
internal import Synchronization

/// Writes to the kernel's log, the only place the agent logs to: a console that nobody reads blocks its writer.
///
/// Any thread; guarded by `budget`. The guest can provoke messages, so they are limited: a burst, then a few a second.
final class KernelLog: Sendable {
    /// One kernel, one log.
    static let shared = KernelLog()

    private struct Budget {
        var tokens = KernelLog.burst
        var refilled = ContinuousClock.now
        var suppressed = 0
    }

    private static let burst = 50
    private static let perSecond = 10
    private let budget = Mutex(Budget())
    private let descriptor: OwnedFD?

    private init() {
        // Off the guest, and where it may not be opened, there is no log; that is no reason to fail.
        descriptor = Machine.isFirstProcess ? try? FileSystem.openForWriting("/dev/kmsg") : nil
    }

    func info(_ message: String) { write(6, message) }
    func warning(_ message: String) { write(4, message) }

    private func write(_ level: Int, _ message: String) {
        let suppressed = budget.withLock { budget -> Int? in
            let now = ContinuousClock.now
            let seconds = Int(budget.refilled.duration(to: now) / .seconds(1))
            if seconds > 0 {
                budget.tokens = min(Self.burst, budget.tokens + min(seconds, Self.burst) * Self.perSecond)
                budget.refilled = now
            }
            guard budget.tokens > 0 else {
                budget.suppressed += 1
                return nil
            }
            budget.tokens -= 1
            defer { budget.suppressed = 0 }
            return budget.suppressed
        }
        guard let suppressed else { return }
        if suppressed > 0 { emit(4, "\(suppressed) messages were suppressed") }
        emit(level, message)
    }

    private func emit(_ level: Int, _ message: String) {
        switch descriptor {
        case .some(let descriptor):
            // One record a write, shorter than the kernel's limit; a lost message has nobody to be told to.
            _ = try? descriptor.write(ArraySlice("<\(level)>voidbox-guest: \(message.prefix(800))\n".utf8))
        case .none: break
        }
    }

    /// For the last words before the machine resets: to the log and to the console, whoever reads them.
    func fatal(_ message: String) {
        // At a level that a quiet kernel keeps to itself: the console gets the line below.
        emit(6, "fatal: \(message)")
        // A machine without a console still has the log.
        _ = try? FileSystem.openForWriting("/dev/console").writeAll("voidbox-guest: fatal: \(message)\n")
    }
}
