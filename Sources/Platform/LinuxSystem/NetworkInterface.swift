internal import CLinux
internal import Glibc

/// An IPv4 address.
package struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
    package let value: UInt32

    package init(value: UInt32) {
        self.value = value
    }

    /// Four decimal numbers without leading zeros.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var value: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part), String(byte) == part else { return nil }
            value = value << 8 | UInt32(byte)
        }
        self.value = value
    }

    package var description: String {
        "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
    }

    /// The mask of a prefix of at most 32 bits.
    package static func mask(prefix: Int) -> IPv4Address {
        IPv4Address(value: prefix <= 0 ? 0 : ~0 << (32 - UInt32(min(prefix, 32))))
    }
}

/// A network interface of this machine, configured statically.
package struct NetworkInterface: Sendable {
    package let name: String

    package static let loopback = NetworkInterface(name: "lo")

    package init(name: String) {
        self.name = name
    }

    package func bringUp() throws(SyscallError) {
        let socket = try Self.socket()
        // SAFETY: the shim copies the string before it returns.
        try checked("ioctl(SIOCSIFFLAGS)", on: name, unsafe clinux_interface_up(socket.rawValue, name))
    }

    package func setAddress(_ address: IPv4Address, prefix: Int) throws(SyscallError) {
        let socket = try Self.socket()
        let mask = IPv4Address.mask(prefix: prefix)
        // SAFETY: the shim copies the string before it returns.
        let result = unsafe clinux_interface_set_address(
            socket.rawValue,
            name,
            address.value.bigEndian,
            mask.value.bigEndian,
        )
        try checked("ioctl(SIOCSIFADDR)", on: name, result)
    }

    package static func setDefaultRoute(to gateway: IPv4Address) throws(SyscallError) {
        let socket = try socket()
        let result = clinux_add_default_route(socket.rawValue, gateway.value.bigEndian)
        try checked("ioctl(SIOCADDRT)", on: gateway.description, result)
    }

    private static func socket() throws(SyscallError) -> OwnedFD {
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        return OwnedFD(adopting: try retrying("socket") { Glibc.socket(AF_INET, kind, 0) })
    }
}
