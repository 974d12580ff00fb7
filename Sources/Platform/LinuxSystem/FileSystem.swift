internal import CLinux
internal import Glibc

/// Whole-path calls for the places that only the machine's owner writes: /etc, /proc, /sys, mount points.
package enum FileSystem {
    package static func read(_ path: String, limit: Int = 1 << 20) throws(SyscallError) -> [UInt8] {
        try OwnedFD.open(path, O_RDONLY).readAll(limit: limit)
    }

    package static func readText(_ path: String, limit: Int = 1 << 20) throws(SyscallError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Writes to a file that exists, such as the kernel's in /proc and /sys.
    package static func write(_ text: String, to path: String) throws(SyscallError) {
        do throws(SyscallError) {
            try OwnedFD.open(path, O_WRONLY).writeAll(text)
        } catch {
            throw SyscallError(error.errno, call: "write", on: path)
        }
    }

    /// Makes or replaces a file. Not atomic.
    package static func replace(_ path: String, with text: String, mode: UInt32 = 0o644) throws(SyscallError) {
        try OwnedFD.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: mode).writeAll(text)
    }

    /// Adds to the end of a file, which is made where it is missing.
    package static func append(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o644) throws(SyscallError) {
        try OwnedFD.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode).writeAll(bytes)
    }

    /// Makes a directory with its parents; one that exists is fine.
    package static func makeDirectories(_ path: String, mode: UInt32 = 0o755) throws(SyscallError) {
        var prefix = ""
        for component in path.split(separator: "/") {
            prefix += "/" + component
            // SAFETY: the kernel copies the string before the call returns.
            if unsafe mkdir(prefix, mode) == 0 { continue }
            let error = currentErrno()
            if error != .exists { throw SyscallError(error, call: "mkdir", on: prefix) }
        }
    }

    /// Makes or replaces a file so that whoever looks finds the old one or the new one whole, also after the host crashed.
    package static func replaceAtomically(
        _ name: String,
        in directory: borrowing Directory,
        with bytes: [UInt8],
        mode: UInt32 = 0o600,
    ) throws(SyscallError) {
        let temporary = ".\(name).new"
        // What a writer that was killed left behind.
        do throws(SyscallError) { try directory.unlink(temporary) } catch  where error.errno == .notFound {}
        let file = try directory.create(temporary, mode: mode)
        try file.writeAll(bytes)
        try file.synchronize(dataOnly: false)
        try directory.rename(temporary, to: directory, name)
        try directory.descriptor.synchronize(dataOnly: false)
    }

    /// Removes a directory with all that is in it, without following links. One that is not there is fine.
    ///
    /// What is in a directory below moves up before that goes, so a tree of any depth costs two descriptors.
    package static func removeTree(_ name: String, in parent: borrowing Directory) throws(SyscallError) {
        guard try !unlinked(name, in: parent) else { return }
        let top = try parent.openDirectory(name)
        let prefix = "removed-\(UInt64.random(in: .min ... .max))-"
        var moved = 0
        while case let names = try top.names(), !names.isEmpty {
            for entry in names where try !unlinked(entry, in: top) {
                let directory = try top.openDirectory(entry)
                for below in try directory.names() where try !unlinked(below, in: directory) {
                    moved += 1
                    try directory.rename(below, to: top, "\(prefix)\(moved)")
                }
                try top.removeDirectory(entry)
            }
        }
        try parent.removeDirectory(name)
    }

    /// False for a directory, which stays.
    private static func unlinked(_ name: String, in directory: borrowing Directory) throws(SyscallError) -> Bool {
        do throws(SyscallError) {
            try directory.unlink(name)
        } catch {
            switch error.errno {
            case .isADirectory: return false
            case .notFound: break
            default: throw error
            }
        }
        return true
    }

    package static func remove(_ path: String) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("remove", on: path) { unsafe Glibc.remove(path) }
    }

    package static func setOwner(of path: String, uid: UInt32, gid: UInt32) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("chown", on: path) { unsafe chown(path, uid, gid) }
    }

    package static func setMode(of path: String, _ mode: UInt32) throws(SyscallError) {
        // SAFETY: the kernel copies the string before the call returns.
        try retrying("chmod", on: path) { unsafe chmod(path, mode) }
    }

    package static func makeLink(_ path: String, to target: String) throws(SyscallError) {
        // SAFETY: the kernel copies both strings before the call returns.
        try retrying("symlink", on: path) { unsafe symlink(target, path) }
    }

    /// Follows links.
    package static func status(of path: String) throws(SyscallError) -> FileStatus {
        var status = stat()
        // SAFETY: stat fills the structure and reads the string before it returns.
        try retrying("stat", on: path) { unsafe stat(path, &status) }
        return FileStatus(status)
    }

    package static func exists(_ path: String) -> Bool {
        // SAFETY: the kernel reads the string before the call returns.
        unsafe access(path, F_OK) == 0
    }

    /// Opens the three streams that every program expects to find open, on /dev/null, where they are not.
    package static func openStandardDescriptors(_ flags: Int32 = O_RDWR) throws(SyscallError) {
        while true {
            let descriptor = try OwnedFD.open("/dev/null", flags)
            // Numbers are given lowest first, so the first one above the standard three proves those are taken.
            if descriptor.rawValue > 2 { return }
            _ = descriptor.relinquish()
        }
    }

    package static func openForReadingAndWriting(_ path: String) throws(SyscallError) -> OwnedFD {
        try OwnedFD.open(path, O_RDWR | O_NONBLOCK | O_NOCTTY)
    }

    package static func openForReading(_ path: String) throws(SyscallError) -> OwnedFD {
        try OwnedFD.open(path, O_RDONLY)
    }

    /// For a file that exists: each write goes behind what is there, whoever else writes.
    package static func openForAppending(_ path: String) throws(SyscallError) -> OwnedFD {
        try OwnedFD.open(path, O_WRONLY | O_APPEND)
    }

    package static func openForWriting(_ path: String) throws(SyscallError) -> OwnedFD {
        try OwnedFD.open(path, O_WRONLY | O_NOCTTY)
    }
}
