internal import LinuxSystem

/// The cgroup (v2) of one exec: it holds every descendant, whatever it forks or daemonizes. Confined to the loop's thread.
///
/// https://docs.kernel.org/admin-guide/cgroup-v2.html
final class ControlGroup {
    let path: String
    let directory: Directory
    private var events: WatchedDescriptor?

    /// - Parameter maxProcesses: 0 for no limit but the parent's.
    init(path: String, maxProcesses: UInt64) throws(SyscallError) {
        self.path = path
        try FileSystem.makeDirectories(path)
        do throws(SyscallError) {
            directory = try Directory(path)
            if maxProcesses > 0 { try directory.write(String(maxProcesses), to: "pids.max") }
        } catch {
            // The first error is the one to tell.
            _ = try? FileSystem.remove(path)
            throw error
        }
    }

    /// Kills everything in it, also what is being forked meanwhile.
    func kill() {
        do throws(SyscallError) {
            try directory.write("1", to: "cgroup.kill")
        } catch {
            KernelLog.shared.warning("cannot kill \(path): \(error)")
        }
    }

    /// True while a process lives in it; one that ended and was not yet reaped does not count.
    var isPopulated: Bool { statistics("cgroup.events")["populated"] != 0 }

    /// How often the kernel killed something in it for want of memory.
    var outOfMemoryKills: UInt64 { statistics("memory.events")["oom_kill"] }

    /// Calls `body` once, when nothing lives in it any more.
    func whenEmpty(on loop: EventLoop, _ body: @escaping () -> Void) {
        do throws(SyscallError) {
            let events = WatchedDescriptor(try directory.openFile("cgroup.events"), on: loop)
            events.ready = { [weak self] _ in
                guard let self, let events = self.events else { return }
                // Reading acknowledges the event; an unreadable file has nobody in it.
                let text = try? events.fd.readFromStart()
                if let text, FlatKeyedFile(text)["populated"] != 0 { return }
                events.stop()
                self.events = nil
                body()
            }
            self.events = events
            // The kernel reports a change of the file as priority data.
            events.watch(for: EventLoop.Interest(rawValue: 0x002))
        } catch {
            KernelLog.shared.warning("cannot watch \(path): \(error)")
            _ = loop.schedule(after: .zero, body)
        }
    }

    /// Removes it, when nothing lives in it.
    func remove() {
        do throws(SyscallError) {
            try FileSystem.remove(path)
        } catch {
            KernelLog.shared.warning("cannot remove \(path): \(error)")
        }
    }

    /// A file that is not there has no numbers: the controller is missing in this kernel.
    private func statistics(_ name: String) -> FlatKeyedFile {
        FlatKeyedFile((try? String(decoding: directory.read(name), as: UTF8.self)) ?? "")
    }
}
