internal import CLinux

/// Landlock, `landlock(7)`: file, network and scope restrictions that a process puts on itself without any privilege.
///
/// A right that is handled is denied unless a rule allows it. What is open already is not affected. Names and values are
/// those of `linux/landlock.h`.
package enum Landlock {
    /// Rights to files and directories, checked when a path is opened or changed.
    package struct FileRights: OptionSet, Hashable, Sendable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        package static let execute = FileRights(rawValue: 1 << 0)
        package static let writeFile = FileRights(rawValue: 1 << 1)
        package static let readFile = FileRights(rawValue: 1 << 2)
        package static let readDirectory = FileRights(rawValue: 1 << 3)
        package static let removeDirectory = FileRights(rawValue: 1 << 4)
        package static let removeFile = FileRights(rawValue: 1 << 5)
        package static let makeCharacterDevice = FileRights(rawValue: 1 << 6)
        package static let makeDirectory = FileRights(rawValue: 1 << 7)
        package static let makeRegularFile = FileRights(rawValue: 1 << 8)
        package static let makeSocket = FileRights(rawValue: 1 << 9)
        package static let makeFIFO = FileRights(rawValue: 1 << 10)
        package static let makeBlockDevice = FileRights(rawValue: 1 << 11)
        package static let makeSymbolicLink = FileRights(rawValue: 1 << 12)
        /// To link or rename into another directory; ABI 2.
        package static let refer = FileRights(rawValue: 1 << 13)
        /// ABI 3.
        package static let truncate = FileRights(rawValue: 1 << 14)
        /// `ioctl(2)` on devices opened later; ABI 5.
        package static let deviceControl = FileRights(rawValue: 1 << 15)

        /// All rights that an ABI knows.
        package static func all(abi: Int) -> FileRights {
            let count: UInt64 =
                switch abi {
                case ...1: 13
                case 2: 14
                case 3, 4: 15
                default: 16
                }
            return FileRights(rawValue: (1 << count) - 1)
        }
    }

    /// `LANDLOCK_ACCESS_NET_*`, ABI 4.
    package struct NetworkRights: OptionSet, Hashable, Sendable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        package static let bindTCP = NetworkRights(rawValue: 1 << 0)
        package static let connectTCP = NetworkRights(rawValue: 1 << 1)
    }

    /// What may not cross the border of the restricted processes; ABI 6.
    package struct Scopes: OptionSet, Hashable, Sendable {
        package let rawValue: UInt64
        package init(rawValue: UInt64) { self.rawValue = rawValue }
        package static let abstractUnixSocket = Scopes(rawValue: 1 << 0)
        package static let signal = Scopes(rawValue: 1 << 1)
    }

    /// The kernel's ABI, from 1 on. `ENOSYS`: built without it; `EOPNOTSUPP`: switched off at boot.
    package static func abi() throws(SyscallError) -> Int {
        Int(try checked("landlock_create_ruleset", clinux_landlock_abi()))
    }

    /// What to deny, except for the rules added.
    package struct Ruleset: ~Copyable {
        private let descriptor: OwnedFD
        private let handled: FileRights

        /// The rights must be known to the ABI (`EINVAL`).
        package init(files: FileRights, network: NetworkRights, scopes: Scopes) throws(SyscallError) {
            let ruleset = clinux_landlock_ruleset(
                file_rights: files.rawValue,
                network_rights: network.rawValue,
                scopes: scopes.rawValue,
            )
            // An older kernel refuses a longer structure only if the part that it does not know is not zero, so the whole
            // one always will do.
            // SAFETY: the kernel copies as many bytes of the structure as it has, before the call returns.
            let result = unsafe withUnsafePointer(to: ruleset) {
                unsafe clinux_landlock_create($0, MemoryLayout<clinux_landlock_ruleset>.size)
            }
            descriptor = OwnedFD(adopting: try checked("landlock_create_ruleset", result))
            handled = files
        }

        /// Allows those of the rights that are handled in a directory and all below it.
        package func allow(_ rights: FileRights, beneath directory: Int32) throws(SyscallError) {
            let bits = rights.intersection(handled).rawValue
            let result = clinux_landlock_allow_beneath(descriptor.rawValue, directory, bits)
            try checked("landlock_add_rule", on: "descriptor \(directory)", result)
        }

        /// Puts the restrictions on this thread, for good. Needs no_new_privs or `CAP_SYS_ADMIN` (`EPERM`).
        package consuming func restrictSelf() throws(SyscallError) {
            try checked("landlock_restrict_self", clinux_landlock_restrict_self(descriptor.rawValue))
        }
    }
}
