/// What all builders have in common: they say how their boxes are made.
///
/// Builders are values. Each call returns a changed copy, so that one box can be the beginning of several.
public protocol BoxConfigurable: Sendable {
    /// How the boxes are made; changed by the functions of this protocol.
    var box: BoxSettings { get set }
}

/// How boxes are made. Whatever is not said is as the specification has it by default.
public struct BoxSettings: Hashable, Sendable {
    var mode: BoxMode?
    var kernel: String?
    var initramfs: String?
    var memory: Memory?
    var vcpus: Int?
    var network: Bool?
    var environment: [String: String] = [:]
    var mounts: [Mount] = []
    var policy: Policy?

    init() {}

    struct Mount: Hashable, Sendable {
        var host: String
        var guest: String
        var access: MountAccess
    }
}

/// An amount of memory.
public struct Memory: Hashable, Sendable {
    let mebibytes: Int

    public static func mebibytes(_ count: Int) -> Memory { Memory(mebibytes: count) }

    public static func gibibytes(_ count: Int) -> Memory {
        let product = count.multipliedReportingOverflow(by: 1024)
        return Memory(mebibytes: product.overflow ? .max : product.partialValue)
    }
}

/// What runs a box.
@nonexhaustive
public enum BoxMode: String, Hashable, Sendable {
    /// A real virtual machine: our own machine monitor where this host can run it, else QEMU.
    case auto
    /// Our own machine monitor, which needs `/dev/kvm`.
    case kvm
    /// QEMU, with or without hardware virtualization.
    case qemu
    /// A scripted stand-in **without isolation**, for tests: it runs nothing and says so in its result.
    case mock
}

/// Whether a box may change a mounted directory.
public enum MountAccess: String, Hashable, Sendable {
    case readOnly = "ro"
    /// What the box writes is in the host's directory. One that is not there is made.
    case readWrite = "rw"
}

/// Limits of every program in a box, from the first one.
public struct Policy: Hashable, Sendable {
    /// Names of programs that may be started; nil for any.
    public var allowedPrograms: [String]?
    public var maxOpenFiles: Int?
    public var maxProcesses: Int?
    /// Of one file, in MiB.
    public var maxFileMebibytes: Int?
    /// Of all programs together.
    public var maxMemory: Memory?

    public init(
        allowedPrograms: [String]? = nil,
        maxOpenFiles: Int? = nil,
        maxProcesses: Int? = nil,
        maxFileMebibytes: Int? = nil,
        maxMemory: Memory? = nil,
    ) {
        self.allowedPrograms = allowedPrograms
        self.maxOpenFiles = maxOpenFiles
        self.maxProcesses = maxProcesses
        self.maxFileMebibytes = maxFileMebibytes
        self.maxMemory = maxMemory
    }
}

extension BoxConfigurable {
    /// 1024 MiB unless said otherwise; Claude Code wants 2048.
    public func memory(_ memory: Memory) -> Self { with { $0.box.memory = memory } }

    /// Processors of each box, 1 to 16.
    public func vcpus(_ count: Int) -> Self { with { $0.box.vcpus = count } }

    /// Without a network, which is the default, a box has no network device at all. Its model is reached all the same.
    public func network(_ isOn: Bool = true) -> Self { with { $0.box.network = isOn } }

    /// Makes a directory of this host appear in the box.
    ///
    /// - Parameters:
    ///   - host: Relative to the working directory.
    ///   - guest: An absolute path, not one of the system's.
    ///   - access: Whether the box may change it.
    public func mount(_ host: String, at guest: String, _ access: MountAccess = .readOnly) -> Self {
        with { $0.box.mounts.append(.init(host: host, guest: guest, access: access)) }
    }

    /// A variable of every program in the box. An empty value copies the host's variable of that name.
    public func environment(_ name: String, _ value: String) -> Self { environment([name: value]) }

    /// Variables of every program in the box; they are added to those that were said before.
    public func environment(_ variables: [String: String]) -> Self {
        with { $0.box.environment.merge(variables) { $1 } }
    }

    public func mode(_ mode: BoxMode) -> Self { with { $0.box.mode = mode } }

    public func policy(_ policy: Policy) -> Self { with { $0.box.policy = policy } }

    /// A guest kernel of one's own, uncompressed.
    public func kernel(_ path: String) -> Self { with { $0.box.kernel = path } }

    /// An initramfs of one's own, with the guest agent in it.
    public func initramfs(_ path: String) -> Self { with { $0.box.initramfs = path } }

    func with(_ change: (inout Self) -> Void) -> Self {
        var copy = self
        change(&copy)
        return copy
    }
}
