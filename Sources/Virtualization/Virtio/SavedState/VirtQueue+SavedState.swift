extension VirtQueue.State: SavedState {
    package static let version: UInt16 = 1

    package func write(to writer: inout SavedStateWriter) {
        writer.append(size)
        writer.append(isReady)
        for address in [descriptors, driver, device] { writer.append(address) }
        writer.append(nextAvailable)
        writer.append(nextUsed)
    }

    package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
        self.init()
        size = try reader.integer()
        isReady = try reader.boolean()
        descriptors = try reader.integer()
        driver = try reader.integer()
        device = try reader.integer()
        nextAvailable = try reader.integer()
        nextUsed = try reader.integer()
    }
}
