internal import MachineMemory

/// Numbers of pages as the driver lists them, joined to stretches: a balloon's pages are often neighbours, and each stretch is
/// one call to the host.
struct PageRuns: Hashable, Sendable {
    /// Of a page that the memory does not have.
    struct Violation: Error, Hashable, Sendable {
        let page: UInt32
    }

    /// Neither empty nor touching the next one.
    private(set) var runs: [Range<UInt64>] = []

    /// `bytes` are little-endian words of 32 bits, as section 5.5.6 has it; what is left behind the last whole one is not read.
    init(parsing bytes: [UInt8], layout: MachineMemoryLayout) throws(Violation) {
        for start in stride(from: 0, to: bytes.count - 3, by: 4) {
            let page = bytes[start..<start + 4].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            let address = UInt64(page) * GuestMemory.pageSize
            guard layout.regions.contains(where: { $0.base.rawValue <= address && address < $0.end }) else {
                throw Violation(page: page)
            }
            append(UInt64(page))
        }
    }

    private mutating func append(_ page: UInt64) {
        if let last = runs.last, last.upperBound == page {
            runs[runs.count - 1] = last.lowerBound..<page + 1
        } else if let last = runs.last, last.lowerBound == page + 1 {
            runs[runs.count - 1] = page..<last.upperBound
        } else {
            runs.append(page..<page + 1)
        }
    }
}
