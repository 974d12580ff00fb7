import Virtio
import VirtioDevices

extension FuzzTarget {
    /// The first byte chooses the kind of state. What was decoded is encoded as it was.
    static let savedState = FuzzTarget("saved-state") { bytes in
        var input = InputReader(bytes)
        let choice = input.byte() % 8
        let rest = Array(bytes.dropFirst())
        switch choice {
        case 0:
            guard let state = decode(MMIOTransport.State.self, rest) else { return }
            try? state.check(against: ConsoleDevice.description(portCount: 1))
            try? state.check(against: EntropyDevice.description)
        case 1: decode(ConsoleDevice.State.self, rest)
        case 2: decode(FileSystemDevice.State.self, rest)
        case 3: decode(BlockDevice.State.self, rest)
        case 4: decode(NetworkDevice.State.self, rest)
        case 6: decode(BalloonDevice.State.self, rest)
        case 7: decode(VsockDevice.State.self, rest)
        default: decode(VirtQueue.State.self, rest)
        }
    }

    @discardableResult
    private static func decode<State: SavedState>(_: State.Type, _ bytes: [UInt8]) -> State? {
        guard let state = try? State(decoding: bytes) else { return nil }
        precondition(state.encoded == bytes, "there is one encoding")
        return state
    }
}
