package import Virtio

extension BalloonDevice {
    package struct State: SavedState {
        package static let version: UInt16 = 1

        /// Pages of 4 KiB that the host wants.
        package var target: UInt32
        /// Pages that the driver says it gave.
        package var actual: UInt32

        package init(target: UInt32 = 0, actual: UInt32 = 0) {
            self.target = target
            self.actual = actual
        }

        /// As a balloon's configuration has it.
        init(_ configuration: ConfigurationSpace) {
            self.init(
                target: configuration.load(at: BalloonDevice.Field.target) ?? 0,
                actual: configuration.load(at: BalloonDevice.Field.actual) ?? 0,
            )
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(target)
            writer.append(actual)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            target = try reader.integer()
            actual = try reader.integer()
        }
    }
}
