package import LinuxSystem
package import Primitives

/// What a box is made of, before it exists.
package struct SandboxConfiguration: Sendable {
    /// Shown in logs as `[vm:NAME]`, and the guest's host name.
    package var name: String
    package var memory = ByteCount.mebibytes(1024)
    package var vcpus = 1
    /// `none` means no network device at all.
    package var network = NetworkAccess.none
    /// Defaults for every exec; the exec's own variables win.
    package var environment: [String: String] = [:]
    package var shares: [Share] = []
    package var disks: [Disk] = []
    /// Of each disk by itself, the root's too. Under qemu a burst is a tenth of a second's worth, whatever it says here.
    package var diskLimit = TransferLimit.none
    package var vsock: Vsock?
    package var boot: BootArtifacts
    package var policy = ExecPolicy()
    /// From the start of the machine until its agent answers.
    package var bootDeadline = Duration.seconds(60)

    package init(name: String, boot: BootArtifacts) {
        self.name = name
        self.boot = boot
    }

    package enum NetworkAccess: Hashable, Sendable {
        case none
        /// User-mode network of the backend: 10.0.2.15, gateway 10.0.2.2, DNS 10.0.2.3.
        case user
        /// The same addresses, on a network of the caller's own.
        case frames(FrameStream)

        /// Whether the guest has an interface to configure.
        package var isThere: Bool { self != .none }
    }

    /// One end of a Unix stream socket whose other end is a network: Ethernet frames of at most 65538 bytes, each after its
    /// length as four bytes, big-endian. The box takes a copy of the descriptor.
    package final class FrameStream: Hashable, Sendable {
        package let descriptor: OwnedFD

        package init(_ descriptor: consuming OwnedFD) {
            self.descriptor = descriptor
        }

        package static func == (left: FrameStream, right: FrameStream) -> Bool { left === right }
        package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
    }

    /// A host directory that appears in the guest.
    package struct Share: Hashable, Sendable {
        package var hostPath: String
        package var guestPath: String
        package var isReadOnly: Bool

        package init(hostPath: String, guestPath: String, isReadOnly: Bool) {
            self.hostPath = hostPath
            self.guestPath = guestPath
            self.isReadOnly = isReadOnly
        }
    }

    /// Stream sockets between programs of the host and the guest, in Firecracker's convention.
    package struct Vsock: Hashable, Sendable {
        /// Of a Unix socket that is made with the box and goes with it. Who connects says `CONNECT <port>\n`, is answered
        /// `OK <hostport>\n`, and talks to that port of the guest. What the guest connects to, on port P of CID 2, is who listens
        /// on the Unix socket `<path>_P`.
        package var socketPath: String
        /// What the guest is called, 3 or more.
        package var guestCID: UInt32

        package init(socketPath: String, guestCID: UInt32 = 3) {
            self.socketPath = socketPath
            self.guestCID = guestCID
        }
    }

    /// A disk image mounted beside the root, such as an agent's program. It is mounted for reading only.
    package struct Disk: Hashable, Sendable {
        package var imagePath: String
        /// Below `/opt`, its `bin` directory joins the guest's `PATH`.
        package var mountPoint: String
        package var fileSystem: String
        /// False lets root in the guest write the device, and with it the image.
        package var isReadOnly: Bool

        package init(imagePath: String, mountPoint: String, fileSystem: String = "ext4", isReadOnly: Bool = true) {
            self.imagePath = imagePath
            self.mountPoint = mountPoint
            self.fileSystem = fileSystem
            self.isReadOnly = isReadOnly
        }
    }
}

/// The files that a machine starts from.
package struct BootArtifacts: Hashable, Sendable {
    /// Uncompressed ELF kernel.
    package var kernel: String
    /// Uncompressed newc archive whose `/init` is the guest agent.
    package var initramfs: String
    /// Image of the read-only root file system.
    package var rootDisk: String
    package var rootFileSystem: String

    package init(kernel: String, initramfs: String, rootDisk: String, rootFileSystem: String = "ext4") {
        self.kernel = kernel
        self.initramfs = initramfs
        self.rootDisk = rootDisk
        self.rootFileSystem = rootFileSystem
    }
}

/// What may run in a box, and how much of it. Travels with the boot parameters, so it holds from the first exec.
package struct ExecPolicy: Hashable, Sendable {
    package enum Programs: Hashable, Sendable {
        case any
        /// Base names. Gates the program that a call starts; what that program starts is its own business.
        case only(Set<String>)
    }

    package var programs = Programs.any
    /// RLIMIT_NOFILE.
    package var maxOpenFiles: UInt64 = 65536
    /// RLIMIT_NPROC of the user, and the pids limit of each exec's cgroup.
    package var maxProcesses: UInt64 = 4096
    /// RLIMIT_FSIZE; nil for no limit.
    package var maxFileSize: ByteCount?
    /// Memory of all execs together; nil for all that the agent does not need for itself.
    package var maxMemory: ByteCount?
    /// File calls stay below these directories.
    package var fileRoots = ["/"]

    package init() {}
}
