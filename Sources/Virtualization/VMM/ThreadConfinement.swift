internal import Jail
internal import LinuxSystem

/// How each thread of a worker narrows itself to what its kind does.
struct ThreadConfinement: Sendable {
    private let filters: WorkerFilters?

    /// Nil where the user waived the filters.
    init(_ filters: WorkerFilters?) {
        self.filters = filters
    }

    func enterVCPUThread() throws {
        if let filters { try Jail.installSeccomp(filters.vcpuThread) }
    }

    /// For the main thread, when it has made all others.
    func enterMainThread() throws {
        guard let filters else { return }
        try Jail.installSeccomp(filters.mainThread)
    }

    /// A loop on a new thread, which is confined when this returns.
    func deviceThread(named name: String) throws -> EventLoopThread { try thread(named: name, \.deviceThread) }

    /// The same, for a thread that names files below a shared directory.
    func shareThread(named name: String) throws -> EventLoopThread { try thread(named: name, \.shareThread) }

    /// The same, for a thread that takes connections of the host.
    func vsockThread(named name: String) throws -> EventLoopThread { try thread(named: name, \.vsockThread) }

    private func thread(
        named name: String,
        _ kind: KeyPath<WorkerFilters, SeccompFilter>,
    ) throws -> EventLoopThread {
        let thread = try EventLoopThread(name: name)
        if let filters {
            let filter = filters[keyPath: kind]
            try thread.runBlocking { _ in try Jail.installSeccomp(filter) }
        }
        return thread
    }
}
