package import Virtio

extension VsockDevice {
    /// Whom to tell that the connections are gone.
    package struct State: SavedState {
        package static let version: UInt16 = 1
        /// All connections, and all refusals that wait for room.
        private static let maxRoutes = 1024

        package var routes: [VsockRoute]
        /// Of the host's ends.
        package var nextHostPort: UInt32

        package init(routes: [VsockRoute], nextHostPort: UInt32) {
            self.routes = routes
            self.nextHostPort = nextHostPort
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(routes) { writer, route in
                writer.append(route.hostPort)
                writer.append(route.guestPort)
            }
            writer.append(nextHostPort)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            routes = try reader.list(limit: Self.maxRoutes) { reader throws(SavedStateViolation) in
                VsockRoute(hostPort: try reader.integer(), guestPort: try reader.integer())
            }
            nextHostPort = try reader.integer()
        }
    }
}
