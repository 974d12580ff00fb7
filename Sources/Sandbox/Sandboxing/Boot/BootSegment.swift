internal import GuestAPI
internal import Primitives
internal import SwiftProtobuf

/// What a machine calls the things its guest looks for, which depends on the backend.
package struct BootNames: Sendable {
    package var rootSerial: String
    /// One for each disk of the configuration.
    package var diskSerials: [String]
    /// One tag for each share.
    package var shareTags: [String]
    /// "9p" or "virtiofs".
    package var shareKind: String

    package init(rootSerial: String, diskSerials: [String], shareTags: [String], shareKind: String) {
        self.rootSerial = rootSerial
        self.diskSerials = diskSerials
        self.shareTags = shareTags
        self.shareKind = shareKind
    }
}

extension SandboxConfiguration {
    /// The archive with the boot parameters, to be appended to the initramfs. The agent reads `/voidbox/boot`, which only
    /// root may, and removes it; nothing of it is on the kernel's command line, which every program can read.
    package func bootSegment(_ names: BootNames, unixNanoseconds: Int64) throws -> [UInt8] {
        var archive = CPIOArchive()
        archive.addDirectory("voidbox", mode: 0o700)
        archive.addFile(
            "voidbox/boot",
            mode: 0o400,
            contents: try bootParameters(names, unixNanoseconds: unixNanoseconds).serializedBytes(),
        )
        archive.finish()
        return archive.bytes
    }

    private func bootParameters(_ names: BootNames, unixNanoseconds: Int64) -> Voidbox_Guest_V1_BootParameters {
        var parameters = Voidbox_Guest_V1_BootParameters()
        parameters.hostname = Self.hostname(from: name)
        parameters.clockUnixNanos = unixNanoseconds
        if network.isThere {
            parameters.network.address = "10.0.2.15/24"
            parameters.network.gateway = "10.0.2.2"
            parameters.network.nameServers = ["10.0.2.3"]
        }
        parameters.rootSerial = names.rootSerial
        parameters.rootFileSystem = boot.rootFileSystem
        parameters.disks = zip(disks, names.diskSerials).map { disk, serial in
            var message = Voidbox_Guest_V1_Disk()
            message.serial = serial
            message.mountPoint = disk.mountPoint
            message.fileSystem = disk.fileSystem
            return message
        }
        parameters.shares = zip(shares, names.shareTags).map { share, tag in
            var message = Voidbox_Guest_V1_Share()
            message.tag = tag
            message.mountPoint = share.guestPath
            message.readOnly = share.isReadOnly
            message.kind = names.shareKind
            return message
        }
        parameters.policy = Voidbox_Guest_V1_Policy(policy)
        parameters.environment = environment
        return parameters
    }

    /// A host name (RFC 1123) as near to the box's name as possible.
    static func hostname(from name: String) -> String {
        let mapped = name.utf8.map { byte -> Character in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                Character(UnicodeScalar(byte))
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): Character(UnicodeScalar(byte + 32))
            default: "-"
            }
        }
        let trimmed = String(mapped.prefix(63)).split(separator: "-").joined(separator: "-")
        return trimmed.isEmpty ? "voidbox" : trimmed
    }
}

extension Voidbox_Guest_V1_Policy {
    fileprivate init(_ policy: ExecPolicy) {
        self.init()
        switch policy.programs {
        case .any: allowAnyProgram = true
        case .only(let names): allowedPrograms = names.sorted()
        }
        maxOpenFiles = policy.maxOpenFiles
        maxProcesses = policy.maxProcesses
        maxFileBytes = policy.maxFileSize?.bytes ?? 0
        maxMemoryBytes = policy.maxMemory?.bytes ?? 0
        fileRoots = policy.fileRoots
    }
}
