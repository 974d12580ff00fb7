import Virtio

@testable import VirtioDevices

extension FuzzTarget {
    /// The first byte chooses the side: a request of the guest, or the stream of its peer in pieces.
    static let networkFrames = FuzzTarget("network-frames") { bytes in
        var input = InputReader(bytes)
        let choice = input.byte()
        if choice & 1 == 0 {
            request(startsWith: Int(choice >> 1) % 3, input.bytes(1 << 17))
        } else {
            stream(input.bytes(1 << 17), step: Int(choice >> 1) + 1)
        }
    }

    private static let features: VirtioFeatures = [
        TransmitFrame.Feature.checksum, TransmitFrame.Feature.tcp4, TransmitFrame.Feature.tcp6,
    ]

    /// What may stand in front of a request, so that the fuzzer need not find it: Ethernet, IP and TCP, with all left to the
    /// device.
    private static func headers(_ kind: Int) -> [UInt8] {
        if kind == 0 { return [] }
        let isIPv4 = kind == 1
        var bytes: [UInt8] = [1, isIPv4 ? 1 : 4, 0, 0, 8, 0, isIPv4 ? 34 : 54, 0, 16, 0, 0, 0]
        bytes += [UInt8](repeating: 0x52, count: 12)
        bytes += isIPv4 ? [8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6] : [0x86, 0xDD, 0x60]
        bytes += [UInt8](repeating: 0, count: (isIPv4 ? 10 : 39) + 12)
        bytes += [0x50, 0x18, 0, 0, 0, 0, 0, 0] as [UInt8]
        return bytes
    }

    private static func request(startsWith kind: Int, _ rest: [UInt8]) {
        guard let frame = try? TransmitFrame(headers(kind) + rest, features: features) else { return }
        var total = 0
        frame.forEachFrame { frame in
            precondition((14...NetworkFrame.maxLength).contains(frame.count), "it is a frame")
            total += frame.count
        }
        precondition(total <= 4 << 20, "one request becomes no more")
    }

    private static func stream(_ bytes: [UInt8], step: Int) {
        var decoder = FrameDecoder()
        var rest = bytes[...]
        while !rest.isEmpty {
            decoder.append(Array(rest.prefix(step)))
            rest = rest.dropFirst(step)
            do {
                while let length = try decoder.first?.count { decoder.removeFirst(length: length) }
            } catch {
                return
            }
            precondition(decoder.count < 4 + NetworkFrame.maxLength, "no more than a frame is held")
        }
    }
}
