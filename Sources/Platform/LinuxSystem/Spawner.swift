internal import Glibc

/// Starts processes from one thread that lives as long as this process.
///
/// The kernel sends a parent death signal when the thread that spawned ends, not the process; threads of a pool come and go.
package final class Spawner: Sendable {
    private let thread: EventLoopThread

    package init() throws(SyscallError) {
        thread = try EventLoopThread(name: "spawner")
    }

    /// Carries a process out of the spawning thread.
    fileprivate final class Box: Sendable {
        let process: ChildProcess
        init(_ process: consuming ChildProcess) { self.process = process }
    }

    /// As `ChildProcess.spawn`. The caller keeps `descriptors` open until this returns.
    package func spawn(_ request: SpawnRequest, descriptors: [Int32]) async throws -> SpawnedProcess {
        let box = try await thread.run { _ in Box(try ChildProcess.spawn(request, descriptors: descriptors)) }
        return SpawnedProcess(thread: thread, box: box)
    }

    /// A process whose end can be awaited.
    package final class SpawnedProcess: Sendable {
        package let pid: Int32
        private let thread: EventLoopThread
        private let box: Box

        fileprivate init(thread: EventLoopThread, box: Box) {
            self.thread = thread
            self.box = box
            pid = box.process.pid
        }

        package func signal(_ number: Int32) throws(SyscallError) {
            try box.process.signal(number)
        }

        /// Waits for its end and reaps it. To be called once.
        package func waitForEnd() async throws -> TerminationStatus {
            try await withCheckedThrowingContinuation { continuation in
                thread.submit { [box] loop in
                    var watch: EventLoop.Watch?
                    func ended(_: EventLoop.Readiness) {
                        if let watch { loop.remove(watch) }
                        do throws(SyscallError) {
                            continuation.resume(returning: try box.process.reap() ?? .signalled(SIGKILL))
                        } catch {
                            continuation.resume(throwing: error)
                        }
                    }
                    do throws(SyscallError) {
                        watch = try loop.watch(box.process.pidfd, for: .readable, ended)
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
            }
        }
    }
}
