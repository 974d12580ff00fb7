package import LinuxSystem

/// Why a kernel cannot be started.
package enum LinuxBootError: Error, Equatable, Sendable, CustomStringConvertible {
    case elf(ELFKernel.Violation)
    /// Neither an ELF file nor a bzImage that we take.
    case bzImage(BzImage.Violation)
    case commandLine(count: Int, limit: Int)
    case doesNotFit(String, count: UInt64, memory: UInt64)
    case file(String, SyscallError)

    package var description: String {
        switch self {
        case .elf(let violation): "the kernel is no x86-64 ELF kernel: \(violation)"
        case .bzImage(.noSetupHeader): "the kernel is neither an ELF file nor a bzImage"
        case .bzImage(let violation): "the kernel is no bzImage that can be started: \(violation)"
        case .commandLine(let count, let limit):
            "the kernel's command line has \(count) bytes; at most \(limit), none of them zero, are taken"
        case .doesNotFit(let what, let count, let memory):
            "the \(what) of \(count) bytes does not fit in \(memory) bytes of memory"
        case .file(let role, let error): "the \(role) cannot be read: \(error)"
        }
    }
}
