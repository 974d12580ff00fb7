import FuzzDriver
import Virtio

@testable import VirtioDevices

/// Headers in front of a request, so that the fuzzer need not find them: none, then Ethernet, IP and TCP with all that is left
/// to the device.
let prefixes: [[UInt8]] = [
    [],
    [1, 1, 0, 0, 8, 0, 34, 0, 16, 0, 0, 0] + [UInt8](repeating: 0x52, count: 12) + [
        8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6,
    ]
        + [UInt8](repeating: 0, count: 10) + [UInt8](repeating: 0, count: 12) + [0x50, 0x18, 0, 0, 0, 0, 0, 0],
    [1, 4, 0, 0, 8, 0, 54, 0, 16, 0, 0, 0] + [UInt8](repeating: 0x52, count: 12) + [0x86, 0xDD, 0x60]
        + [UInt8](repeating: 0, count: 39) + [UInt8](repeating: 0, count: 12) + [0x50, 0x18, 0, 0, 0, 0, 0, 0],
]
let features: VirtioFeatures = [
    TransmitFrame.Feature.checksum, TransmitFrame.Feature.tcp4, TransmitFrame.Feature.tcp6,
]

/// The first byte chooses the side: a request of the guest, or the stream of the peer in pieces.
fuzz { bytes in
    guard let first = bytes.first else { return }
    if first & 1 == 0 {
        let request = prefixes[Int(first >> 1) % prefixes.count] + bytes.dropFirst()
        guard let frame = try? TransmitFrame(request, features: features) else { return }
        var total = 0
        frame.forEachFrame { frame in
            precondition((14...NetworkFrame.maxLength).contains(frame.count), "a frame")
            total += frame.count
        }
        precondition(total <= 4 << 20, "one request becomes no more")
        return
    }
    let step = Int(first >> 1) + 1
    var decoder = FrameDecoder()
    var rest = bytes.dropFirst()
    while !rest.isEmpty {
        decoder.append(Array(rest.prefix(step)))
        rest = rest.dropFirst(step)
        while true {
            let length: Int
            do {
                guard let frame = try decoder.first else { break }
                length = frame.count
            } catch {
                return
            }
            decoder.removeFirst(length: length)
        }
        precondition(decoder.count < NetworkFrame.maxLength + 4 + step, "one frame is held")
    }
}
