internal import CLinux
internal import Glibc

/// A TCP socket that listens on 127.0.0.1. Non-blocking.
package struct LoopbackListener: ~Copyable, Sendable {
    package let descriptor: OwnedFD
    package let port: UInt16

    /// - Parameter port: 0 for any that is free.
    package init(port: UInt16, backlog: Int32) throws(SyscallError) {
        var bound: UInt16 = 0
        // SAFETY: the shim stores one port number.
        let result = unsafe clinux_listen_on_loopback(port, backlog, &bound)
        descriptor = OwnedFD(adopting: try checked("bind", on: "127.0.0.1:\(port)", result))
        self.port = bound
    }

    /// The next connection, non-blocking; nil when none waits.
    package func accept() throws(SyscallError) -> OwnedFD? {
        while true {
            let result = clinux_accept(descriptor.rawValue)
            switch -result {
            case EAGAIN: return nil
            // The connection went before it was taken: there may be another one behind it.
            case EINTR, ECONNABORTED, EPROTO: continue
            default: return OwnedFD(adopting: try checked("accept4", result))
            }
        }
    }
}

extension OwnedFD {
    /// Says to the peer of a socket that no more data comes.
    package func shutDownWriting() throws(SyscallError) {
        try retrying("shutdown") { shutdown(rawValue, Int32(SHUT_WR)) }
    }
}
