internal import LinuxSystem

extension SandboxConfiguration {
    /// Throws if this host cannot make the box: a file that it starts from is missing or is something else, a directory to
    /// mount is not there, it wants more memory than there is.
    package func checkHost() throws(SandboxError) {
        try BootFile(path: boot.kernel, asset: .kernel).check()
        try BootFile(path: boot.initramfs, asset: .initramfs).check()
        try BootFile(path: boot.rootDisk, asset: .baseRoot).check()
        for disk in disks { try BootFile(path: disk.imagePath, asset: nil).check() }
        for share in shares where !HostFacts.exists(share.hostPath) {
            throw SandboxError(.notFound, resource: share.hostPath, "the directory to mount does not exist")
        }
        try HostMemory.thisHost?.check(self)
    }
}

extension SandboxConfiguration {
    /// For backends without a vsock, which refuse it by name.
    package func checkHasNoVsock(_ backend: BackendName) throws(SandboxError) {
        guard vsock != nil else { return }
        throw SandboxError(
            .unsupported,
            resource: "box \"\(name)\"",
            "a vsock needs our own machine monitor, and the backend is \(backend.rawValue)",
            hint: "use mode kvm, or a tunnel over the control channel",
        )
    }
}

/// A file that a machine starts from, looked at before the machine is started: its own words for a wrong one are few.
struct BootFile {
    /// Covers the magic numbers of all formats.
    private static let headSize = 1024

    let path: String
    /// Nil for a further disk.
    let asset: GuestAsset?

    func check() throws(SandboxError) {
        let head: [UInt8]?
        do throws(SyscallError) {
            head = try beginning()
        } catch {
            throw unusable("\(error.errno)")
        }
        guard let head else { throw unusable("it is not a regular file") }
        if let problem = Self.problem(of: asset, head: head) { throw unusable(problem) }
    }

    /// Nil where it is not a regular file: opening a pipe would wait.
    private func beginning() throws(SyscallError) -> [UInt8]? {
        guard try FileSystem.status(of: path).kind == .regular else { return nil }
        return try FileSystem.openForReading(path).read(at: 0, count: Self.headSize)
    }

    private func unusable(_ problem: String) -> SandboxError {
        let choice = asset?.variable.map {
            "it is what \($0) or the specification names, else what \"make guest\" builds"
        }
        return SandboxError(
            .hostUnsupported,
            resource: path,
            "not usable as the \(asset?.title ?? "image of a disk"): \(problem)",
            hint: choice ?? "run \"make guest\" to build it",
        )
    }

    /// What is wrong with a file that begins like that, as far as its beginning tells.
    static func problem(of asset: GuestAsset?, head: [UInt8]) -> String? {
        if head.isEmpty { return "it is empty" }
        switch asset {
        case .kernel:
            let isELF = head.starts(with: [0x7F] + Array("ELF".utf8))
            // https://docs.kernel.org/arch/x86/boot.html#the-real-mode-kernel-header
            let isBzImage = head.dropFirst(0x202).starts(with: Array("HdrS".utf8))
            return isELF || isBzImage ? nil : "it is neither an ELF file nor a bzImage"
        case .initramfs:
            // cpio, or what the kernel can unpack: gzip, zstd, xz, lz4.
            let formats: [[UInt8]] = [
                Array("070701".utf8), Array("070702".utf8), [0x1F, 0x8B], [0x28, 0xB5, 0x2F, 0xFD],
                [0xFD, 0x37, 0x7A, 0x58, 0x5A], [0x02, 0x21, 0x4C, 0x18],
            ]
            return formats.contains(where: head.starts(with:)) ? nil : "it is no cpio archive, packed or not"
        case .baseRoot, .claudeCode, .claudio, nil: return nil
        }
    }
}
