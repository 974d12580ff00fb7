internal import CLinux
internal import Glibc

extension HostFacts {
    /// Bytes of the kernel's random number generator, which does not run dry, by one call for all of them.
    package static func randomBytes(_ count: Int) throws(SyscallError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        // A signal may cut the call short.
        while filled < count {
            filled += try retrying("getrandom") {
                // SAFETY: the kernel writes at most the rest of the buffer, whose size it is given.
                unsafe bytes.withUnsafeMutableBytes {
                    unsafe getrandom($0.baseAddress.map { unsafe $0 + filled }, $0.count - filled, 0)
                }
            }
        }
        return bytes
    }
}
