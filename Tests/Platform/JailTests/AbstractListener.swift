import Glibc
import LinuxSystem

/// A Unix socket with a name but no file, on which this process listens.
struct AbstractListener: ~Copyable {
    private let descriptor: OwnedFD

    init(name: String) throws {
        descriptor = OwnedFD(adopting: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0[1...].copyBytes(from: bytes) }
        let size = socklen_t(2 + 1 + bytes.count)
        let bound = unsafe withUnsafePointer(to: address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe bind(descriptor.rawValue, $0, size) }
        }
        guard bound == 0, listen(descriptor.rawValue, 8) == 0 else {
            throw SyscallError(Errno(rawValue: errno), call: "bind", on: name)
        }
    }

    var isOpen: Bool { descriptor.rawValue >= 0 }
}
