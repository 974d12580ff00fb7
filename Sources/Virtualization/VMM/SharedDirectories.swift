internal import Jail
internal import LinuxSystem
internal import SharedFS
internal import WorkerProtocol

/// The host directories of a machine: what the jail must leave of them, and their servers.
final class SharedDirectories: Sendable {
    /// Root's rights stop at the jail, so a server's descriptors are all it has; and a tree of sources has many files.
    static let openFiles: UInt64 = 65536
    /// As whom the guest sees the files of the host's user: the user `sandbox`.
    private static let guestOwner = FUSEOptions.Owner(uid: 1000, gid: 1000)

    private let configuration: WorkerConfiguration
    private let opener: InodeOpener

    /// While /proc is in sight.
    init(_ configuration: WorkerConfiguration) throws(SyscallError) {
        self.configuration = configuration
        opener = try InodeOpener()
    }

    var isEmpty: Bool { configuration.shares.isEmpty }

    var jailShares: [JailPlan.Share] {
        configuration.shares.enumerated().map { index, share in
            JailPlan.Share(
                descriptor: configuration.descriptor(ofShare: index),
                access: share.isReadOnly ? .readOnly : .readWrite,
            )
        }
    }

    /// Without shares a user who owns nothing; else the owner of the first one, so that its files can be read and written.
    func identity() throws(SyscallError) -> JailPlan.Identity {
        guard !isEmpty else { return .unique }
        let status = try OwnedFD.borrowing(configuration.descriptor(ofShare: 0)) { directory throws(SyscallError) in
            try directory.status()
        }
        return status.uid == 0 ? .unchanged : .user(uid: status.uid, gid: status.gid)
    }

    /// After the jail is on, on the thread that serves. Once for each share.
    func server(_ index: Int) throws -> FUSEServer {
        var options = FUSEOptions()
        options.isReadOnly = configuration.shares[index].isReadOnly
        options.guestOwner = Self.guestOwner
        let directory = OwnedFD(adopting: configuration.descriptor(ofShare: index))
        return try FUSEServer(
            root: Directory(adopting: directory),
            opener: try opener.duplicate(),
            options: options,
        )
    }
}
