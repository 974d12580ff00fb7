package import GuestAPI
internal import LinuxSystem

/// What the agent serves under. Fixed before the first call; no call widens it.
package struct GuestAgentSettings {
    package struct Limits: Equatable {
        package var openFiles: UInt64
        /// 0: none.
        package var processes: UInt64
        /// 0: unlimited.
        package var fileBytes: UInt64

        /// Of one exec's cgroup. An eighth less than what the user may have in all: a program that fills its own cgroup
        /// leaves its user room to start another one, such as the one that stops it.
        package var processesPerExec: UInt64 { processes - processes / 8 }
    }

    static let defaultOpenFiles: UInt64 = 65536
    static let defaultProcesses: UInt64 = 4096

    let programs: ProgramPolicy
    package var limits: Limits
    let environment: ExecEnvironment
    let fileRoots: FileRoots
    /// Where a program starts that asks for no place.
    package var workingDirectory = "/workspace"
    /// The cgroup that all execs live in; nil: none, and an exec is only a process group.
    package var controlGroup: String?
    /// For what is still on its way to the output when a program ends, as in `program > >(tee log)`.
    package var outputGrace = Duration.milliseconds(200)
    /// Parts of the boot that did not go as asked.
    package var warnings: [String] = []

    package init(_ parameters: Voidbox_Guest_V1_BootParameters) {
        let policy = parameters.policy
        programs = policy.allowAnyProgram ? .any : .only(policy.allowedPrograms)
        limits = Limits(
            openFiles: policy.maxOpenFiles == 0 ? Self.defaultOpenFiles : policy.maxOpenFiles,
            processes: policy.maxProcesses == 0 ? Self.defaultProcesses : policy.maxProcesses,
            fileBytes: policy.maxFileBytes,
        )
        let points = parameters.disks.map(\.mountPoint).filter { $0.hasPrefix("/opt/") }
        environment = ExecEnvironment(
            boxDefaults: parameters.environment,
            diskBinaries: points.map { $0 + ($0.hasSuffix("/") ? "bin" : "/bin") },
        )
        fileRoots = FileRoots(policy.fileRoots)
    }
}
