internal import CLinux
internal import Glibc

/// What to start, and what the new process gives up before its program runs.
package struct SpawnRequest: Sendable {
    /// Path of the program; not looked up anywhere.
    package var path: String
    /// Arguments, the program's name first.
    package var argv: [String]
    /// `NAME=value`.
    package var environment: [String]
    /// Nil keeps the parent's.
    package var workingDirectory: String?
    /// Sent to the child when the *thread* that spawned it ends: see `Spawner`.
    package var parentDeathSignal: Int32?
    /// The child is process 1 of a PID namespace of its own: it sees and signals no process but those it starts, and of
    /// signals without a handler only `SIGKILL` ends it. Fails at the step `clone` where the host does not allow it.
    package var startsProcessNamespace = false
    package var startsSession = false
    /// Child descriptor 0 becomes the controlling terminal of the child's session.
    package var takesTerminal = false
    package var identity: Identity?
    package var noNewPrivileges = false
    package var oomScoreAdjustment: Int32?
    package var limits: [ResourceLimit] = []

    package init(path: String, argv: [String], environment: [String]) {
        self.path = path
        self.argv = argv
        self.environment = environment
    }

    package struct Identity: Hashable, Sendable {
        package var uid: UInt32
        package var gid: UInt32
        package var groups: [UInt32]

        package init(uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
            self.uid = uid
            self.gid = gid
            self.groups = groups
        }
    }
}

/// A limit of `setrlimit(2)`.
package struct ResourceLimit: Hashable, Sendable {
    package enum Resource: Sendable {
        case openFiles, processes, fileSize, core, lockedMemory

        var number: Int32 {
            switch self {
            case .openFiles: Int32(RLIMIT_NOFILE.rawValue)
            case .processes: Int32(__RLIMIT_NPROC.rawValue)
            case .fileSize: Int32(RLIMIT_FSIZE.rawValue)
            case .core: Int32(RLIMIT_CORE.rawValue)
            case .lockedMemory: Int32(__RLIMIT_MEMLOCK.rawValue)
            }
        }
    }

    package var resource: Resource
    package var soft: UInt64
    package var hard: UInt64

    package init(_ resource: Resource, _ value: UInt64) {
        self.resource = resource
        soft = value
        hard = value
    }

    fileprivate var shim: clinux_rlimit {
        clinux_rlimit(resource: resource.number, soft: soft, hard: hard)
    }
}

/// Why a process did not start: the step that failed, in the order in which the child takes them.
package struct SpawnError: Error, Equatable, CustomStringConvertible {
    package enum Step: Int32, Sendable {
        case clone, parentGone, session, descriptors, resourceLimit, oomScore, identity, noNewPrivileges
        case workingDirectory, execute, namespace
    }

    package let step: Step
    package let errno: Errno
    package let path: String

    package var description: String {
        switch step {
        case .execute: "cannot execute \(path): \(errno)"
        case .workingDirectory: "cannot enter the working directory of \(path): \(errno)"
        default: "cannot start \(path): \(step) failed: \(errno)"
        }
    }
}

package enum TerminationStatus: Hashable, Sendable {
    case exited(Int32)
    case signalled(Int32)
}

