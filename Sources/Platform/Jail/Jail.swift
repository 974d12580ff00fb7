internal import LinuxSystem

/// Confines the calling process for good.
///
/// Meant for the worker of one virtual machine, after it has opened all that it will ever use and before the guest's first
/// instruction. Each layer alone should hold what the guest could make of a fault in the worker; they are independent so
/// that one fault in the kernel or in a filter does not open the jail.
package enum Jail {
    /// Puts on all layers that are not waived, in the order of `JailLayer`.
    ///
    /// The process must have one thread, because the kernel binds threads, not processes; those started later inherit all.
    /// Open descriptors keep working; so a directory that is open and not among the plan's shares leads up to the host's
    /// root still, for all calls that Landlock does not judge (`stat`, `chmod`): close it before. After an error the process is confined in part and should end.
    package static func apply(_ plan: JailPlan) throws(JailError) -> JailReport {
        var report = JailReport()
        var state = JailState(plan: plan)
        for layer in JailLayer.allCases {
            if plan.waived.contains(layer) {
                report.append(layer, .waived)
                continue
            }
            do throws(JailError.Cause) {
                let reasons = try state.install(layer)
                report.append(layer, reasons.isEmpty ? .installed : .weaker(reasons))
            } catch {
                throw JailError(layer, error)
            }
        }
        return report
    }

    /// Adds a filter to this thread, for what is left of its life. It can only narrow: of all filters of a thread the strictest
    /// answer holds.
    package static func installSeccomp(_ filter: SeccompFilter) throws(JailError) {
        do throws(JailError.Cause) {
            try filter.install()
        } catch {
            throw JailError(.seccomp, error)
        }
    }
}

/// What one layer must know of another while they are put on.
struct JailState {
    let plan: JailPlan
    /// Whether a user namespace of its own counts this process's threads apart from the user's other processes.
    var hasOwnUserNamespace = false

    init(plan: JailPlan) {
        self.plan = plan
    }

    /// Returns what is missing of the layer.
    mutating func install(_ layer: JailLayer) throws(JailError.Cause) -> [String] {
        switch layer {
        case .noNewPrivileges: return try installNoNewPrivileges()
        case .namespaces: return try installNamespaces()
        case .resourceLimits: return try installResourceLimits()
        case .landlock: return try installLandlock()
        case .credentials: return try installCredentials()
        case .dumpable: return try installDumpable()
        case .seccomp:
            try plan.seccomp.install()
            return []
        }
    }

    /// Runs system calls, whose errors become a cause.
    func attempt<Result>(_ body: () throws(SyscallError) -> Result) throws(JailError.Cause) -> Result {
        do throws(SyscallError) {
            return try body()
        } catch {
            throw .system(error)
        }
    }

    /// A change of user or of capabilities makes the kernel forget the signal that ends this process with its parent.
    func keepingParentDeathSignal(_ body: () throws(JailError.Cause) -> Void) throws(JailError.Cause) {
        let signal = try attempt(ProcessRestrictions.parentDeathSignal)
        let parent = ProcessRestrictions.parentID
        try body()
        if signal == 0 { return }
        try attempt { () throws(SyscallError) in try ProcessRestrictions.setParentDeathSignal(signal) }
        // The parent may have ended while there was no signal.
        if ProcessRestrictions.parentID != parent { throw .parentGone }
    }
}
