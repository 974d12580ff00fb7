internal import GuestAPI
internal import LinuxSystem
internal import SwiftProtobuf

/// Makes a running system out of a bare kernel. Runs once, before the first call is served, on the only thread.
///
/// Nothing here waits without a bound, and nothing is done before the control channel opens that could be left out.
package struct Boot {
    /// The machine cannot become what the host asked for.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    private static let parametersPath = "/voidbox/boot"
    private static let controlGroup = "/sys/fs/cgroup/execs"

    private var warnings: [String] = []

    /// - Returns: What the agent is to serve under.
    package static func run() throws(Failure) -> GuestAgentSettings {
        var boot = Boot()
        return try boot.run()
    }

    private mutating func run() throws(Failure) -> GuestAgentSettings {
        try require("mount /dev") { () throws(SyscallError) in
            try FileSystem.makeDirectories("/sys")
            try FileSystem.makeDirectories("/dev")
            try Mount.mount("sysfs", on: "/sys", type: "sysfs", flags: [.noSetUserID, .noDevices, .noExecution])
            // The kernel has mounted it already where it was built to.
            if !FileSystem.exists("/dev/kmsg") {
                try Mount.mount("devtmpfs", on: "/dev", type: "devtmpfs", flags: .noSetUserID, options: "mode=0755")
            }
            try FileSystem.openStandardDescriptors()
        }
        attempt("protect the agent from the OOM killer") { () throws(SyscallError) in
            try FileSystem.write("-1000", to: "/proc/self/oom_score_adj")
            try Machine.raiseOpenFileLimit()
        }
        let parameters = try readParameters()
        let plan: BootPlan
        do throws(BootPlan.Violation) {
            plan = try BootPlan(parameters)
        } catch {
            throw Failure(description: "the boot parameters are not valid: \(error)")
        }
        if plan.clock > 0 {
            attempt("set the clock") { () throws(SyscallError) in try Machine.setClock(unixNanoseconds: plan.clock) }
        }
        if let root = plan.root { try RootSwitch(root, scratchBytes: plan.scratchBytes).perform() }
        mountKernelFileSystems()
        makeDeviceLinks()
        setKernelParameters()
        try makeControlGroup(plan)
        for disk in plan.disks { try mount(disk) }
        for share in plan.shares { try mount(share) }
        configure(plan)
        return settings(parameters)
    }

    private func readParameters() throws(Failure) -> Voidbox_Guest_V1_BootParameters {
        do {
            let bytes = try FileSystem.read(Self.parametersPath)
            try FileSystem.remove(Self.parametersPath)
            return try Voidbox_Guest_V1_BootParameters(serializedBytes: bytes)
        } catch {
            throw Failure(description: "cannot read the boot parameters from the initramfs: \(error)")
        }
    }

    private func settings(_ parameters: Voidbox_Guest_V1_BootParameters) -> GuestAgentSettings {
        var settings = GuestAgentSettings(parameters)
        settings.controlGroup = Self.controlGroup
        settings.warnings = warnings
        return settings
    }

    // MARK: Steps

    private mutating func mountKernelFileSystems() {
        let closed: Mount.Flags = [.noSetUserID, .noDevices]
        let mounts: [(type: String, target: String, flags: Mount.Flags, options: String)] = [
            ("devpts", "/dev/pts", [.noSetUserID, .noExecution], "newinstance,ptmxmode=0666,mode=0620,gid=5"),
            ("tmpfs", "/dev/shm", closed, "mode=1777"),
            ("tmpfs", "/run", closed, "mode=0755"),
            ("cgroup2", "/sys/fs/cgroup", [.noSetUserID, .noDevices, .noExecution], "nsdelegate,memory_recursiveprot"),
        ]
        for mount in mounts {
            attempt("mount \(mount.target)") { () throws(SyscallError) in
                // The directory of cgroup2 is the kernel's own and exists.
                if mount.type != "cgroup2" { try FileSystem.makeDirectories(mount.target) }
                try Mount.mount(
                    mount.type,
                    on: mount.target,
                    type: mount.type,
                    flags: mount.flags,
                    options: mount.options,
                )
            }
        }
    }

    /// Names that shells and their scripts take for granted.
    private mutating func makeDeviceLinks() {
        let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
        for (name, target) in links {
            attempt("make /dev/\(name)") { () throws(SyscallError) in
                try FileSystem.makeLink("/dev/\(name)", to: target)
            }
        }
    }

    /// Without these controllers the policy of the box would not hold.
    private func makeControlGroup(_ plan: BootPlan) throws(Failure) {
        try require("make the cgroup of all execs") { () throws(SyscallError) in
            try FileSystem.makeDirectories(Self.controlGroup)
            let text = try FileSystem.readText("/sys/fs/cgroup/cgroup.controllers")
            let available = Set(text.split { $0 == " " || $0 == "\n" })
            let wanted = ["memory", "pids"] + ["cpu", "io"].filter { available.contains($0[...]) }
            let line = wanted.map { "+\($0)" }.joined(separator: " ")
            try FileSystem.write(line, to: "/sys/fs/cgroup/cgroup.subtree_control")
            try FileSystem.write(line, to: "\(Self.controlGroup)/cgroup.subtree_control")
            let memory = MemoryStatistics(meminfo: try FileSystem.readText("/proc/meminfo"))
            let limit = MemoryPlan.limit(policy: plan.memoryLimit, available: memory.availableBytes)
            try FileSystem.write(String(limit), to: "\(Self.controlGroup)/memory.max")
        }
    }

    private func mount(_ disk: BootPlan.Disk) throws(Failure) {
        try require("mount disk \(disk.serial) on \(disk.mountPoint)") { () throws(SyscallError) in
            let device = try BlockDevice.find(serial: disk.serial)
            try FileSystem.makeDirectories(disk.mountPoint)
            try Mount.mount(
                device,
                on: disk.mountPoint,
                type: disk.fileSystem,
                flags: [.readOnly, .noSetUserID, .noDevices],
            )
        }
    }

    /// A box without a directory that was asked for is not the one that was asked for: its programs would write their
    /// results into memory.
    private mutating func mount(_ share: BootPlan.Share) throws(Failure) {
        try require("mount share \(share.tag) on \(share.mountPoint)") { () throws(SyscallError) in
            try FileSystem.makeDirectories(share.mountPoint)
            var flags: Mount.Flags = [.noSetUserID, .noDevices]
            if share.isReadOnly { flags.insert(.readOnly) }
            // Without a cache the guest sees at once what changes on the host.
            let options = share.kind == .plan9 ? "trans=virtio,version=9p2000.L,msize=524288,cache=none" : ""
            try Mount.mount(share.tag, on: share.mountPoint, type: share.kind.rawValue, flags: flags, options: options)
        }
        guard !share.isReadOnly else { return }
        do throws(SyscallError) {
            let status = try FileSystem.status(of: share.mountPoint)
            if let problem = share.problem(ofRoot: status) { warn(problem) }
        } catch {
            warn("cannot look at share \(share.mountPoint): \(error)")
        }
    }

    /// The kernel's own protections that are off unless somebody asks, and what keeps an idle machine awake.
    private mutating func setKernelParameters() {
        let switches = [
            // A user namespace makes a program root over much of the kernel that it could not reach otherwise.
            ("user/max_user_namespaces", "0"),
            // Addresses of the kernel, which exploits need.
            ("kernel/dmesg_restrict", "1"), ("kernel/kptr_restrict", "2"),
            // Links and files that wait in a directory of all users for someone to trip over them; without the second a
            // program could give itself a name for a file that only root may read.
            ("fs/protected_symlinks", "1"), ("fs/protected_hardlinks", "1"),
            ("fs/protected_fifos", "2"), ("fs/protected_regular", "2"),
        ]
        for (name, value) in switches { set(name, value) }
        // Compaction ahead of any need, for which the kernel wakes twice a second. One that has none needs no telling.
        let proactiveness = "vm/compaction_proactiveness"
        if FileSystem.exists("/proc/sys/\(proactiveness)") { set(proactiveness, "0") }
    }

    private mutating func set(_ name: String, _ value: String) {
        attempt("set \(name)") { () throws(SyscallError) in try FileSystem.write(value, to: "/proc/sys/\(name)") }
    }

    private mutating func configure(_ plan: BootPlan) {
        attempt("set the host name") { () throws(SyscallError) in try Machine.setHostName(plan.hostName) }
        attempt("open /tmp to all") { () throws(SyscallError) in
            guard !plan.isShared("/tmp") else { return }
            try FileSystem.makeDirectories("/tmp")
            try FileSystem.setMode(of: "/tmp", 0o1777)
        }
        for directory in ["/workspace", "/home/sandbox"] {
            attempt("make \(directory)") { () throws(SyscallError) in
                // Unless a share is mounted there, whose owner is the host's business.
                guard !plan.isShared(directory) else { return }
                try FileSystem.makeDirectories(directory)
                try FileSystem.setOwner(
                    of: directory,
                    uid: UserDatabase.sandboxID,
                    gid: UserDatabase.sandboxID,
                )
            }
        }
        attempt("write /etc") { () throws(SyscallError) in
            try FileSystem.makeDirectories("/etc")
            try FileSystem.replace("/etc/hostname", with: plan.hostName + "\n")
            try FileSystem.replace("/etc/hosts", with: plan.hostsFile)
            // It may be a link into a place that only a name service of its own would fill.
            _ = try? FileSystem.remove("/etc/resolv.conf")
            try FileSystem.replace("/etc/resolv.conf", with: plan.resolverFile)
        }
        attempt("bring up the loopback") { () throws(SyscallError) in try NetworkInterface.loopback.bringUp() }
        if let network = plan.network {
            attempt("configure the network") { () throws(SyscallError) in try Self.configure(network) }
        }
    }

    private static func configure(_ network: BootPlan.Network) throws(SyscallError) {
        let names = try Poll.until("find a network interface") { () throws(SyscallError) in
            let names = try Directory("/sys/class/net").names().filter { $0.hasPrefix("eth") }.sorted()
            return names.isEmpty ? nil : names
        }
        let interface = NetworkInterface(name: names[0])
        try interface.setAddress(network.address, prefix: network.prefix)
        try interface.bringUp()
        if let gateway = network.gateway { try NetworkInterface.setDefaultRoute(to: gateway) }
        // Any user may ping.
        try FileSystem.write("0 2147483647", to: "/proc/sys/net/ipv4/ping_group_range")
    }

    // MARK: Errors

    /// A step without which the box would not be what was asked for.
    private func require(_ step: String, _ body: () throws(SyscallError) -> Void) throws(Failure) {
        do throws(SyscallError) {
            try body()
        } catch {
            throw Failure(description: "cannot \(step): \(error)")
        }
    }

    /// A step whose failure the host hears of, and the box lives with.
    private mutating func attempt(_ step: String, _ body: () throws(SyscallError) -> Void) {
        do throws(SyscallError) {
            try body()
        } catch {
            warn("cannot \(step): \(error)")
        }
    }

    private mutating func warn(_ warning: String) {
        KernelLog.shared.warning(warning)
        warnings.append(warning)
    }
}
