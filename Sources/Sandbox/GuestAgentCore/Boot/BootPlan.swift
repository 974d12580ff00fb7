internal import GuestAPI
internal import LinuxSystem

/// The boot parameters, checked: what the agent is to make of the machine.
struct BootPlan: Equatable {
    struct Disk: Equatable {
        let serial: String
        let mountPoint: String
        let fileSystem: String
    }

    struct Share: Equatable {
        enum Kind: String {
            case plan9 = "9p"
            case virtioFS = "virtiofs"
        }

        let tag: String
        let mountPoint: String
        let isReadOnly: Bool
        let kind: Kind

        /// Why the box's programs cannot write a share that is there to be written; nil if they can.
        func problem(ofRoot status: FileStatus) -> String? {
            let user = UserDatabase.sandboxID
            if status.isWritable(uid: user, gid: user) { return nil }
            let mode = "0" + String(status.mode, radix: 8)
            return "\(mountPoint) is mounted for writing, but programs run as uid \(user), which may not write there "
                + "(owner \(status.uid):\(status.gid), mode \(mode)); on the host, chown it to \(user):\(user) or open "
                + "it to all"
        }
    }

    struct Network: Equatable {
        let address: IPv4Address
        let prefix: Int
        let gateway: IPv4Address?
        let nameServers: [String]
    }

    struct Violation: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    static let defaultHostName = "voidbox"
    private static let fileSystems: Set = ["ext4", "erofs", "squashfs"]

    let hostName: String
    let clock: Int64
    let network: Network?
    let root: Disk?
    let disks: [Disk]
    let shares: [Share]
    let scratchBytes: UInt64
    let memoryLimit: UInt64

    init(_ parameters: Voidbox_Guest_V1_BootParameters) throws(Violation) {
        hostName = try Self.checkHostName(parameters.hostname)
        clock = parameters.clockUnixNanos
        network = parameters.hasNetwork ? try Self.network(parameters.network) : nil
        root =
            parameters.rootSerial.isEmpty
            ? nil : try Self.disk(parameters.rootSerial, on: "/", parameters.rootFileSystem)
        var disks: [Disk] = []
        for disk in parameters.disks {
            let point = try Self.mountPoint(disk.mountPoint)
            disks.append(try Self.disk(disk.serial, on: point, disk.fileSystem))
        }
        self.disks = disks
        var shares: [Share] = []
        for share in parameters.shares { shares.append(try Self.share(share)) }
        // The outer ones first, or they would hide the inner ones.
        self.shares = shares.sorted { $0.depth < $1.depth }
        scratchBytes = parameters.scratchBytes
        memoryLimit = parameters.policy.maxMemoryBytes
    }

    /// Whether the path is in a directory of the host.
    func isShared(_ path: String) -> Bool {
        shares.contains { path == $0.mountPoint || path.hasPrefix($0.mountPoint + "/") }
    }

    private static func checkHostName(_ name: String) throws(Violation) -> String {
        if name.isEmpty { return defaultHostName }
        let isName = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                true
            default: false
            }
        }
        guard isName, name.utf8.count <= 64 else {
            throw Violation(description: "host name \(name.prefix(80).debugDescription) is not valid")
        }
        return name
    }

    private static func network(_ network: Voidbox_Guest_V1_Network) throws(Violation) -> Network {
        let parts = network.address.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPv4Address(parts[0]), let prefix = Int(parts[1]), 0...32 ~= prefix else {
            throw Violation(description: "network address \(network.address.debugDescription) is not like 10.0.2.15/24")
        }
        var gateway: IPv4Address?
        if !network.gateway.isEmpty {
            gateway = IPv4Address(network.gateway)
            guard gateway != nil else {
                throw Violation(description: "gateway \(network.gateway.debugDescription) is no IPv4 address")
            }
        }
        for server in network.nameServers where IPv4Address(server) == nil {
            throw Violation(description: "name server \(server.debugDescription) is no IPv4 address")
        }
        return Network(address: address, prefix: prefix, gateway: gateway, nameServers: network.nameServers)
    }

    private static func disk(_ serial: String, on point: String, _ fileSystem: String) throws(Violation) -> Disk {
        // A virtio-blk serial has room for 20 bytes.
        guard (1...20).contains(serial.utf8.count) else {
            throw Violation(description: "disk serial \(serial.debugDescription) of \(point) is not 1 to 20 bytes long")
        }
        guard fileSystems.contains(fileSystem) else {
            let known = fileSystems.sorted().joined(separator: ", ")
            throw Violation(description: "file system \(fileSystem.debugDescription) of \(point) is none of \(known)")
        }
        return Disk(serial: serial, mountPoint: point, fileSystem: fileSystem)
    }

    private static func share(_ share: Voidbox_Guest_V1_Share) throws(Violation) -> Share {
        guard let kind = Share.Kind(rawValue: share.kind) else {
            throw Violation(
                description: "share \(share.tag.debugDescription) is of kind \(share.kind.debugDescription)"
            )
        }
        guard !share.tag.isEmpty, !share.tag.utf8.contains(0) else {
            throw Violation(description: "the share at \(share.mountPoint) has no tag")
        }
        let point = try mountPoint(share.mountPoint)
        return Share(tag: share.tag, mountPoint: point, isReadOnly: share.readOnly, kind: kind)
    }

    private static func mountPoint(_ path: String) throws(Violation) -> String {
        let components = path.split(separator: "/")
        guard path.hasPrefix("/"), !components.isEmpty, !path.utf8.contains(0), !components.contains(".."),
            !components.contains(".")
        else {
            throw Violation(description: "mount point \(path.debugDescription) is not an absolute path below /")
        }
        return "/" + components.joined(separator: "/")
    }
}

extension BootPlan.Share {
    fileprivate var depth: Int { mountPoint.utf8.count { $0 == UInt8(ascii: "/") } }
}
