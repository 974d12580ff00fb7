package import SharedFS
package import Virtio

extension FileSystemDevice {
    /// What the guest and the server agreed on, and the numbers that were given away.
    ///
    /// Not the files: a file that the guest knows is a descriptor of the process that is gone, and the new one opens nothing on
    /// the word of a saved state. So after a restore every number but the root's is stale (`ESTALE`), upon which a Linux guest
    /// looks a path up anew; files that were open stay unusable (`EBADF`, directories `ESTALE`), and their locks are gone. No
    /// number is given twice, so that an old one never means another file.
    package struct State: SavedState {
        package static let version: UInt16 = 1

        package var progress: FUSEServer.Progress

        package init(_ progress: FUSEServer.Progress) {
            self.progress = progress
        }

        package func write(to writer: inout SavedStateWriter) {
            writer.append(progress.isInitialized)
            writer.append(progress.nextNode)
            writer.append(progress.nextHandle)
        }

        package init(from reader: inout SavedStateReader) throws(SavedStateViolation) {
            progress = FUSEServer.Progress(
                isInitialized: try reader.boolean(),
                nextNode: try reader.integer(),
                nextHandle: try reader.integer(),
            )
        }
    }
}
