package import Virtio

extension BlockDevice {
    /// No request is under way: each is done within one event of the loop, or waits in its queue for the limit.
    package struct State: SavedState {
        package static let version: UInt16 = 1

        /// What the limit would let through at once; zero without one.
        package var bytesLeft: Int64
        package var operationsLeft: Int64

        package init(bytesLeft: Int64, operationsLeft: Int64) {
            self.bytesLeft = bytesLeft
            self.operationsLeft = operationsLeft
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(bytesLeft)
            writer.append(operationsLeft)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            bytesLeft = try reader.integer()
            operationsLeft = try reader.integer()
        }
    }
}
