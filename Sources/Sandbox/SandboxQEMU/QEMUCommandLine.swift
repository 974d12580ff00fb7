internal import Primitives
internal import Sandboxing

/// The arguments of QEMU for one box: a pure function of the configuration.
///
/// The machine is QEMU's `microvm`: virtio-mmio, no PCI, no firmware to speak of. What crosses to the host are inherited
/// descriptors and read-only disk images; there is no socket with a name.
struct QEMUCommandLine {
    /// Numbers of the inherited descriptors in QEMU's process.
    enum Descriptor {
        static let control: Int32 = 3
        static let monitor: Int32 = 4
        static let console: Int32 = 5
        static let initramfs: Int32 = 6
        /// Of a box whose network is a stream of frames.
        static let network: Int32 = 7
    }

    static let controlPortName = "voidbox.control"
    static let rootSerial = "root"

    let configuration: SandboxConfiguration
    let acceleration: QEMUAcceleration
    /// Rate of the host's time stamp counter, which an emulated processor passes on.
    let counterKilohertz: UInt64?
    /// Name of the process in lists of processes; `SandboxLeaks` reads it.
    let processTag: String

    var arguments: [String] {
        machine + boot + channels + disks + shares + network
            + ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
    }

    var bootNames: BootNames {
        BootNames(
            rootSerial: Self.rootSerial,
            diskSerials: configuration.disks.indices.map(Self.diskSerial),
            shareTags: configuration.shares.indices.map(Self.shareTag),
            shareKind: "9p",
        )
    }

    private var machine: [String] {
        // Without acpi=off and auto-kernel-cmdline=on QEMU describes the virtio devices in ACPI tables, which the guest
        // kernel does not read.
        let machine = "microvm,acpi=off,auto-kernel-cmdline=on"
        let processor =
            switch acceleration {
            case .kvm: ["-accel", "kvm", "-cpu", "host"]
            case .tcg: ["-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max"]
            }
        return [
            "-name", processTag, "-M", machine,
            "-m", "\(configuration.memory.bytes >> 20)M", "-smp", "\(configuration.vcpus)",
            "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
        ] + processor
    }

    private var boot: [String] {
        [
            "-kernel", configuration.boot.kernel,
            "-initrd", "/proc/self/fd/\(Descriptor.initramfs)",
            // reboot=t: a reset by triple fault is the only one this machine has. panic=-1: reset at once on a panic.
            "-append", "console=ttyS0 quiet panic=-1 reboot=t random.trust_cpu=on" + clock,
        ]
    }

    /// An emulated machine has no paravirtual clock, and its kernel drops the time stamp counter for the tick, which loses
    /// time on a busy host. The counter is the host's own: told its rate, the kernel can rely on it. With KVM it has the clock
    /// and goes by that, so it need not wake twice a second to compare the two.
    private var clock: String {
        guard acceleration == .tcg else { return " tsc=nowatchdog" }
        guard let counterKilohertz else { return "" }
        return " tsc=reliable tsc_early_khz=\(counterKilohertz)"
    }

    private var channels: [String] {
        [
            "-chardev", "socket,id=console,fd=\(Descriptor.console)",
            "-serial", "chardev:console",
            "-chardev", "socket,id=monitor,fd=\(Descriptor.monitor)",
            "-mon", "chardev=monitor,mode=control",
            "-chardev", "socket,id=control,fd=\(Descriptor.control)",
            "-device", "virtio-serial-device",
            "-device", "virtserialport,chardev=control,name=\(Self.controlPortName)",
        ]
    }

    private var disks: [String] {
        let all =
            [(configuration.boot.rootDisk, Self.rootSerial, true)]
            + configuration.disks.enumerated().map {
                ($0.element.imagePath, Self.diskSerial($0.offset), $0.element.isReadOnly)
            }
        return all.flatMap { path, serial, isReadOnly in
            [
                "-drive",
                "id=\(serial),file=\(Self.escaped(path)),format=raw,if=none,readonly=\(isReadOnly ? "on" : "off")"
                    + throttling,
                "-device", "virtio-blk-device,drive=\(serial),serial=\(serial)",
            ]
        }
    }

    private var throttling: String {
        let limit = configuration.diskLimit
        let bytes = limit.bytes.map { ",throttling.bps-total=\($0.perSecond)" } ?? ""
        return bytes + (limit.operations.map { ",throttling.iops-total=\($0.perSecond)" } ?? "")
    }

    private var shares: [String] {
        configuration.shares.enumerated().flatMap { index, share in
            let tag = Self.shareTag(index)
            let readOnly = share.isReadOnly ? ",readonly=on" : ""
            return [
                "-fsdev", "local,id=\(tag),path=\(Self.escaped(share.hostPath)),security_model=none\(readOnly)",
                "-device", "virtio-9p-device,fsdev=\(tag),mount_tag=\(tag)",
            ]
        }
    }

    private var network: [String] {
        switch configuration.network {
        case .none: ["-nic", "none"]
        case .user: ["-netdev", "user,id=net,ipv6=off", "-device", "virtio-net-device,netdev=net"]
        case .frames:
            [
                "-netdev", "stream,id=net,server=off,addr.type=fd,addr.str=\(Descriptor.network)",
                "-device", "virtio-net-device,netdev=net,host_mtu=65520",
            ]
        }
    }

    private static func diskSerial(_ index: Int) -> String { "disk\(index)" }
    private static func shareTag(_ index: Int) -> String { "share\(index)" }

    /// A comma ends an option's value unless it is doubled.
    static func escaped(_ path: String) -> String {
        path.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
