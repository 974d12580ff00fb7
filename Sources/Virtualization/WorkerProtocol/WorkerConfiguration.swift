internal import ByteCodec
package import Primitives

/// Numbers of the descriptors that a worker is started with. It opens nothing else that has a name.
package enum WorkerDescriptor {
    /// A stream: reports to the parent. When the parent's end closes, the worker ends.
    package static let reports: Int32 = 3
    /// A file with the encoded `WorkerConfiguration`.
    package static let configuration: Int32 = 4
    /// The kernel's console, which only the guest writes.
    package static let console: Int32 = 5
    /// The stream behind the guest's control port.
    package static let control: Int32 = 6
    package static let kvm: Int32 = 7
    package static let kernel: Int32 = 8
    package static let initramfs: Int32 = 9
    /// The disks of the configuration, in order, the directories of its shares behind them, the stream of its network, and
    /// then the two sockets of its vsock.
    package static let firstDisk: Int32 = 10
}

/// What a worker is to make, beside what its descriptors stand for.
package struct WorkerConfiguration: Hashable, Sendable {
    package struct Disk: Hashable, Sendable {
        package var serial: String
        package var isReadOnly: Bool
        package var limit: TransferLimit

        package init(serial: String, isReadOnly: Bool, limit: TransferLimit = .none) {
            self.serial = serial
            self.isReadOnly = isReadOnly
            self.limit = limit
        }
    }

    package struct Share: Hashable, Sendable {
        /// What the guest mounts it by.
        package var tag: String
        package var isReadOnly: Bool

        package init(tag: String, isReadOnly: Bool) {
            self.tag = tag
            self.isReadOnly = isReadOnly
        }
    }

    /// A stream of Ethernet frames in QEMU's framing.
    package struct Network: Hashable, Sendable {
        /// The guest's.
        package var mac: MACAddress

        package init(mac: MACAddress) {
            self.mac = mac
        }
    }

    /// Stream sockets between the guest and programs of the host.
    package struct Vsock: Hashable, Sendable {
        /// What the guest is called, 3 or more.
        package var guestCID: UInt32

        package init(guestCID: UInt32) {
            self.guestCID = guestCID
        }
    }

    package enum Violation: Error, Hashable, Sendable {
        case version(UInt32)
        case truncated
        case tooLong
        case notUTF8
        case trailing(count: Int)
        case guestCID(UInt32)
    }

    private static let version: UInt32 = 2
    /// Of a worker's configuration, most of which is the boot segment.
    package static let maxSize = 16 << 20

    package var memoryBytes: UInt64
    package var vcpus: Int
    package var commandLine: String
    /// An archive behind the initramfs.
    package var bootSegment: [UInt8]
    package var controlPort: String
    package var disks: [Disk]
    package var shares: [Share]
    package var network: Network?
    /// Names of layers of the jail that the user does without.
    package var waivedJailLayers: [String] = []
    package var vsock: Vsock?

    package init(
        memoryBytes: UInt64,
        vcpus: Int,
        commandLine: String,
        bootSegment: [UInt8],
        controlPort: String,
        disks: [Disk],
        shares: [Share],
    ) {
        self.memoryBytes = memoryBytes
        self.vcpus = vcpus
        self.commandLine = commandLine
        self.bootSegment = bootSegment
        self.controlPort = controlPort
        self.disks = disks
        self.shares = shares
    }
}

extension WorkerConfiguration {
    package func descriptor(ofDisk index: Int) -> Int32 { WorkerDescriptor.firstDisk + Int32(index) }
    package func descriptor(ofShare index: Int) -> Int32 { WorkerDescriptor.firstDisk + Int32(disks.count + index) }
    package var networkDescriptor: Int32 { descriptor(ofShare: shares.count) }
    /// A listening Unix socket.
    package var vsockListenerDescriptor: Int32 { networkDescriptor + (network == nil ? 0 : 1) }
    /// A socket that takes a `DialRequest` and answers with a `DialReply`.
    package var vsockDiallerDescriptor: Int32 { vsockListenerDescriptor + 1 }

