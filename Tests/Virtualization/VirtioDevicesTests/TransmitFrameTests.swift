import Testing
import Virtio

@testable import VirtioDevices

/// Checksums and segments as RFC 1071, 791 and 9293 have them, computed in another way than the device does it.
private enum Oracle {
    /// Ones' complement sum, word by word with the carry at once.
    static func sum(_ bytes: [UInt8]) -> UInt16 {
        var sum: UInt32 = 0
        for index in bytes.indices {
            sum += index % 2 == 0 ? UInt32(bytes[index]) << 8 : UInt32(bytes[index])
            if sum > 0xFFFF { sum = sum - 0xFFFF }
        }
        return UInt16(sum)
    }

    static func bigEndian(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)] }
}

@Suite("Frame from a guest") struct TransmitFrameTests {
    private static let all: VirtioFeatures = [
        TransmitFrame.Feature.checksum, TransmitFrame.Feature.tcp4, TransmitFrame.Feature.tcp6,
    ]
    private static let addresses4: [UInt8] = [10, 0, 2, 15, 10, 0, 2, 2]
    private static let addresses6: [UInt8] = (0..<32).map { UInt8($0) }

    /// `struct virtio_net_hdr_v1`.
    private static func header(
        flags: UInt8 = 0,
        kind: UInt8 = 0,
        size: Int = 0,
        start: Int = 0,
        offset: Int = 0,
    ) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { [UInt8(value & 0xFF), UInt8(value >> 8)] }
        var header: [UInt8] = [flags, kind, 0, 0]
        for value in [size, start, offset, 0] { header += little(value) }
        return header
    }

    private static func pseudoHeader(_ isIPv4: Bool, _ length: Int) -> [UInt8] {
        var header = isIPv4 ? addresses4 : addresses6
        header += [0, 6] as [UInt8]
        header += Oracle.bigEndian(length)
        return header
    }

    /// Ethernet, with a tag if wanted; IPv4 or IPv6; TCP whose checksum is the sum of the pseudo-header.
    private static func tcp(_ data: [UInt8], isIPv4: Bool, isTagged: Bool = false) -> (frame: [UInt8], start: Int) {
        let length = 20 + data.count
        let addresses = isIPv4 ? addresses4 : addresses6
        let pseudo = Oracle.sum(pseudoHeader(isIPv4, length))
        var frame = [UInt8](repeating: 0x52, count: 12)
        if isTagged { frame += [0x81, 0, 0, 5] as [UInt8] }
        if isIPv4 {
            frame += [8, 0, 0x45, 0] as [UInt8]
            frame += Oracle.bigEndian(20 + length)
            // The identification is 0xFFFE, so that it turns over.
            frame += [0xFF, 0xFE, 0x40, 0, 64, 6, 0, 0] as [UInt8]
        } else {
            frame += [0x86, 0xDD, 0x60, 0, 0, 0] as [UInt8]
            frame += Oracle.bigEndian(length)
            frame += [6, 64] as [UInt8]
        }
        frame += addresses
        let start = frame.count
        // Ports; a sequence number that turns over; everything set of CWR, PSH, FIN and ACK.
        frame += [4, 0, 0, 80, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 1, 0x50, 0x99, 1, 0] as [UInt8]
        frame += Oracle.bigEndian(Int(pseudo))
        frame += [0, 0] as [UInt8]
        frame += data
        return (frame, start)
    }

    private static func frames(_ request: [UInt8], _ features: VirtioFeatures = all) throws -> [[UInt8]] {
        var frames: [[UInt8]] = []
        try TransmitFrame(request, features: features).forEachFrame { frames.append($0) }
        return frames
    }

    @Test func `a frame with nothing left to do is sent as it is`() throws {
        let frame = (0..<60).map { UInt8($0) }
        #expect(try Self.frames(Self.header() + frame) == [frame])
        #expect(try Self.frames(Self.header() + frame, []) == [frame])
    }

    @Test(arguments: [0, 1, 7, 1460, 65000], [true, false])
    func `a checksum is completed`(_ count: Int, _ isIPv4: Bool) throws {
        let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 7) }
        let (frame, start) = Self.tcp(data, isIPv4: isIPv4)
        let sent = try Self.frames(Self.header(flags: 1, start: start, offset: 16) + frame)
        #expect(sent.count == 1)
        let segment = Array(sent[0][start...])
        #expect(Oracle.sum(Self.pseudoHeader(isIPv4, segment.count) + segment) == 0xFFFF)
        #expect(sent[0].count == frame.count)
    }

    @Test func `a checksum of zero is sent as all ones, because zero is none`() throws {
        // A word of ones and nothing else sums to 0xFFFF, whose complement is zero.
        var frame = [UInt8](repeating: 0, count: 14)
        frame += [0xFF, 0xFF, 0, 0] as [UInt8]
        let sent = try Self.frames(Self.header(flags: 1, start: 14, offset: 2) + frame)
        #expect(sent[0].suffix(2) == [0xFF, 0xFF])
    }

    @Test(arguments: [(true, false), (true, true), (false, false), (false, true)] as [(Bool, Bool)])
    func `a long segment is cut into valid ones`(_ isIPv4: Bool, _ isTagged: Bool) throws {
        let data = (0..<10_001).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let (frame, start) = Self.tcp(data, isIPv4: isIPv4, isTagged: isTagged)
        let kind: UInt8 = isIPv4 ? 1 : 4
        let sent = try Self.frames(Self.header(flags: 1, kind: kind, size: 1460, start: start, offset: 16) + frame)
        #expect(sent.count == 7)
        var received: [UInt8] = []
        for (index, part) in sent.enumerated() {
            let segment = Array(part[start...])
            let network = isTagged ? 18 : 14
            #expect(part.prefix(network) == frame.prefix(network))
            if isIPv4 {
                #expect(Oracle.sum(Array(part[network..<start])) == 0xFFFF)
                #expect(Array(part[network + 2..<network + 4]) == Oracle.bigEndian(part.count - network))
                #expect(Array(part[network + 4..<network + 6]) == Oracle.bigEndian((0xFFFE + index) & 0xFFFF))
            } else {
                #expect(Array(part[network + 4..<network + 6]) == Oracle.bigEndian(part.count - network - 40))
            }
            #expect(Oracle.sum(Self.pseudoHeader(isIPv4, segment.count) + segment) == 0xFFFF)
            let sequence = segment[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            #expect(sequence == 0xFFFF_FF00 &+ UInt32(received.count))
            let isLast = index == sent.count - 1
            let flags: UInt8 = 0x10 | (index == 0 ? 0x80 : 0) | (isLast ? 0x09 : 0)
            #expect(segment[13] == flags)
            received += segment[20...]
        }
        #expect(received == data)
    }

    @Test func `a segment that is short enough is not cut`() throws {
        let (frame, start) = Self.tcp([1, 2, 3], isIPv4: true)
        let sent = try Self.frames(Self.header(flags: 1, kind: 1, size: 1460, start: start, offset: 16) + frame)
        #expect(sent.map(\.count) == [frame.count])
        #expect(sent[0][start + 13] == 0x99)
    }

    @Test func `what no driver that means well sends is a violation`() throws {
        typealias Violation = TransmitFrame.Violation
        let (frame, start) = Self.tcp([UInt8](repeating: 1, count: 5000), isIPv4: true)
        func cut(size: Int = 1460, offset: Int = 16, flags: UInt8 = 1, kind: UInt8 = 1) -> [UInt8] {
            Self.header(flags: flags, kind: kind, size: size, start: start, offset: offset)
        }
        var wrongVersion = frame
        wrongVersion[14] = 0x65
        var wrongLength = frame
        wrongLength[14] = 0x46
        var wrongProtocol = frame
        wrongProtocol[23] = 17
        var noHeader = frame
        noHeader[start + 12] = 0x40
        let cases: [([UInt8], Violation)] = [
            ([UInt8](repeating: 0, count: 11), .header(count: 11)),
            (Self.header() + [UInt8](repeating: 0, count: 13), .length(count: 13)),
            (Self.header() + [UInt8](repeating: 0, count: 65539), .length(count: 65539)),
            (Self.header(flags: 1, start: 5058, offset: 16) + frame, .checksum(start: 5058, offset: 16, count: 5054)),
            (
                Self.header(flags: 1, start: 0xFFFF, offset: 0xFFFF) + frame,
                .checksum(start: 0xFFFF, offset: 0xFFFF, count: 5054)
            ),
            (Self.header(flags: 1, start: 4, offset: 2) + frame, .checksum(start: 4, offset: 2, count: 5054)),
            (cut(kind: 3) + frame, .notNegotiated(flags: 1, segmentation: 3)),
            (cut(kind: 0x81) + frame, .notNegotiated(flags: 1, segmentation: 0x81)),
            (cut(flags: 0) + frame, .segmentation(.withoutChecksum)),
            (cut(size: 0) + frame, .segmentation(.size(0))),
            (cut(size: 7) + frame, .segmentation(.size(7))),
            (cut(size: 0xFFFF) + frame, .segmentation(.size(0xFFFF))),
            (cut(offset: 6) + frame, .segmentation(.transportHeader)),
            (cut(kind: 4) + frame, .segmentation(.etherType(0x0800))),
            (cut() + wrongVersion, .segmentation(.networkHeader)),
            (cut() + wrongLength, .segmentation(.networkHeader)),
            (cut() + wrongProtocol, .segmentation(.networkHeader)),
            (cut() + noHeader, .segmentation(.transportHeader)),
            (
                Self.header(flags: 1, kind: 1, size: 1460, start: 14, offset: 16) + frame.prefix(40),
                .segmentation(.networkHeader)
            ),
        ]
        for (request, violation) in cases {
            #expect(throws: violation) { try Self.frames(request) }
        }
        #expect(throws: Violation.notNegotiated(flags: 1, segmentation: 0)) {
            try Self.frames(cut(kind: 0) + frame, [])
        }
        #expect(throws: Violation.notNegotiated(flags: 1, segmentation: 1)) {
            try Self.frames(cut() + frame, TransmitFrame.Feature.checksum)
        }
    }

    @Test func `random changes never trap, and what one request becomes is bounded`() {
        var random = SystemRandomNumberGenerator()
        for round in 0..<3000 {
            let data = [UInt8](repeating: 1, count: Int.random(in: 0..<3000, using: &random))
            let (frame, start) = Self.tcp(data, isIPv4: round % 2 == 0, isTagged: round % 3 == 0)
            let size = Int.random(in: 0..<2000, using: &random)
            var request =
                Self.header(flags: 1, kind: round % 2 == 0 ? 1 : 4, size: size, start: start, offset: 16) + frame
            for _ in 0..<Int.random(in: 0..<4, using: &random) {
                let index = Int.random(in: 0..<min(120, request.count), using: &random)
                request[index] = random.next()
            }
            guard let sent = try? Self.frames(request) else { continue }
            #expect(sent.allSatisfy { $0.count <= NetworkFrame.maxLength })
            #expect(sent.reduce(0) { $0 + $1.count } <= 2 << 20)
        }
    }
}

