internal import Jail
internal import KVM
internal import LinuxSystem
internal import WorkerProtocol

/// The process of one virtual machine: makes it from its descriptors, jails itself, runs it, and ends with it.
package enum Worker {
    package static func run() -> Never {
        let ending = Ending(reports: OwnedFD(adopting: WorkerDescriptor.reports))
        do {
            let configuration = try readConfiguration()
            let shares = try SharedDirectories(configuration)
            let machine = try GuestMachine(configuration, shares: shares, ending: ending)
            let confinement = try enterJail(configuration, shares, ending)
            try machine.start(confinement)
            try confinement.enterMainThread()
            ending.report(.started)
        } catch {
            ending.end(.setUpFailed("\(error)"))
        }
        ending.waitForParent()
        CurrentProcess.end(status: 1)
    }

    private static func readConfiguration() throws -> WorkerConfiguration {
        let file = OwnedFD(adopting: WorkerDescriptor.configuration)
        let size = min(Int(try file.fileSize()), WorkerConfiguration.maxSize + 1)
        return try WorkerConfiguration(decoding: try file.read(at: 0, count: size))
    }

    /// From here on nothing with a name can be opened. The kernel has the machine, and the files are open.
    private static func enterJail(
        _ configuration: WorkerConfiguration,
        _ shares: SharedDirectories,
        _ ending: Ending,
    ) throws -> ThreadConfinement {
        var filters = WorkerFilters()
        filters.vcpuRequests = [KVMRequest.run]
        filters.deviceRequests = [KVMRequest.interrupt]
        filters.startingRequests = KVMRequest.connections
        filters.servesShares = !shares.isEmpty
        filters.servesVsock = configuration.vsock != nil
        var plan = JailPlan(seccomp: filters.starting)
        plan.shares = shares.jailShares
        plan.identity = try shares.identity()
        if !shares.isEmpty { plan.limits.openFiles = SharedDirectories.openFiles }
        plan.waived = Set(configuration.waivedJailLayers.compactMap(JailLayer.init(rawValue:)))
        let report = try Jail.apply(plan)
        if !report.isComplete { ending.report(.warning("the machine's jail is not complete: \(report.shortfalls)")) }
        return ThreadConfinement(plan.waived.contains(.seccomp) ? nil : filters)
    }
}
