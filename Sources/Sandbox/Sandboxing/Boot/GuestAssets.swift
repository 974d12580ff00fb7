internal import LinuxSystem

/// The files a box starts from, by their names below `<cache>/current`, which `make guest` keeps.
package enum GuestAsset: String, CaseIterable, Sendable {
    case kernel = "vmlinux"
    case initramfs = "initramfs.cpio"
    case baseRoot = "base.ext4"
    case claudeCode = "claude-code.ext4"
    case claudio = "claudio.ext4"

    package var title: String {
        switch self {
        case .kernel: "guest kernel"
        case .initramfs: "guest agent's initramfs"
        case .baseRoot: "base root file system"
        case .claudeCode: "Claude Code disk"
        case .claudio: "claudio disk"
        }
    }

    /// The environment variable that names another file in its place.
    package var variable: String? {
        switch self {
        case .kernel: "VOIDBOX_KERNEL"
        case .initramfs: "VOIDBOX_INITRAMFS"
        case .baseRoot, .claudeCode, .claudio: nil
        }
    }

    /// Needed by every box; the others only by the agent they carry.
    package var isRequired: Bool {
        switch self {
        case .kernel, .initramfs, .baseRoot: true
        case .claudeCode, .claudio: false
        }
    }
}

/// Where the guest assets are: `VOIDBOX_KERNEL` and `VOIDBOX_INITRAMFS` for single files, else below
/// `VOIDBOX_CACHE_DIR` (default `~/.cache/voidbox`).
package struct AssetLocator: Sendable {
    private let overrides: [GuestAsset: String]
    private let cacheDirectory: String

    package init(environment: [String: String]) {
        func value(_ name: String) -> String? {
            guard let value = environment[name], !value.isEmpty else { return nil }
            return value
        }
        var overrides: [GuestAsset: String] = [:]
        for asset in GuestAsset.allCases { overrides[asset] = asset.variable.flatMap(value) }
        self.overrides = overrides
        cacheDirectory = value("VOIDBOX_CACHE_DIR") ?? "\(value("HOME") ?? "/root")/.cache/voidbox"
    }

    package func path(of asset: GuestAsset) -> String {
        overrides[asset] ?? "\(cacheDirectory)/current/\(asset.rawValue)"
    }

    /// The boot files, with a specification's own choices first. Throws `hostUnsupported` for one that is not there.
    package func bootArtifacts(
        kernel: String? = nil,
        initramfs: String? = nil,
        isReadable: (String) -> Bool = HostFacts.mayRead,
    ) throws(SandboxError) -> BootArtifacts {
        BootArtifacts(
            kernel: try existing(.kernel, kernel ?? path(of: .kernel), isReadable),
            initramfs: try existing(.initramfs, initramfs ?? path(of: .initramfs), isReadable),
            rootDisk: try existing(.baseRoot, path(of: .baseRoot), isReadable),
        )
    }

    /// The disk of an agent's program. Throws `hostUnsupported` if it is not there.
    package func disk(
        _ asset: GuestAsset,
        at mountPoint: String,
        isReadable: (String) -> Bool,
    ) throws(SandboxError) -> SandboxConfiguration.Disk {
        SandboxConfiguration.Disk(imagePath: try existing(asset, path(of: asset), isReadable), mountPoint: mountPoint)
    }

    private func existing(
        _ asset: GuestAsset,
        _ path: String,
        _ isReadable: (String) -> Bool,
    ) throws(SandboxError) -> String {
        if isReadable(path) { return path }
        let isOverride = overrides[asset] == path
        throw SandboxError(
            .hostUnsupported,
            resource: path,
            "the \(asset.title) is missing or not readable",
            hint: isOverride
                ? "\(asset.variable ?? "") names it: correct or unset it; \"make guest\" builds one"
                : "run \"make guest\" to build it",
        )
    }
}
