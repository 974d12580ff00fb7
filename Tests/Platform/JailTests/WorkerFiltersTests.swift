import LinuxSystem
import Testing

@testable import Jail

@Suite("Worker's filters") struct WorkerFiltersTests {
    private let filters: WorkerFilters = {
        var filters = WorkerFilters(processID: 77)
        filters.vcpuRequests = [0xAE80]
        filters.deviceRequests = [0x4020_AE76]
        filters.startingRequests = [0x4020_AE46]
        filters.servesShares = true
        filters.servesVsock = true
        return filters
    }()

    private var all: [SeccompFilter] {
        [
            filters.vcpuThread, filters.deviceThread, filters.shareThread, filters.vsockThread, filters.mainThread,
            filters.starting,
        ]
    }

    @Test(arguments: [
        SystemCall.execve, .execveat, .fork, .vfork, .socket, .connect, .bind, .listen, .ptrace, .process_vm_readv,
        .process_vm_writev, .kill, .tkill, .pidfd_open, .pidfd_getfd, .sendmsg, .mount, .unshare, .setns, .chroot,
        .pivot_root,
        .bpf,
        .perf_event_open, .userfaultfd, .io_uring_setup, .io_uring_enter, .keyctl, .add_key, .init_module, .kexec_load,
        .reboot, .setuid, .setresuid, .memfd_create, .pkey_mprotect, .chdir, .fchdir, .open_tree, .move_mount,
    ])
    func `no thread may`(_ call: SystemCall) {
        for filter in all { #expect(filter.decision(for: SystemCallData(call)) == .killProcess) }
    }

    @Test func `no thread makes code`() {
        for filter in all {
            #expect(filter.decision(for: SystemCallData(.mmap, 0, 4096, 3, 0x22)) == .allow)
            #expect(filter.decision(for: SystemCallData(.mmap, 0, 4096, 7, 0x22)) == .killProcess)
            #expect(filter.decision(for: SystemCallData(.mprotect, 0, 4096, 5)) == .killProcess)
        }
    }

    @Test func `a thread signals its own process only`() {
        for filter in all {
            #expect(filter.decision(for: SystemCallData(.tgkill, 77, 78, 10)) == .allow)
            #expect(filter.decision(for: SystemCallData(.tgkill, 76, 76, 10)) == .killProcess)
        }
    }

    @Test func `a virtual processor's thread runs the guest and touches no device`() {
        let filter = filters.vcpuThread
        #expect(filter.decision(for: SystemCallData(.ioctl, 9, 0xAE80, 0)) == .allow)
        #expect(filter.decision(for: SystemCallData(.ioctl, 9, 0x4020_AE76, 0)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.pwrite64, 9)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.sendmsg, 9)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.openat, 9)) == .errno(.notFound))
    }

    @Test func `a device's thread does not run the guest, and sends to no address`() {
        let filter = filters.deviceThread
        #expect(filter.decision(for: SystemCallData(.ioctl, 9, 0xAE80, 0)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.pwritev, 9)) == .allow)
        #expect(filter.decision(for: SystemCallData(.sendto, 9, 1, 1, 0, 0, 0)) == .allow)
        #expect(filter.decision(for: SystemCallData(.sendto, 9, 1, 1, 0, 0x7FFF_0000_0000, 16)) == .killProcess)
        #expect(filter.decision(for: SystemCallData(.openat, 9)) == .errno(.notFound))
        #expect(filters.shareThread.decision(for: SystemCallData(.openat, 9)) == .allow)
    }

    @Test func `devices raise interrupts, and become known to the machine only before the threads are narrowed`() {
        let (interrupt, memory) = (
            SystemCallData(.ioctl, 9, 0x4020_AE76, 0), SystemCallData(.ioctl, 9, 0x4020_AE46, 0),
        )
        for filter in [filters.deviceThread, filters.shareThread, filters.vsockThread] {
            #expect(filter.decision(for: interrupt) == .allow)
            #expect(filter.decision(for: memory) == .killProcess)
        }
        for filter in [filters.vcpuThread, filters.mainThread] {
            #expect(filter.decision(for: interrupt) == .killProcess)
            #expect(filter.decision(for: memory) == .killProcess)
        }
        #expect(filters.starting.decision(for: memory) == .allow)
        #expect(filters.starting.decision(for: interrupt) == .allow)
    }

    @Test func `only the thread of a vsock gets descriptors from outside`() {
        for call in [SystemCall.accept4, .recvmsg] {
            let data = SystemCallData(call, 9)
            #expect(filters.vsockThread.decision(for: data) == .allow)
            #expect(filters.starting.decision(for: data) == .allow)
            for filter in [filters.vcpuThread, filters.deviceThread, filters.shareThread, filters.mainThread] {
                #expect(filter.decision(for: data) == .killProcess)
            }
            var without = filters
            without.servesVsock = false
            #expect(without.starting.decision(for: data) == .killProcess)
        }
    }

    @Test func `threads are started by the first filter only, and processes by none`() {
        let thread: UInt64 = 0x3D_0F00
        #expect(filters.starting.decision(for: SystemCallData(.clone, thread)) == .allow)
        #expect(filters.starting.decision(for: SystemCallData(.clone, 17)) == .killProcess)
        #expect(filters.starting.decision(for: SystemCallData(.clone, thread | 1 << 40)) == .killProcess)
        #expect(filters.starting.decision(for: SystemCallData(.clone, thread | 0x1000_0000)) == .killProcess)
        #expect(filters.starting.decision(for: SystemCallData(.clone3)) == .errno(.notImplemented))
        for filter in all.dropLast() {
            #expect(filter.decision(for: SystemCallData(.clone, thread)) == .killProcess)
            #expect(filter.decision(for: SystemCallData(.clone3)) == .killProcess)
            #expect(filter.decision(for: SystemCallData(.seccomp, 1, 0)) == .killProcess)
        }
    }

    @Test func `the first filter holds all that the others allow`() {
        for call in SystemCall.allCases {
            for second: UInt64 in [0, 1, 2, 3, 4, 5, 37, 1030, 0xAE80, 0x4020_AE76] {
                let data = SystemCallData(call, 77, second, 0, 0x1000, 0)
                guard filters.starting.decision(for: data) != .allow else { continue }
                for filter in all { #expect(filter.decision(for: data) != .allow, "\(call) \(second)") }
            }
        }
    }

    @Test func `without shares the first filter opens nothing either`() {
        var filters = filters
        filters.servesShares = false
        #expect(filters.starting.decision(for: SystemCallData(.openat, 3)) == .errno(.notFound))
        #expect(filters.starting.decision(for: SystemCallData(.openat2, 3)) == .killProcess)
        #expect(filters.starting.decision(for: SystemCallData(.newfstatat, 3, 0, 0, 0)) == .killProcess)
        #expect(filters.starting.decision(for: SystemCallData(.newfstatat, 3, 0, 0, 0x1000)) == .allow)
    }

    @Test func `each is a program that the kernel's limits allow`() throws {
        for filter in all {
            let count = try SeccompProgram(compiling: filter).instructions.count
            #expect(count < 400)
        }
    }
}
