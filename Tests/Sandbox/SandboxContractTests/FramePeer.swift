import LinuxSystem
import Sandboxing
import Synchronization

/// A network of one host, 10.0.2.2, at the other end of a box's frames: it answers ARP and pings, echoes UDP on port 7, and on
/// TCP port 9 takes all that comes and says how much it was.
final class FramePeer: Sendable {
    struct Counts: Sendable, Equatable {
        var badChecksums = 0
        var longestSegment = 0
        var longestFrame = 0
        var pings = 0
    }

    private static let prefixLength = 4

    private let stream: OwnedFD
    private let state = Mutex(Host())

    var counts: Counts { state.withLock { $0.counts } }

    private init(_ stream: consuming OwnedFD) {
        self.stream = stream
    }

    /// The end for the box. The peer ends when all copies of it are closed.
    static func start() throws -> (peer: FramePeer, end: SandboxConfiguration.FrameStream) {
        let (ours, theirs) = try OwnedFD.socketPair().relinquish()
        let end = SandboxConfiguration.FrameStream(OwnedFD(adopting: theirs))
        let peer = FramePeer(OwnedFD(adopting: ours))
        try startThread(named: "frame-peer") { peer.serve() }
        return (peer, end)
    }

    private func serve() {
        var buffer: [UInt8] = []
        while true {
            guard case .bytes(let bytes)? = try? stream.read(upTo: 1 << 18) else { return }
            buffer += bytes
            var rest = buffer[...]
            while rest.count >= Self.prefixLength {
                let length = rest.prefix(Self.prefixLength).reduce(0) { $0 << 8 | Int($1) }
                guard rest.count >= Self.prefixLength + length else { break }
                let frame = Array(rest.dropFirst(Self.prefixLength).prefix(length))
                rest = rest.dropFirst(Self.prefixLength + length)
                for answer in state.withLock({ $0.answer(frame) }) {
                    let prefix = (0..<4).map { UInt8(truncatingIfNeeded: answer.count >> (24 - 8 * $0)) }
                    // A box that is gone needs no answer.
                    try? stream.writeAll(prefix + answer)
                }
            }
            buffer = Array(rest)
        }
    }

    /// What the host answers to a frame. Pure.
    struct Host: Sendable {
        private static let mac: [UInt8] = [0x52, 0x55, 10, 0, 2, 2]
        private static let address: [UInt8] = [10, 0, 2, 2]
        private static let maxSegment: UInt16 = 1460

        var counts = Counts()
        private var expected: UInt32 = 0
        private var taken = 0

        mutating func answer(_ frame: [UInt8]) -> [[UInt8]] {
            counts.longestFrame = max(counts.longestFrame, frame.count)
            guard frame.count >= 34 else { return [] }
            switch Self.number(frame[12..<14]) {
            case 0x0806: return arp(frame)
            case 0x0800 where frame[30..<34].elementsEqual(Self.address): return ip(frame)
            default: return []
            }
        }

        private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
        private static func bytes(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
        }

        /// 0xFFFF over what holds its own checksum.
        private static func sum(_ bytes: [UInt8]) -> Int {
            var sum = 0
            for (index, byte) in bytes.enumerated() { sum += index % 2 == 0 ? Int(byte) << 8 : Int(byte) }
            while sum > 0xFFFF { sum = sum & 0xFFFF + sum >> 16 }
            return sum
        }

        private func arp(_ frame: [UInt8]) -> [[UInt8]] {
            guard frame.count >= 42, Self.number(frame[20..<22]) == 1, frame[38..<42].elementsEqual(Self.address)
            else { return [] }
            let asker = Array(frame[22..<32])
            var reply = Array(frame[22..<28])
            reply += Self.mac
            reply += [8, 6, 0, 1, 8, 0, 6, 4, 0, 2] as [UInt8]
            reply += Self.mac
            reply += Self.address
            reply += asker
            return [reply]
        }

