/// What driver and device agree on (virtio 1.2, section 6). Bits below 24 belong to the kind of device.
package struct VirtioFeatures: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package static let indirectDescriptors = VirtioFeatures(rawValue: 1 << 28)
    package static let eventIndex = VirtioFeatures(rawValue: 1 << 29)
    /// The only version that we speak: without it a driver is refused.
    package static let version1 = VirtioFeatures(rawValue: 1 << 32)

    /// Of every device.
    package static let transport: VirtioFeatures = [.indirectDescriptors, .eventIndex, .version1]
}

/// Numbers of section 5.
package enum VirtioDeviceKind: UInt32, Hashable, Sendable {
    case network = 1
    case block = 2
    case console = 3
    case entropy = 4
    case balloon = 5
    case socket = 19
    case fileSystem = 26
}