    package var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: memoryBytes)
        bytes.append(littleEndian: UInt32(vcpus))
        bytes.appendField(Array(commandLine.utf8))
        bytes.appendField(bootSegment)
        bytes.appendField(Array(controlPort.utf8))
        bytes.append(littleEndian: UInt32(disks.count))
        for disk in disks {
            bytes.appendField(Array(disk.serial.utf8))
            bytes.append(disk.isReadOnly ? 1 : 0)
            bytes.append(disk.limit.bytes)
            bytes.append(disk.limit.operations)
        }
        bytes.append(littleEndian: UInt32(shares.count))
        for share in shares {
            bytes.appendField(Array(share.tag.utf8))
            bytes.append(share.isReadOnly ? 1 : 0)
        }
        bytes.appendField(network?.mac.bytes ?? [])
        bytes.append(littleEndian: UInt32(waivedJailLayers.count))
        for name in waivedJailLayers { bytes.appendField(Array(name.utf8)) }
        bytes.append(littleEndian: vsock?.guestCID ?? 0)
        return bytes
    }

    package init(decoding bytes: [UInt8]) throws(Violation) {
        guard bytes.count <= Self.maxSize else { throw .tooLong }
        do {
            var reader = ByteReader(bytes)
            let version = try reader.littleEndian(UInt32.self)
            guard version == Self.version else { throw Violation.version(version) }
            memoryBytes = try reader.littleEndian()
            vcpus = Int(try reader.littleEndian(UInt32.self))
            commandLine = try reader.text()
            bootSegment = try reader.field()
            controlPort = try reader.text()
            let count = try reader.littleEndian(UInt32.self)
            disks = []
            for _ in 0..<count {
                disks.append(
                    Disk(
                        serial: try reader.text(),
                        isReadOnly: try reader.littleEndian(UInt8.self) != 0,
                        limit: TransferLimit(bytes: try reader.rate(), operations: try reader.rate()),
                    )
                )
            }
            shares = []
            for _ in 0..<(try reader.littleEndian(UInt32.self)) {
                shares.append(Share(tag: try reader.text(), isReadOnly: try reader.littleEndian(UInt8.self) != 0))
            }
            network = MACAddress(bytes: try reader.field()).map(Network.init)
            for _ in 0..<(try reader.littleEndian(UInt32.self)) { waivedJailLayers.append(try reader.text()) }
            let guestCID = try reader.littleEndian(UInt32.self)
            // The first three names are those of nobody, of a machine itself and of its host; the last one is everybody's.
            guard guestCID == 0 || (3..<UInt32.max).contains(guestCID) else { throw Violation.guestCID(guestCID) }
            vsock = guestCID == 0 ? nil : Vsock(guestCID: guestCID)
            guard reader.remaining == 0 else { throw Violation.trailing(count: reader.remaining) }
        } catch let violation as Violation {
            throw violation
        } catch {
            throw .truncated
        }
    }
}

extension [UInt8] {
    mutating func appendField(_ field: [UInt8]) {
        append(littleEndian: UInt32(field.count))
        self += field
    }

    /// Zero for none, which no rate is.
    fileprivate mutating func append(_ rate: TransferLimit.Rate?) {
        append(littleEndian: rate?.perSecond ?? 0)
        append(littleEndian: rate?.burst ?? 0)
    }
}

extension ByteReader {
    mutating func field() throws(ByteReaderOverrun) -> [UInt8] {
        Array(try slice(Int(try littleEndian(UInt32.self))))
    }

    fileprivate mutating func rate() throws(ByteReaderOverrun) -> TransferLimit.Rate? {
        let (perSecond, burst) = (try littleEndian(UInt64.self), try littleEndian(UInt64.self))
        return perSecond == 0 ? nil : TransferLimit.Rate(perSecond: perSecond, burst: burst)
    }

    mutating func text() throws -> String {
        guard let text = String(validating: try field(), as: UTF8.self) else {
            throw WorkerConfiguration.Violation.notUTF8
        }
        return text
    }
}
