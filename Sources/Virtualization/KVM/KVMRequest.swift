internal import CKVM

/// Numbers of `ioctl(2)`, for the filter that lets them through.
package enum KVMRequest {
    package static let run = number(CKVM_RUN)
    /// What ties a device to a machine.
    package static let connections = [CKVM_IOEVENTFD, CKVM_SET_USER_MEMORY_REGION].map(number)
    package static let interrupt = number(CKVM_IRQ_LINE)

    private static func number(_ request: ckvm_request) -> UInt32 { UInt32(truncatingIfNeeded: request.rawValue) }
}