        private mutating func ip(_ frame: [UInt8]) -> [[UInt8]] {
            let length = Self.number(frame[16..<18])
            guard frame[14] == 0x45, frame.count >= 14 + length, length >= 28 else { return [] }
            if Self.sum(Array(frame[14..<34])) != 0xFFFF { counts.badChecksums += 1 }
            let payload = Array(frame[34..<14 + length])
            let pseudo = Self.pseudoHeader(frame, count: payload.count)
            let isValid = Self.sum(frame[23] == 1 ? payload : pseudo + payload) == 0xFFFF
            if !isValid { counts.badChecksums += 1 }
            guard isValid else { return [] }
            let reply: [UInt8]?
            switch frame[23] {
            case 1 where payload[0] == 8:
                counts.pings += 1
                let echo: [UInt8] = [0, 0, 0, 0] + Array(payload[4...])
                reply = Self.withChecksum(echo, at: 2, pseudo: [])
            case 17 where Self.number(payload[2..<4]) == 7:
                var echo = Array(payload[2..<4])
                echo += payload[0..<2]
                echo += payload[4..<6]
                echo += [0, 0]
                echo += payload[8...]
                reply = Self.withChecksum(echo, at: 6, pseudo: pseudo)
            case 6 where payload.count >= 20 && Self.number(payload[2..<4]) == 9: reply = tcp(payload, frame)
            default: reply = nil
            }
            return reply.map { [Self.packet($0, to: frame)] } ?? []
        }

        /// Everything in order is taken and acknowledged; the end is answered with how much it was, and the other end.
        private mutating func tcp(_ segment: [UInt8], _ frame: [UInt8]) -> [UInt8]? {
            let sequence = UInt32(Self.number(segment[4..<8]))
            let data = segment[(Int(segment[12] >> 4) * 4)...]
            let (isStart, isEnd) = (segment[13] & 2 != 0, segment[13] & 1 != 0)
            var flags: UInt8 = 0x10
            var options: [UInt8] = []
            var text: [UInt8] = []
            var own: UInt32 = 1001
            if isStart {
                expected = sequence &+ 1
                taken = 0
                flags = 0x12
                own = 1000
                options = [2, 4] + Self.bytes(Int(Self.maxSegment), 2)
            } else {
                counts.longestSegment = max(counts.longestSegment, data.count)
                if data.isEmpty && !isEnd { return nil }
                if sequence == expected {
                    expected &+= UInt32(data.count)
                    taken += data.count
                    if isEnd {
                        expected &+= 1
                        flags = 0x19
                        text = Array("\(taken)".utf8)
                    }
                }
            }
            var reply = Array(segment[2..<4])
            reply += segment[0..<2]
            reply += Self.bytes(Int(own), 4)
            reply += Self.bytes(Int(expected), 4)
            reply += [UInt8(20 + options.count) << 2, flags, 0xFF, 0xFF, 0, 0, 0, 0] as [UInt8]
            reply += options
            reply += text
            return Self.withChecksum(reply, at: 16, pseudo: Self.pseudoHeader(frame, count: reply.count))
        }

        private static func pseudoHeader(_ frame: [UInt8], count: Int) -> [UInt8] {
            var header = Array(frame[26..<34])
            header += [0, frame[23]] as [UInt8]
            header += bytes(count, 2)
            return header
        }

        private static func withChecksum(_ bytes: [UInt8], at offset: Int, pseudo: [UInt8]) -> [UInt8] {
            var bytes = bytes
            bytes.replaceSubrange(offset..<offset + 2, with: Self.bytes(~sum(pseudo + bytes), 2))
            return bytes
        }

        private static func packet(_ payload: [UInt8], to frame: [UInt8]) -> [UInt8] {
            var header: [UInt8] = [0x45, 0]
            header += bytes(20 + payload.count, 2)
            header += [0, 0, 0x40, 0, 64, frame[23], 0, 0] as [UInt8]
            header += address
            header += frame[26..<30]
            var packet = Array(frame[6..<12])
            packet += mac
            packet += [8, 0] as [UInt8]
            packet += withChecksum(header, at: 10, pseudo: [])
            return packet + payload
        }
    }
}