/// A process that this one started. Its descriptor becomes readable when it has ended.
package struct ChildProcess: ~Copyable, Sendable {
    package let pid: Int32
    package let pidfd: OwnedFD

    /// Starts a process whose descriptor `i` is a duplicate of `descriptors[i]`; it gets no others.
    package static func spawn(
        _ request: SpawnRequest,
        descriptors: [Int32],
        cgroup: borrowing OwnedFD,
    ) throws(SpawnError) -> ChildProcess {
        try start(request, descriptors, cgroup: cgroup.rawValue)
    }

    package static func spawn(_ request: SpawnRequest, descriptors: [Int32]) throws(SpawnError) -> ChildProcess {
        try start(request, descriptors, cgroup: -1)
    }

    package func signal(_ number: Int32) throws(SyscallError) {
        try checked("pidfd_send_signal", on: String(pid), clinux_pidfd_send_signal(pidfd.rawValue, number))
    }

    /// How it ended; nil while it runs. To be asked until it answers, once: the kernel keeps the answer no longer.
    package func reap() throws(SyscallError) -> TerminationStatus? {
        var code: Int32 = 0
        var status: Int32 = 0
        // SAFETY: the shim stores one value behind each pointer.
        try checked("waitid", on: String(pid), unsafe clinux_reap(pidfd.rawValue, &code, &status))
        switch code {
        case 0: return nil
        case Int32(CLD_EXITED): return .exited(status)
        default: return .signalled(status)
        }
    }

    private static func start(
        _ request: SpawnRequest,
        _ descriptors: [Int32],
        cgroup: Int32,
    ) throws(SpawnError) -> ChildProcess {
        var pidfd: Int32 = -1
        var step: Int32 = 0
        let limits = request.limits.map(\.shim)
        let groups = request.identity?.groups ?? []
        // SAFETY: every pointer in the options is valid until the call returns, and the child works on its own copy.
        let result: Int32 = unsafe withCStrings(request.argv) { argv in
            unsafe withCStrings(request.environment) { environment in
                unsafe request.path.withCString { path in
                    unsafe withOptionalCString(request.workingDirectory) { directory in
                        unsafe descriptors.withUnsafeBufferPointer { descriptors in
                            unsafe limits.withUnsafeBufferPointer { limits in
                                unsafe groups.withUnsafeBufferPointer { groups in
                                    var options = unsafe clinux_spawn_options()
                                    unsafe options.path = path
                                    unsafe options.argv = UnsafePointer(argv)
                                    unsafe options.envp = UnsafePointer(environment)
                                    unsafe options.cwd = directory
                                    unsafe options.descriptors = descriptors.baseAddress
                                    unsafe options.descriptor_count = Int32(descriptors.count)
                                    unsafe options.cgroup_fd = cgroup
                                    unsafe options.parent_death_signal = request.parentDeathSignal ?? 0
                                    unsafe options.new_pid_namespace = request.startsProcessNamespace ? 1 : 0
                                    unsafe options.new_session = request.startsSession ? 1 : 0
                                    unsafe options.controlling_terminal = request.takesTerminal ? 1 : 0
                                    unsafe options.set_ids = request.identity == nil ? 0 : 1
                                    unsafe options.uid = request.identity?.uid ?? 0
                                    unsafe options.gid = request.identity?.gid ?? 0
                                    unsafe options.groups = groups.baseAddress
                                    unsafe options.group_count = Int32(groups.count)
                                    unsafe options.no_new_privs = request.noNewPrivileges ? 1 : 0
                                    unsafe options.set_oom_score_adj = request.oomScoreAdjustment == nil ? 0 : 1
                                    unsafe options.oom_score_adj = request.oomScoreAdjustment ?? 0
                                    unsafe options.rlimits = limits.baseAddress
                                    unsafe options.rlimit_count = Int32(limits.count)
                                    return unsafe clinux_spawn(&options, &pidfd, &step)
                                }
                            }
                        }
                    }
                }
            }
        }
        guard result >= 0 else {
            let failed = SpawnError.Step(rawValue: step) ?? .clone
            throw SpawnError(step: failed, errno: Errno(rawValue: -result), path: request.path)
        }
        return ChildProcess(pid: result, pidfd: OwnedFD(adopting: pidfd))
    }
}

/// Calls `body` with a null-terminated array of C strings.
private func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result,
) -> Result {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for string in strings {
        offsets.append(bytes.count)
        bytes += string.utf8.lazy.filter { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
    }
    // SAFETY: each offset is the start of a terminated string inside `bytes`, and both buffers outlive `body`.
    return unsafe bytes.withUnsafeMutableBufferPointer { bytes in
        var pointers = unsafe offsets.map { offset in unsafe bytes.baseAddress.map { unsafe $0 + offset } }
        unsafe pointers.append(nil)
        return unsafe pointers.withUnsafeMutableBufferPointer { pointers in
            guard let base = pointers.baseAddress else { preconditionFailure("the array holds its terminator") }
            return unsafe body(base)
        }
    }
}

private func withOptionalCString<Result>(_ string: String?, _ body: (UnsafePointer<CChar>?) -> Result) -> Result {
    guard let string else { return body(nil) }
    return unsafe string.withCString { unsafe body($0) }
}
