internal import LinuxSystem

/// One file that the guest knows by number. Confined to its server's thread.
final class Node {
    /// What makes a file the same file on the host.
    struct Key: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    let id: UInt64
    let key: Key
    /// `S_IFMT` of the file, which never changes.
    let type: UInt32
    /// How often the guest was given the number, less what it has forgotten.
    var lookups: UInt64 = 0
    /// Handles that are open: the reference must stay, because the file may have no name any more.
    var pins = 0
    /// Where the file was seen last. Leads back to it once the reference was closed to save descriptors.
    var parent: UInt64
    var name: PathComponent?
    /// Nil while closed.
    var reference: InodeReference?
    /// Place among the nodes with a reference; meaningless without one.
    var clockIndex = 0
    var wasUsed = true

    init(id: UInt64, status: FileStatus, parent: UInt64, name: PathComponent?) {
        self.id = id
        key = Key(device: status.device, inode: status.inode)
        type = status.type
        self.parent = parent
        self.name = name
    }

    var isDirectory: Bool { type == LinuxABI.directory }
    var isRegular: Bool { type == LinuxABI.regular }

    /// Whether a status is that of this file, or could be by all we know.
    func matches(_ status: FileStatus) -> Bool {
        key.device == status.device && key.inode == status.inode && type == status.type
    }
}
