internal import Glibc

/// The process that this code runs in.
package enum CurrentProcess {
    /// Ends it at once, whatever its other threads do.
    package static func end(status: Int32) -> Never {
        _exit(status)
    }
}
