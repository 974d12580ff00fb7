internal import LinuxSystem

/// A file that is being written beside its place and moved there when it is complete. Released before that, it goes.
final class PendingFile {
    let path: String
    private let directory: Directory
    private let name: String
    private let temporaryName: String
    private let file: OwnedFD
    private let mode: UInt32
    private let owner: ConfinedFiles.Owner
    private var isCommitted = false

    init(
        _ name: String,
        in directory: consuming Directory,
        path: String,
        mode: UInt32,
        owner: ConfinedFiles.Owner,
    ) throws(SyscallError) {
        self.path = path
        self.name = name
        self.mode = mode
        self.owner = owner
        temporaryName = ".voidbox-\(String(UInt64.random(in: .min ... .max), radix: 36)).partial"
        // Nobody but the agent sees what is not complete.
        file = try directory.create(temporaryName, mode: 0o600)
        self.directory = directory
    }

    deinit {
        // It may have been removed by someone else, and there is nobody to tell.
        if !isCommitted { _ = try? directory.unlink(temporaryName) }
    }

    func append(_ bytes: some Collection<UInt8>) throws(SyscallError) {
        try file.writeAll(bytes)
    }

    func commit() throws(SyscallError) {
        // In this order: a change of owner clears the set-user-id bits of the mode.
        try file.setOwner(uid: owner.uid, gid: owner.gid)
        try file.setMode(mode)
        try directory.rename(temporaryName, to: directory, name)
        isCommitted = true
    }
}
