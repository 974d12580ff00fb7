internal import ByteCodec
package import Virtio

/// A frame as a driver hands it over, with what it left to the device (virtio 1.2, section 5.1.6.2): the checksum of the
/// transport, and the cutting of a long TCP segment into short ones.
///
/// The network on the other side takes whole Ethernet frames and nothing else, so the device does what was left to it. Pure.
package struct TransmitFrame: Sendable {
    package enum Violation: Error, Hashable, Sendable {
        /// Shorter than the header before every frame.
        case header(count: Int)
        case length(count: Int)
        /// What the driver leaves to the device without having asked whether it may.
        case notNegotiated(flags: UInt8, segmentation: UInt8)
        case checksum(start: Int, offset: Int, count: Int)
        case segmentation(Segmentation)

        package enum Segmentation: Hashable, Sendable {
            case size(Int)
            case withoutChecksum
            case etherType(UInt16)
            case networkHeader
            case transportHeader
        }
    }

    package enum Feature {
        package static let checksum = VirtioFeatures(rawValue: 1 << 0)
        package static let tcp4 = VirtioFeatures(rawValue: 1 << 11)
        package static let tcp6 = VirtioFeatures(rawValue: 1 << 12)
    }

    /// `struct virtio_net_hdr_v1`, section 5.1.6.
    package static let headerLength = 12
    private static let needsChecksum: UInt8 = 1
    /// An IPv4 packet of any length in a frame: what is to be cut may be longer than what is sent.
    private static let maxUncutLength = 65535 + 18
    package static let maxRequest = headerLength + maxUncutLength
    /// Headers with all options, and some extension headers. With `minSegment` it bounds what one request becomes: 2 MiB.
    private static let maxHeaders = 256
    /// What Linux never goes below: the least segment of 48 bytes with all options.
    private static let minSegment = 8

    private enum Kind {
        static let none: UInt8 = 0
        static let tcp4: UInt8 = 1
        static let tcp6: UInt8 = 4
    }

    private struct Cut {
        let isIPv4: Bool
        let network: Int
        let transport: Int
        /// Where the data begins.
        let data: Int
        let size: Int
    }

    private struct Checksum {
        let start: Int
        let field: Int
    }

    private var bytes: [UInt8]
    private let checksum: Checksum?
    private let cut: Cut?

    /// `request` is the header and the frame.
    package init(_ request: [UInt8], features: VirtioFeatures) throws(Violation) {
        guard request.count >= Self.headerLength else { throw .header(count: request.count) }
        let (flags, kind) = (request[0], request[1])
        func field(_ offset: Int) -> Int { Int(request[offset]) | Int(request[offset + 1]) << 8 }
        bytes = Array(request.dropFirst(Self.headerLength))
        let needed: VirtioFeatures =
            switch kind {
            case Kind.none: []
            case Kind.tcp4: Feature.tcp4
            case Kind.tcp6: Feature.tcp6
            default: throw .notNegotiated(flags: flags, segmentation: kind)
            }
        let needsChecksum = flags & Self.needsChecksum != 0
        guard features.isSuperset(of: needsChecksum ? needed.union(Feature.checksum) : needed) else {
            throw .notNegotiated(flags: flags, segmentation: kind)
        }
        let limit = kind == Kind.none ? NetworkFrame.maxLength : Self.maxUncutLength
        guard (NetworkFrame.headerLength...limit).contains(bytes.count) else { throw .length(count: bytes.count) }
        if needsChecksum {
            let (start, offset) = (field(6), field(8))
            guard start >= NetworkFrame.headerLength, start + offset + 2 <= bytes.count else {
                throw .checksum(start: start, offset: offset, count: bytes.count)
            }
            checksum = Checksum(start: start, field: start + offset)
        } else {
            checksum = nil
        }
        guard kind != Kind.none else {
            cut = nil
            return
        }
        guard let checksum else { throw .segmentation(.withoutChecksum) }
        cut = try Self.cut(bytes, checksum, size: field(4), isIPv4: kind == Kind.tcp4)
    }

    private static func cut(
        _ bytes: [UInt8],
        _ checksum: Checksum,
        size: Int,
        isIPv4: Bool,
    ) throws(Violation) -> Cut {
        let transport = checksum.start
        // TCP's checksum is at 16 of 20 bytes.
        guard checksum.field == transport + 16, transport + 20 <= bytes.count else {
            throw .segmentation(.transportHeader)
        }
        var network = NetworkFrame.headerLength
        var etherType = bytes.field16(at: network - 2)
        if etherType == 0x8100 {
            network += 4
            guard network <= transport else { throw .segmentation(.networkHeader) }
            etherType = bytes.field16(at: network - 2)
        }
        guard etherType == (isIPv4 ? 0x0800 : 0x86DD) else { throw .segmentation(.etherType(etherType)) }
        guard transport - network >= (isIPv4 ? 20 : 40) else { throw .segmentation(.networkHeader) }
        let first = bytes[network]
        if isIPv4 {
            guard first >> 4 == 4, Int(first & 15) * 4 == transport - network, bytes[network + 9] == 6 else {
                throw .segmentation(.networkHeader)
            }
        } else {
            guard first >> 4 == 6 else { throw .segmentation(.networkHeader) }
        }
        let data = transport + Int(bytes[transport + 12] >> 4) * 4
        guard data >= transport + 20, data <= bytes.count, data <= maxHeaders else {
            throw .segmentation(.transportHeader)
        }
        guard size >= minSegment, data + size <= NetworkFrame.maxLength else { throw .segmentation(.size(size)) }
        return Cut(isIPv4: isIPv4, network: network, transport: transport, data: data, size: size)
    }

    // MARK: What it becomes

    /// Calls `body` with each frame that the network gets.
    package func forEachFrame(_ body: ([UInt8]) -> Void) {
        guard let checksum else { return body(bytes) }
        guard let cut, bytes.count - cut.data > cut.size else {
            var frame = bytes
            frame.completeChecksum(from: checksum.start, field: checksum.field)
            return body(frame)
        }
        for (index, offset) in stride(from: cut.data, to: bytes.count, by: cut.size).enumerated() {
            body(segment(index, offset..<min(offset + cut.size, bytes.count), cut, checksum))
        }
    }

    private func segment(_ index: Int, _ data: Range<Int>, _ cut: Cut, _ checksum: Checksum) -> [UInt8] {
        var frame = Array(bytes[..<cut.data])
        frame += bytes[data]
        if cut.isIPv4 {
            frame.setField16(UInt16(truncatingIfNeeded: frame.count - cut.network), at: cut.network + 2)
            let id = frame.field16(at: cut.network + 4) &+ UInt16(truncatingIfNeeded: index)
            frame.setField16(id, at: cut.network + 4)
            frame.setField16(0, at: cut.network + 10)
            let sum = InternetChecksum.sum(frame[cut.network..<cut.transport])
            frame.setField16(~InternetChecksum.folded(sum), at: cut.network + 10)
        } else {
            frame.setField16(UInt16(truncatingIfNeeded: frame.count - cut.network - 40), at: cut.network + 4)
        }
        let tcp = cut.transport
        let sequence = UInt32(frame.field16(at: tcp + 4)) << 16 | UInt32(frame.field16(at: tcp + 6))
        let moved = sequence &+ UInt32(truncatingIfNeeded: data.lowerBound - cut.data)
        frame.setField16(UInt16(truncatingIfNeeded: moved >> 16), at: tcp + 4)
        frame.setField16(UInt16(truncatingIfNeeded: moved), at: tcp + 6)
        // The end and the push belong to the last, the notice of a smaller window to the first.
        if data.upperBound < bytes.count { frame[tcp + 13] &= ~0x09 }
        if index > 0 { frame[tcp + 13] &= ~0x80 }
        // The pseudo-header counts the length of the whole, and is to count that of this part.
        let whole = UInt16(truncatingIfNeeded: bytes.count - tcp)
        let part = UInt64(frame.count - tcp)
        let pseudo = UInt64(frame.field16(at: checksum.field)) + UInt64(~whole) + part
        frame.setField16(InternetChecksum.folded(pseudo), at: checksum.field)
        frame.completeChecksum(from: checksum.start, field: checksum.field)
        return frame
    }
}
