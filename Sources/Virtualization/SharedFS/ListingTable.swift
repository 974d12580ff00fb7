/// Directories that the guest reads without opening them, each as far as it was read. So the next page needs no seek, and goes
/// on where the last one ended also where the host's file system numbers entries for each opening anew. Who reads the same
/// directory at the same time has a listing of its own, which is told by how far it is.
///
/// The guest does not say when it is done, so only the last few are kept. One that is gone is opened again, and its place in it
/// is found by the offset that the guest asks for.
struct ListingTable {
    /// Each holds a descriptor and up to 32 KiB of entries.
    private static let capacity = 32

    /// The one that was used last is last.
    private var listings: [Handle] = []

    var count: Int { listings.count }

    /// Nil where none is known: the last one of the directory that is elsewhere would have to seek as a new one does.
    mutating func listing(of node: UInt64, at offset: UInt64) -> Handle? {
        guard let index = listings.lastIndex(where: { $0.node.id == node && $0.stream?.position == offset }) else {
            return nil
        }
        let listing = listings.remove(at: index)
        listings.append(listing)
        return listing
    }

    mutating func insert(_ listing: Handle) {
        if listings.count == Self.capacity { listings.removeFirst() }
        listings.append(listing)
    }

    mutating func remove(_ listing: Handle) {
        listings.removeAll { $0 === listing }
    }

    mutating func removeAll(of node: UInt64) {
        listings.removeAll { $0.node.id == node }
    }

    mutating func removeAll() {
        listings = []
    }
}
