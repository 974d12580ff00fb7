import GuestAPI
import LinuxSystem
import Testing

@testable import GuestAgentCore

@Suite("Boot plan") struct BootPlanTests {
    private typealias Parameters = Voidbox_Guest_V1_BootParameters

    private func parameters(_ change: (inout Parameters) -> Void) -> Parameters {
        var parameters = Parameters()
        parameters.hostname = "box"
        parameters.rootSerial = "root"
        parameters.rootFileSystem = "ext4"
        change(&parameters)
        return parameters
    }

    @Test func `the smallest boot stays in the initramfs without a network`() throws {
        let plan = try BootPlan(Parameters())
        #expect(plan.root == nil)
        #expect(plan.network == nil)
        #expect(plan.hostName == BootPlan.defaultHostName)
        #expect(plan.resolverFile.isEmpty)
    }

    @Test func `a network is an address with a prefix, a gateway and name servers`() throws {
        let plan = try BootPlan(
            parameters {
                $0.network.address = "10.0.2.15/24"
                $0.network.gateway = "10.0.2.2"
                $0.network.nameServers = ["10.0.2.3"]
            }
        )
        #expect(plan.network?.address == IPv4Address(value: 0x0a00_020f))
        #expect(plan.network?.prefix == 24)
        #expect(plan.network?.gateway?.description == "10.0.2.2")
        #expect(plan.resolverFile == "nameserver 10.0.2.3\n")
        #expect(plan.hostsFile.hasPrefix("127.0.0.1 localhost box\n"))
    }

    @Test(arguments: [
        "", "10.0.2.15", "10.0.2.15/33", "10.0.2/24", "10.0.2.256/8", "010.0.2.1/8", "a.b.c.d/8", "1.2.3.4/8/9",
    ])
    func `what is no address is refused by name`(_ address: String) {
        let error = #expect(throws: BootPlan.Violation.self) {
            try BootPlan(parameters { $0.network.address = address })
        }
        #expect(error?.description.contains(address) == true)
    }

    @Test(arguments: ["a b", "x/y", "ä", String(repeating: "x", count: 65)])
    func `a host name is made of letters, digits, dots and dashes`(_ name: String) {
        #expect(throws: BootPlan.Violation.self) { try BootPlan(parameters { $0.hostname = name }) }
    }

    @Test func `an unknown file system is refused with those that are known`() {
        let error = #expect(throws: BootPlan.Violation.self) {
            try BootPlan(parameters { $0.rootFileSystem = "ntfs" })
        }
        #expect(error?.description.contains("erofs, ext4") == true)
    }

    @Test(arguments: ["", "opt", "/", "/a/../b", "/./x"])
    func `a mount point is an absolute path below the root`(_ point: String) {
        #expect(throws: BootPlan.Violation.self) {
            try BootPlan(
                parameters {
                    var disk = Voidbox_Guest_V1_Disk()
                    disk.serial = "d"
                    disk.fileSystem = "ext4"
                    disk.mountPoint = point
                    $0.disks = [disk]
                }
            )
        }
    }

    @Test func `a share inside of another is mounted after it`() throws {
        let plan = try BootPlan(
            parameters {
                $0.shares = ["/work/a/b", "/work", "/work//a/"].enumerated().map { index, point in
                    var share = Voidbox_Guest_V1_Share()
                    share.tag = "t\(index)"
                    share.mountPoint = point
                    share.kind = "9p"
                    return share
                }
            }
        )
        #expect(plan.shares.map(\.mountPoint) == ["/work", "/work/a", "/work/a/b"])
        #expect(plan.isShared("/work") && plan.isShared("/work/sandbox"))
        #expect(!plan.isShared("/workspace") && !plan.isShared("/"))
    }

    @Test func `a share that programs may not write is told with its owner`() throws {
        let share = BootPlan.Share(tag: "t", mountPoint: "/out", isReadOnly: false, kind: .plan9)
        let root = try FileSystem.status(of: "/etc")
        #expect(
            share.problem(ofRoot: root)?.hasPrefix("/out is mounted for writing, but programs run as uid 1000") == true
        )
        #expect(share.problem(ofRoot: root)?.contains("owner 0:0, mode 0755") == true)
        #expect(share.problem(ofRoot: try FileSystem.status(of: "/tmp")) == nil)
    }

    @Test func `a share of an unknown kind is refused`() {
        #expect(throws: BootPlan.Violation.self) {
            try BootPlan(
                parameters {
                    var share = Voidbox_Guest_V1_Share()
                    share.tag = "t"
                    share.mountPoint = "/mnt"
                    share.kind = "nfs"
                    $0.shares = [share]
                }
            )
        }
    }

    @Test func `execs get what the agent does not keep, and no more than their policy`() {
        let gibibyte: UInt64 = 1 << 30
        #expect(MemoryPlan.limit(policy: 0, available: gibibyte) == gibibyte - gibibyte / 32)
        #expect(MemoryPlan.limit(policy: 100 << 20, available: gibibyte) == 100 << 20)
        #expect(MemoryPlan.limit(policy: .max, available: gibibyte) == gibibyte - gibibyte / 32)
        #expect(MemoryPlan.limit(policy: 0, available: 128 << 20) == 112 << 20)
    }

    @Test func `limits that are not given have defaults, and an exec leaves its user room`() {
        let limits = GuestAgentSettings(Parameters()).limits
        #expect(limits == .init(openFiles: 65536, processes: 4096, fileBytes: 0))
        #expect(limits.processesPerExec == 3584)
    }

    @Test func `disks below opt bring their programs`() {
        let settings = GuestAgentSettings(
            parameters {
                for point in ["/opt/claude", "/data", "/opt/x/"] {
                    var disk = Voidbox_Guest_V1_Disk()
                    disk.mountPoint = point
                    $0.disks.append(disk)
                }
            }
        )
        #expect(settings.environment.diskBinaries == ["/opt/claude/bin", "/opt/x/bin"])
    }
}
