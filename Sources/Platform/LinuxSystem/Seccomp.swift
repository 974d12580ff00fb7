internal import CLinux

/// An instruction of the classic BPF machine, `struct sock_filter`.
package struct BPFInstruction: Hashable, Sendable {
    package var code: UInt16
    package var jumpTrue: UInt8
    package var jumpFalse: UInt8
    package var constant: UInt32

    package init(code: UInt16, jumpTrue: UInt8 = 0, jumpFalse: UInt8 = 0, constant: UInt32) {
        self.code = code
        self.jumpTrue = jumpTrue
        self.jumpFalse = jumpFalse
        self.constant = constant
    }
}

/// System call filters of the kernel, `seccomp(2)`.
package enum Seccomp {
    /// The most instructions that the kernel takes, `BPF_MAXINSNS`.
    package static let maximumLength = 4096

    /// Puts a filter on this thread and those it starts, for good and beside those it has: of several filters the strictest
    /// answer holds. Needs no_new_privs or `CAP_SYS_ADMIN` (`EACCES`); a malformed program is `EINVAL`.
    package static func install(_ program: [BPFInstruction]) throws(SyscallError) {
        guard let count = UInt16(exactly: program.count) else {
            throw SyscallError(.invalidArgument, call: "seccomp")
        }
        let instructions = program.map {
            sock_filter(code: $0.code, jt: $0.jumpTrue, jf: $0.jumpFalse, k: $0.constant)
        }
        // SAFETY: the kernel copies `count` instructions, which is the array's length, before the call returns.
        let result = unsafe instructions.withUnsafeBufferPointer {
            unsafe clinux_seccomp_install($0.baseAddress, count)
        }
        try checked("seccomp", result)
    }
}
