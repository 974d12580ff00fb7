/// Directories that the guest reads without opening them, each as far as it has read: so that the next page needs no seek, and
/// goes on where the last one ended also where the host's file system numbers entries for each opening anew.
///
/// The guest does not say when it is done, so only the last few are kept. One that is gone is opened again, and found its place
/// in by the offset that the guest asks for.
struct ListingTable {
    /// Each holds a descriptor and up to 32 KiB of entries.
    private static let capacity = 32

    /// The one that was used last is last.
    private var listings: [Handle] = []

    var count: Int { listings.count }

    subscript(_ node: UInt64) -> Handle? {
        mutating get {
            guard let index = index(of: node) else { return nil }
            let listing = listings.remove(at: index)
            listings.append(listing)
            return listing
        }
    }

    /// In the place of another one of the same directory.
    mutating func insert(_ listing: Handle) {
        remove(listing.node.id)
        if listings.count == Self.capacity { listings.removeFirst() }
        listings.append(listing)
    }

    mutating func remove(_ node: UInt64) {
        if let index = index(of: node) { listings.remove(at: index) }
    }

    mutating func removeAll() {
        listings = []
    }

    private func index(of node: UInt64) -> Int? {
        listings.firstIndex { $0.node.id == node }
    }
}
