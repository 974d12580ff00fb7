import Foundation
import LinuxSystem
import Primitives
import Sandboxing
import TestSupport
import Testing

/// Memory that a guest has used and freed is the host's again.
@Suite("Balloon of a box", .takesBoxSlot, .timeLimit(.minutes(40))) struct BalloonTests {
    /// No other test's box has as much.
    private static let memory: UInt64 = 2300 << 20
    private static let used: UInt64 = 400 << 20

    @Test(arguments: ContractBackend.withVsock)
    func `memory that the guest frees leaves the worker`(_ backend: ContractBackend) async throws {
        try await backend.withBox({ $0.memory = .mebibytes(2300) }) { box in
            let worker = try #require(
                ProcessList.boxes().compactMap(WorkerMemory.init).first { worker in
                    // The machine's memory and some of the process's own, most of which is never touched.
                    (Self.memory..<Self.memory + 1500 << 20).contains(worker.size)
                }
            )
            let result = try await box.run("dd", "if=/dev/zero", "of=/dev/null", "bs=\(Self.used)", "count=1")
            #expect(result.exit.status == .code(0), "\(result.errorText)")
            let peak = try #require(WorkerMemory(worker.pid)?.peak)
            #expect(peak > Self.used, "the guest had it")
            // The guest's kernel reports what has been free for two seconds.
            let deadline = ContinuousClock.now + .seconds(90)
            var resident = peak
            while resident > peak - Self.used * 3 / 4, ContinuousClock.now < deadline {
                _ = try await box.run("sleep", "0.5")
                resident = try #require(WorkerMemory(worker.pid)?.resident)
            }
            #expect(resident <= peak - Self.used * 3 / 4, "of \(peak >> 20) MiB there are still \(resident >> 20) MiB")
            let warnings = try await box.health().warnings
            #expect(warnings == [])
        }
    }
}

/// What `/proc/PID/status` says of a process, in bytes.
private struct WorkerMemory {
    let pid: Int32
    let size: UInt64
    let peak: UInt64
    let resident: UInt64

    /// Nil for a process that is gone.
    init?(_ pid: Int32) {
        guard let status = HostFacts.text(of: "/proc/\(pid)/status") else { return nil }
        func field(_ name: String) -> UInt64? {
            let line = status.split(separator: "\n").first { $0.hasPrefix(name + ":") }
            return line?.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }.first.map { $0 << 10 }
        }
        guard let size = field("VmSize"), let peak = field("VmHWM"), let resident = field("VmRSS") else { return nil }
        self.pid = pid
        self.size = size
        self.peak = peak
        self.resident = resident
    }
}
