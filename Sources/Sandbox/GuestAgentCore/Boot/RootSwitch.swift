internal import LinuxSystem

/// Makes the root disk the root of the system: read-only below, writable by an overlay whose upper part is in memory.
struct RootSwitch {
    private let root: BootPlan.Disk
    private let scratchBytes: UInt64

    private static let lower = "/root/lower"
    private static let scratch = "/root/scratch"
    private static let merged = "/root/merged"

    init(_ root: BootPlan.Disk, scratchBytes: UInt64) {
        self.root = root
        self.scratchBytes = scratchBytes
    }

    func perform() throws(Boot.Failure) {
        do throws(SyscallError) {
            let device = try BlockDevice.find(serial: root.serial)
            for directory in [Self.lower, Self.scratch, Self.merged] { try FileSystem.makeDirectories(directory) }
            try Mount.mount(device, on: Self.lower, type: root.fileSystem, flags: .readOnly)
            let size = scratchBytes == 0 ? "50%" : String(scratchBytes)
            try Mount.mount("scratch", on: Self.scratch, type: "tmpfs", options: "mode=0755,size=\(size)")
            for part in ["upper", "work"] { try FileSystem.makeDirectories("\(Self.scratch)/\(part)") }
            try Mount.mount(
                "root",
                on: Self.merged,
                type: "overlay",
                options: "lowerdir=\(Self.lower),upperdir=\(Self.scratch)/upper,workdir=\(Self.scratch)/work",
            )
            // Temporary files skip the overlay but share its budget.
            try FileSystem.makeDirectories("\(Self.scratch)/tmp")
            try FileSystem.makeDirectories("\(Self.merged)/tmp")
            try Mount.mount("\(Self.scratch)/tmp", on: "\(Self.merged)/tmp", type: "", flags: .bind)
            // A bind mount takes flags only the second time.
            let flags: Mount.Flags = [.bind, .remount, .noSetUserID, .noDevices]
            try Mount.mount("tmp", on: "\(Self.merged)/tmp", type: "", flags: flags)
            for mount in ["/proc", "/sys", "/dev"] {
                try FileSystem.makeDirectories(Self.merged + mount)
                try Mount.move(mount, to: Self.merged + mount)
            }
            // Its pages stay as long as this program runs from them; its name is of no use any more.
            try FileSystem.remove("/init")
            try Mount.switchRoot(to: Self.merged)
        } catch {
            throw Boot.Failure(description: "cannot switch to root disk \(root.serial) (\(root.fileSystem)): \(error)")
        }
    }
}
