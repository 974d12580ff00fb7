package import Virtio

extension BalloonDevice {
    /// What the driver says it gave is in the configuration that it writes.
    package struct State: SavedState {
        package static let version: UInt16 = 1

        /// Pages of 4 KiB that the host wants.
        package var target: UInt32

        package init(target: UInt32) {
            self.target = target
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(target)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            target = try reader.integer()
        }
    }
}
