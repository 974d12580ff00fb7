package import Primitives

/// A running box. Calls may overlap freely; each throws `SandboxError`, or `CancellationError` when its task is cancelled.
package protocol SandboxInstance: Sendable {
    var identity: SandboxIdentity { get }

    func health() async throws -> GuestHealth

    /// Starts a program. If the returned session is released without having ended or been detached, the program is killed.
    func exec(_ request: ExecRequest) async throws -> any ExecSession
    /// Attaches to a detached program and gets what it wrote meanwhile, as far as it was kept.
    func attach(to id: String) async throws -> any ExecSession
    func listExecs() async throws -> [ExecInfo]
    func signalExec(_ id: String, _ signal: Int32) async throws

    /// Reads a file in pieces. A piece is asked for when the one before has been consumed.
    func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws
    /// Writes a file whole or not at all: nothing is visible at `path` before the last piece has arrived.
    func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws
    func stat(_ path: String, followLinks: Bool) async throws -> FileInfo
    func listDirectory(_ path: String) async throws -> [FileInfo]
    func makeDirectory(_ path: String, parents: Bool) async throws
    func remove(_ path: String, recursive: Bool) async throws
    func rename(_ from: String, to: String) async throws

    /// Listens on the guest's loopback; each accepted connection is carried to the host.
    func listen(port: UInt16) async throws -> any TunnelListener

    func telemetry(every interval: Duration) async throws -> AsyncThrowingStream<TelemetrySample, any Error>

    /// Returns when the machine has ended, for whatever reason. Throws only `CancellationError`.
    func waitUntilEnded() async throws -> SandboxExit
    /// Ends the machine: politely within `grace`, then by force. Returns when nothing of it is left. Idempotent.
    func stop(grace: Duration) async
}

package struct SandboxIdentity: Hashable, Sendable {
    package let name: String
    package let backend: BackendName
    /// False for `mock`: a report of such a run says so.
    package var isIsolated: Bool { backend != .mock }

    package init(name: String, backend: BackendName) {
        self.name = name
        self.backend = backend
    }
}

package enum BackendName: String, Sendable, CaseIterable {
    case kvm, qemu, mock
}

/// Makes boxes. One suite of contract tests runs against every implementation.
package protocol SandboxBackend: Sendable {
    var name: BackendName { get }
    /// Boots a machine and returns once its agent answers. On an error or cancellation nothing is left behind.
    func boot(_ configuration: SandboxConfiguration) async throws -> any SandboxInstance
}

/// Why a machine ended.
package enum SandboxExit: Hashable, Sendable {
    /// `stop` was called.
    case stopped
    /// The guest reset itself without being asked, for instance by a kernel panic; the last lines of its console.
    case guestReset(console: String)
    /// The process that ran the machine ended.
    case machineFailed(reason: String)
}

package struct GuestHealth: Hashable, Sendable {
    package var agentVersion: String
    package var uptime: Duration
    package var agentResident: ByteCount
    package var activeExecs: Int
    package var processors: Int
    package var memoryTotal: ByteCount
    package var warnings: [String]

    package init(
        agentVersion: String,
        uptime: Duration,
        agentResident: ByteCount,
        activeExecs: Int,
        processors: Int,
        memoryTotal: ByteCount,
        warnings: [String],
    ) {
        self.agentVersion = agentVersion
        self.uptime = uptime
        self.agentResident = agentResident
        self.activeExecs = activeExecs
        self.processors = processors
        self.memoryTotal = memoryTotal
        self.warnings = warnings
    }
}

package struct WriteOptions: Hashable, Sendable {
    package var mode: UInt32 = 0o644
    package var createParents = true
    package var owner = Owner.sandbox

    package enum Owner: Hashable, Sendable {
        case sandbox, root
        case ids(uid: UInt32, gid: UInt32)
    }

    package init(mode: UInt32 = 0o644, createParents: Bool = true, owner: Owner = .sandbox) {
        self.mode = mode
        self.createParents = createParents
        self.owner = owner
    }
}

package struct FileInfo: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case regular, directory, other
        case symbolicLink(target: String)
    }

    package var name: String
    package var kind: Kind
    package var size: ByteCount
    package var mode: UInt32
    package var uid: UInt32
    package var gid: UInt32
    package var modifiedUnixNanoseconds: Int64

    package init(
        name: String,
        kind: Kind,
        size: ByteCount,
        mode: UInt32,
        uid: UInt32,
        gid: UInt32,
        modifiedUnixNanoseconds: Int64,
    ) {
        self.name = name
        self.kind = kind
        self.size = size
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.modifiedUnixNanoseconds = modifiedUnixNanoseconds
    }
}

package struct TelemetrySample: Hashable, Sendable {
    package var unixNanoseconds: Int64
    package var cpuPercent: Double
    package var memoryUsed: ByteCount
    package var memoryTotal: ByteCount
    package var networkReceived: ByteCount
    package var networkSent: ByteCount
    package var processCount: Int
    package var openFiles: Int

    package init(
        unixNanoseconds: Int64,
        cpuPercent: Double,
        memoryUsed: ByteCount,
        memoryTotal: ByteCount,
        networkReceived: ByteCount,
        networkSent: ByteCount,
        processCount: Int,
        openFiles: Int,
    ) {
        self.unixNanoseconds = unixNanoseconds
        self.cpuPercent = cpuPercent
        self.memoryUsed = memoryUsed
        self.memoryTotal = memoryTotal
        self.networkReceived = networkReceived
        self.networkSent = networkSent
        self.processCount = processCount
        self.openFiles = openFiles
    }
}

/// Accepts connections that programs in the guest make to a port of its loopback.
package protocol TunnelListener: Sendable {
    var port: UInt16 { get }
    /// Nil when the listener was closed or the machine ended.
    func nextConnection() async throws -> (any TunnelConnection)?
    func close() async
}

/// One stream of bytes between a program in the guest and the host, with back-pressure in both directions.
package protocol TunnelConnection: Sendable {
    /// Nil at the end of the guest's data.
    func receive() async throws -> [UInt8]?
    /// Returns when there was room for all of it.
    func send(_ bytes: [UInt8]) async throws
    func finishSending() async throws
    /// Ends both directions. Idempotent.
    func close() async
}
