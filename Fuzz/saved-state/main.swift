import FuzzDriver
import Virtio
import VirtioDevices

/// What was decoded is encoded as it was, and checked against a device that it may be of.
func check<State: SavedState>(_: State.Type, _ bytes: [UInt8]) -> State? {
    guard let state = try? State(decoding: bytes) else { return nil }
    precondition(state.encoded == bytes, "there is one encoding")
    return state
}

/// The first byte chooses the kind of state.
fuzz { bytes in
    guard let first = bytes.first else { return }
    let rest = Array(bytes.dropFirst())
    switch first % 6 {
    case 0:
        guard let state = check(MMIOTransport.State.self, rest) else { return }
        try? state.check(against: ConsoleDevice.description(portCount: 1))
        try? state.check(against: EntropyDevice.description)
    case 1: _ = check(ConsoleDevice.State.self, rest)
    case 2: _ = check(FileSystemDevice.State.self, rest)
    case 3: _ = check(BlockDevice.State.self, rest)
    case 4: _ = check(NetworkDevice.State.self, rest)
    default: _ = check(VirtQueue.State.self, rest)
    }
}
