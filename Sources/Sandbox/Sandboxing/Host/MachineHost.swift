package import LinuxSystem

/// What every machine of a process shares.
package struct MachineHost: Sendable {
    package let loop: EventLoopThread
    package let spawner: Spawner

    package init() throws(SyscallError) {
        loop = try EventLoopThread(name: "box-io")
        spawner = try Spawner()
    }
}

extension HostVirtualization {
    package static var thisHost: HostVirtualization {
        HostVirtualization(
            mayOpenKVM: HostFacts.mayReadAndWrite("/dev/kvm"),
            hasHardwareVirtualization: HostFacts.hasHardwareVirtualization,
        )
    }
}

extension SandboxConfiguration {
    /// Throws if a file or a directory that the box is made of is not there.
    package func checkFiles() throws(SandboxError) {
        for path in [boot.kernel, boot.initramfs, boot.rootDisk] + disks.map(\.imagePath)
        where !HostFacts.mayRead(path) {
            throw SandboxError(
                .hostUnsupported,
                resource: path,
                "the file is missing or not readable",
                hint: "make guest",
            )
        }
        for share in shares where !HostFacts.exists(share.hostPath) {
            throw SandboxError(.notFound, resource: share.hostPath, "the directory to mount does not exist")
        }
    }
}
