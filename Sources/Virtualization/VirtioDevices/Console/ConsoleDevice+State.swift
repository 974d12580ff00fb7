package import Virtio

extension ConsoleDevice {
    package struct State: SavedState {
        package static let version: UInt16 = 1
        /// Header and name of a control message.
        private static let maxMessage = 1024
        private static let maxPorts = 31

        package struct Port: Hashable, Sendable {
            /// By a program of the guest.
            package var isOpen: Bool
            package var isHostOpen: Bool
            /// Of the guest's first request, what the host's stream took already.
            package var sentOfFirst: UInt32

            package init(isOpen: Bool, isHostOpen: Bool, sentOfFirst: UInt32) {
                self.isOpen = isOpen
                self.isHostOpen = isHostOpen
                self.sentOfFirst = sentOfFirst
            }
        }

        /// Control messages that the driver had no buffers for.
        package var messages: [[UInt8]]
        package var ports: [Port]

        package init(messages: [[UInt8]], ports: [Port]) {
            self.messages = messages
            self.ports = ports
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(messages) { $0.append($1) }
            writer.append(ports) { writer, port in
                writer.append(port.isOpen)
                writer.append(port.isHostOpen)
                writer.append(port.sentOfFirst)
            }
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            messages = try reader.list(limit: ConsoleDevice.maxPendingMessages) {
                reader throws(SavedStateViolation) in try reader.bytes(limit: Self.maxMessage)
            }
            ports = try reader.list(limit: Self.maxPorts) { reader throws(SavedStateViolation) in
                Port(
                    isOpen: try reader.boolean(),
                    isHostOpen: try reader.boolean(),
                    sentOfFirst: try reader.integer(),
                )
            }
        }
    }

    package enum RestoreViolation: Error, Hashable, Sendable {
        case portCount(Int, device: Int)
    }
}