@Suite("Frames on a stream") struct FrameDecoderTests {
    private static func framed(_ frame: [UInt8]) -> [UInt8] {
        [0, 0, UInt8(frame.count >> 8), UInt8(frame.count & 0xFF)] + frame
    }

    @Test(arguments: [1, 3, 4, 5, 17, 1000]) func `frames arrive whole in pieces of any size`(_ size: Int) throws {
        let frames = [14, 60, 1514, 14].map { count in (0..<count).map { UInt8(truncatingIfNeeded: $0) } }
        let bytes = frames.flatMap(Self.framed)
        var decoder = FrameDecoder()
        var received: [[UInt8]] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            decoder.append(Array(bytes[start..<min(start + size, bytes.count)]))
            while let frame = try decoder.first.map(Array.init) {
                received.append(frame)
                decoder.removeFirst(length: frame.count)
            }
        }
        #expect(received == frames)
        #expect(decoder.count == 0)
    }

    @Test(arguments: [0, 13, 65539, 0x8000_0000, .max] as [UInt32])
    func `a length that no frame has is a violation before anything of it arrives`(_ length: UInt32) {
        var decoder = FrameDecoder()
        decoder.append((0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * UInt32($0))) })
        #expect(throws: FrameDecoder.Violation.self) { try decoder.first }
    }
}
