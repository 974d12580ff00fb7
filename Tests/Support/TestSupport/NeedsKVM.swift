import Foundation
import LinuxSystem
package import Testing

extension Trait where Self == ConditionTrait {
    /// Needs a complete /dev/kvm. With `VOIDBOX_REQUIRE_KVM=1` the test runs, and fails, without it.
    package static var needsKVM: Self {
        .enabled("the host has no hardware virtualization, or no usable /dev/kvm (scripts/kvm-lab has)") {
            if ProcessInfo.processInfo.environment["VOIDBOX_REQUIRE_KVM"] == "1" { return true }
            return HostFacts.hasHardwareVirtualization && HostFacts.mayReadAndWrite("/dev/kvm")
        }
    }
}
