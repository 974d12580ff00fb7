internal import CLinux
internal import Glibc

extension OwnedFD {
    /// A Unix stream socket that listens at a path, for its owner alone. Non-blocking. A path that exists already is an error,
    /// `EADDRINUSE`, whatever is there; whoever is through with the socket removes it.
    package static func listening(onUnixSocket path: String, backlog: Int32) throws(SyscallError) -> OwnedFD {
        // SAFETY: the string is read before the call returns.
        OwnedFD(adopting: try checked("bind", on: path, unsafe clinux_listen_unix(path, backlog)))
    }

    /// The next connection of a listening Unix socket, non-blocking; nil when none waits.
    package func acceptStream() throws(SyscallError) -> OwnedFD? {
        while true {
            let result = clinux_accept_unix(rawValue)
            switch -result {
            case EAGAIN: return nil
            case EINTR, ECONNABORTED: continue
            default: return OwnedFD(adopting: try checked("accept4", result))
            }
        }
    }

    /// Connects to a Unix stream socket, without waiting for a listener that is behind: `EAGAIN`. Non-blocking from then on.
    package static func connectedAtOnce(toUnixSocket path: String) throws(SyscallError) -> OwnedFD {
        // SAFETY: the string is read before the call returns.
        OwnedFD(adopting: try checked("connect", on: path, unsafe clinux_connect_unix_at_once(path)))
    }

    /// As `listening(onUnixSocket:)`, at a name in a directory: the path to it may be longer than an address takes.
    package static func listening(
        onUnixSocket name: String,
        in directory: borrowing Directory,
        backlog: Int32,
    ) throws(SyscallError) -> OwnedFD {
        try listening(onUnixSocket: "/proc/self/fd/\(directory.descriptor.rawValue)/\(name)", backlog: backlog)
    }

    /// As `connected(toUnixSocket:)`, at a name in a directory.
    package static func connected(
        toUnixSocket name: String,
        in directory: borrowing Directory,
    ) throws(SyscallError) -> OwnedFD? {
        try connected(toUnixSocket: "/proc/self/fd/\(directory.descriptor.rawValue)/\(name)")
    }

    /// The user at the other end of a connected Unix socket, as they were when they connected.
    package func peerUserID() throws(SyscallError) -> UInt32 {
        var uid: UInt32 = 0
        // SAFETY: the shim stores one value behind the pointer.
        try checked("getsockopt", unsafe clinux_peer_user(rawValue, &uid))
        return uid
    }

    /// Says to the peer of a socket that no more data is taken.
    package func shutDownReading() throws(SyscallError) {
        try retrying("shutdown") { shutdown(rawValue, Int32(SHUT_RD)) }
    }
}

/// Messages with a descriptor.
extension OwnedFD {
    /// A connected pair of Unix sockets that keep the boundaries of messages. Non-blocking and close-on-exec.
    package static func messageSocketPair() throws(SyscallError) -> Pair {
        var descriptors: [Int32] = [-1, -1]
        let kind = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        // SAFETY: socketpair fills exactly two descriptors.
        try retrying("socketpair") { unsafe socketpair(AF_UNIX, kind, 0, &descriptors) }
        return Pair(first: OwnedFD(adopting: descriptors[0]), second: OwnedFD(adopting: descriptors[1]))
    }

    package struct Message: ~Copyable {
        /// Empty at the end.
        package let bytes: [UInt8]
        package var descriptor: OwnedFD?
    }

    /// The next message, cut to `count` bytes; nil when none waits. Of descriptors it carries one at most; more are closed.
    package func receiveMessage(upTo count: Int) throws(SyscallError) -> Message? {
        var bytes = [UInt8](repeating: 0, count: count)
        var descriptor: Int32 = -1
        // SAFETY: the shim writes at most `count` bytes into a buffer of that size, and one descriptor.
        let result = unsafe bytes.withUnsafeMutableBytes {
            unsafe clinux_receive_message(rawValue, $0.baseAddress, $0.count, &descriptor)
        }
        let received = descriptor >= 0 ? OwnedFD(adopting: descriptor) : nil
        if result == -EAGAIN { return nil }
        return Message(
            bytes: Array(bytes.prefix(Int(try checked("recvmsg", result)))),
            descriptor: received,
        )
    }

    /// Sends a message, with a descriptor that the receiver gets a duplicate of. `EAGAIN` where there is no room.
    package func sendMessage(_ bytes: [UInt8], descriptor: borrowing OwnedFD) throws(SyscallError) {
        try sendMessage(bytes, rawDescriptor: descriptor.rawValue)
    }

    package func sendMessage(_ bytes: [UInt8]) throws(SyscallError) {
        try sendMessage(bytes, rawDescriptor: -1)
    }

    private func sendMessage(_ bytes: [UInt8], rawDescriptor: Int32) throws(SyscallError) {
        // SAFETY: the shim reads as many bytes as it is told there are.
        let result = unsafe bytes.withUnsafeBytes {
            unsafe clinux_send_message(rawValue, $0.baseAddress, $0.count, rawDescriptor)
        }
        try checked("sendmsg", result)
    }
}
