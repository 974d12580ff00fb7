internal import CKVM

/// Numbers of `ioctl(2)`, for the filter that lets them through.
package enum KVMRequest {
    package static let run = UInt32(truncatingIfNeeded: CKVM_RUN.rawValue)
    /// What ties descriptors to a machine.
    package static let connections = [CKVM_IRQFD, CKVM_IOEVENTFD].map { UInt32(truncatingIfNeeded: $0.rawValue) }
}
