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
