/// Writes the cpio format that the kernel unpacks at boot: "newc", as in the kernel's
/// `Documentation/driver-api/early-userspace/buffer-format.rst`.
package struct CPIOArchive: Sendable {
    package private(set) var bytes: [UInt8] = []
    private var nextInode: UInt32 = 1

    package init() {}

    /// Adds a file that belongs to root. `path` is relative to the root of the archive.
    package mutating func addFile(_ path: String, mode: UInt32, contents: [UInt8]) {
        addEntry(path, mode: 0o100_000 | mode, contents: contents)
    }

    package mutating func addDirectory(_ path: String, mode: UInt32) {
        addEntry(path, mode: 0o040_000 | mode, contents: [])
    }

    /// Ends the archive. Another one may follow it.
    package mutating func finish() {
        nextInode = 0
        addEntry("TRAILER!!!", mode: 0, contents: [])
    }

    private mutating func addEntry(_ path: String, mode: UInt32, contents: [UInt8]) {
        precondition(contents.count <= UInt32.max, "a boot file is small")
        let name = Array(path.utf8) + [0]
        let fields: [UInt32] = [
            nextInode, mode,
            0, 0,  // uid, gid
            1, 0,  // links, modification time
            UInt32(contents.count),
            0, 0, 0, 0,  // device and special device, major and minor
            UInt32(name.count),
            0,  // checksum, unused in this variant
        ]
        nextInode += 1
        bytes += Array("070701".utf8)
        for field in fields { bytes += Array(Self.hexadecimal(field).utf8) }
        bytes += name
        pad()
        bytes += contents
        pad()
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 8 - digits.count) + digits
    }
}
