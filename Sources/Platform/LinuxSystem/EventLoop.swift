internal import CLinux
internal import Glibc
internal import Synchronization

/// An epoll loop: descriptors, timers and a mailbox, each answered on one thread.
///
/// Confined to the thread that calls `run()`; only its `mailbox` may be used from elsewhere. Level-triggered, so a handler
/// may take part of what is there and is called again.
package final class EventLoop {
    package struct Interest: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let readable = Interest(rawValue: 0x001)
        package static let writable = Interest(rawValue: 0x004)
    }

    /// What epoll reported. `hangUp` and `error` come unasked.
    package struct Readiness: OptionSet, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        package static let readable = Readiness(rawValue: 0x001)
        package static let writable = Readiness(rawValue: 0x004)
        package static let error = Readiness(rawValue: 0x008)
        package static let hangUp = Readiness(rawValue: 0x010)
    }

    package struct Watch: Hashable, Sendable {
        fileprivate let token: UInt64
    }

    package struct Timer: Hashable, Sendable {
        fileprivate let token: UInt64
    }

    /// Hands work to the loop's thread. Any thread; guarded by `jobs`.
    package final class Mailbox: Sendable {
        private let jobs = Mutex<[@Sendable () -> Void]>([])
        private let bell: OwnedFD

        fileprivate init() throws(SyscallError) {
            bell = OwnedFD(adopting: try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
        }

        fileprivate var descriptor: Int32 { bell.rawValue }

        /// Runs `job` on the loop's thread, after the jobs posted before it. A job posted after `stop()` never runs.
        package func post(_ job: @escaping @Sendable () -> Void) {
            let first = jobs.withLock { jobs in
                jobs.append(job)
                return jobs.count == 1
            }
            // Fails only when the counter is full: then the bell rings already.
            if first { _ = eventfd_write(bell.rawValue, 1) }
        }

        /// Blocks until there is a job, or the time is over; whether there is one.
        fileprivate func wait(for duration: Duration) throws(SyscallError) -> Bool {
            try bell.waitUntilReadable(for: duration)
        }

        fileprivate func take() -> [@Sendable () -> Void] {
            var value: eventfd_t = 0
            // SAFETY: eventfd_read stores one 8-byte value.
            _ = unsafe eventfd_read(bell.rawValue, &value)
            return jobs.withLock { jobs in
                let taken = jobs
                jobs = []
                return taken
            }
        }
    }

    private struct Watched {
        let descriptor: Int32
        let handler: (Readiness) -> Void
    }

    private struct Alarm {
        let due: ContinuousClock.Instant
        let body: () -> Void
    }

    package let mailbox: Mailbox
    private let epoll: OwnedFD
    private var watched: [UInt64: Watched] = [:]
    private var alarms: [UInt64: Alarm] = [:]
    private var nextToken: UInt64 = 1
    private var running = false
    /// While true only the mailbox is served: no handler is called and no timer rings.
    package private(set) var isSuspended = false

    /// Also makes this process ignore `SIGPIPE`.
    package init() throws(SyscallError) {
        CurrentProcess.ignoreBrokenPipes()
        epoll = OwnedFD(adopting: try retrying("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
        mailbox = try Mailbox()
        try control(EPOLL_CTL_ADD, mailbox.descriptor, token: 0, .readable)
    }

    /// Calls `handler` while `descriptor` is ready. The caller keeps the descriptor open until `remove(_:)`.
    package func watch(
        _ descriptor: borrowing OwnedFD,
        for interest: Interest,
        _ handler: @escaping (Readiness) -> Void,
    ) throws(SyscallError) -> Watch {
        let token = makeToken()
        try control(EPOLL_CTL_ADD, descriptor.rawValue, token: token, interest)
        watched[token] = Watched(descriptor: descriptor.rawValue, handler: handler)
        return Watch(token: token)
    }

    /// Calls `body` while `descriptor` has something to read, or its end, until it returns false. The caller keeps the
    /// descriptor open until then.
    package func whileReadable(_ descriptor: borrowing OwnedFD, _ body: @escaping () -> Bool) throws(SyscallError) {
        var watch: Watch?
        watch = try self.watch(descriptor, for: .readable) { [unowned self] _ in
            if !body(), let watch { remove(watch) }
        }
    }

    package func change(_ watch: Watch, to interest: Interest) {
        guard let entry = watched[watch.token] else { return }
        do throws(SyscallError) {
            try control(EPOLL_CTL_MOD, entry.descriptor, token: watch.token, interest)
        } catch {
            preconditionFailure("the descriptor of a watch was closed before the watch was removed: \(error)")
        }
    }

    /// Ends a watch; its handler is not called again, not even for events that were reported together with this one.
    package func remove(_ watch: Watch) {
        guard let entry = watched.removeValue(forKey: watch.token) else { return }
        _ = epoll_ctl(epoll.rawValue, EPOLL_CTL_DEL, entry.descriptor, nil)
    }

    package func schedule(after delay: Duration, _ body: @escaping () -> Void) -> Timer {
        let token = makeToken()
        alarms[token] = Alarm(due: .now + delay, body: body)
        return Timer(token: token)
    }

    package func cancel(_ timer: Timer) {
        alarms[timer.token] = nil
    }

    /// Serves until `stop()`.
    package func run() throws(SyscallError) {
        running = true
        while running { try turn() }
    }

    /// Ends `run()` after the current turn. On the loop's thread.
    package func stop() {
        running = false
    }

    /// Serves nothing but the mailbox from now on, so that all else stays as it is. What happens meanwhile is found when the
    /// loop resumes. On the loop's thread.
    package func suspend() {
        isSuspended = true
    }

    package func resume() {
        isSuspended = false
    }

    // MARK: One turn

    private static let eventsPerTurn = 64

    private func turn() throws(SyscallError) {
        if isSuspended {
            if try mailbox.wait(for: .seconds(86_400)) { serveMailbox() }
            return
        }
        var events = unsafe [epoll_event](repeating: epoll_event(), count: Self.eventsPerTurn)
        let timeout = timeUntilNextAlarm()
        let count = try retrying("epoll_wait") {
            // SAFETY: the kernel fills at most `eventsPerTurn` entries of an array of that size.
            unsafe epoll_wait(epoll.rawValue, &events, Int32(Self.eventsPerTurn), timeout)
        }
        // A job may suspend the loop: what else was reported is reported again when it resumes.
        for index in 0..<Int(count) where !isSuspended {
            // SAFETY: the kernel filled `count` entries, and this loop only ever stores u64 in their unions.
            let (token, readiness) = unsafe (events[index].data.u64, Readiness(rawValue: events[index].events))
            if token == 0 {
                serveMailbox()
            } else {
                watched[token]?.handler(readiness)
            }
        }
        if !isSuspended { ringAlarms() }
    }

    private func serveMailbox() {
        for job in mailbox.take() { job() }
    }

    private func timeUntilNextAlarm() -> Int32 {
        guard let due = alarms.values.map(\.due).min() else { return -1 }
        let wait = ContinuousClock.now.duration(to: due)
        guard wait > .zero else { return 0 }
        let (seconds, attoseconds) = wait.components
        let milliseconds = seconds.multipliedReportingOverflow(by: 1000)
        if milliseconds.overflow || milliseconds.partialValue > 86_400_000 { return 86_400_000 }
        return Int32(milliseconds.partialValue) + Int32(attoseconds / 1_000_000_000_000_000) + 1
    }

    private func ringAlarms() {
        if alarms.isEmpty { return }
        let now = ContinuousClock.now
        guard alarms.values.contains(where: { $0.due <= now }) else { return }
        for (token, alarm) in alarms.filter({ $0.value.due <= now }).sorted(by: { $0.value.due < $1.value.due }) {
            guard alarms.removeValue(forKey: token) != nil else { continue }
            alarm.body()
        }
    }

    private func makeToken() -> UInt64 {
        defer { nextToken += 1 }
        return nextToken
    }

    private func control(
        _ operation: Int32,
        _ descriptor: Int32,
        token: UInt64,
        _ interest: Interest,
    ) throws(SyscallError) {
        var event = unsafe epoll_event()
        unsafe event.events = interest.rawValue
        unsafe event.data.u64 = token  // SAFETY: the only member of the union that is ever read back.
        // SAFETY: the kernel copies the event before the call returns.
        try retrying("epoll_ctl") { unsafe epoll_ctl(epoll.rawValue, operation, descriptor, &event) }
    }
}
