internal import LinuxSystem

/// How a directory is served.
package struct FUSEOptions: Sendable {
    package struct Owner: Hashable, Sendable {
        package var uid: UInt32
        package var gid: UInt32

        package init(uid: UInt32, gid: UInt32) {
            self.uid = uid
            self.gid = gid
        }
    }

    /// Every change is refused with `EROFS`.
    package var isReadOnly = false
    /// As whom the guest sees the host user who serves; nil: as that user. Other users' files keep their owner's number.
    package var guestOwner: Owner?
    /// How long the guest may take a name for granted. Zero asks every time.
    package var entryTimeout = Duration.seconds(1)
    /// How long the guest may take size, times and mode for granted; so long it may miss a change by the host.
    package var attributeTimeout = Duration.seconds(1)
    /// Files the guest may know at once, about 300 bytes each on the host.
    package var maxNodes = 1 << 20
    /// Descriptors that hold files the guest knows but has not opened.
    package var maxDescriptors: Int
    /// Files the guest may have open at once.
    package var maxHandles: Int
    /// Makes locks of the guest those of the host, so that guests and host see each other's. A wait for a lock is then
    /// answered with `EAGAIN`: virtio-fs cannot interrupt one that waits on the host. Without, the guest's kernel keeps its
    /// locks itself, with waiting.
    package var sharesLocks = false
    /// Lets the guest set the set-user-id and set-group-id bits of files. Such a file would lend the serving user's rights to
    /// whoever runs it on the host; without, the bits are left out, as `chmod(2)` does where they are not allowed.
    package var allowsSetID = false

    package init() {
        // A quarter each, so that two shares leave something for the rest of the process.
        let limit = Int(clamping: HostFacts.openFileLimit)
        maxDescriptors = min(max(limit / 4, 64), 65536)
        maxHandles = min(max(limit / 8, 32), 16384)
    }
}
