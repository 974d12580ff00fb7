import LinuxSystem
import Primitives
import Sandboxing
import Testing

@testable import SandboxQEMU

@Suite("QEMU command line") struct QEMUCommandLineTests {
    private func arguments(
        acceleration: QEMUAcceleration = .tcg,
        _ change: (inout SandboxConfiguration) -> Void = { _ in },
    ) -> [String] {
        var configuration = SandboxConfiguration(
            name: "box",
            boot: BootArtifacts(kernel: "/k", initramfs: "/i", rootDisk: "/images/a,b.ext4")
        )
        change(&configuration)
        return QEMUCommandLine(
            configuration: configuration,
            acceleration: acceleration,
            counterKilohertz: 2_500_000,
            processTag: "tag",
        ).arguments
    }

    private func values(of option: String, in arguments: [String]) -> [String] {
        arguments.indices.filter { arguments[$0] == option }.map { arguments[$0 + 1] }
    }

    @Test func `memory, processors and the tag are the configuration's`() {
        let line = arguments {
            $0.memory = .mebibytes(3000)
            $0.vcpus = 4
        }
        #expect(values(of: "-m", in: line) == ["3000M"])
        #expect(values(of: "-smp", in: line) == ["4"])
        #expect(values(of: "-name", in: line) == ["tag"])
    }

    @Test func `a guest relies on the host's counter, and an emulated one is told its rate`() {
        let emulated = values(of: "-append", in: arguments())
        let native = values(of: "-append", in: arguments(acceleration: .kvm))
        #expect(emulated.first?.hasSuffix(" tsc=reliable tsc_early_khz=2500000") == true)
        #expect(native.first?.hasSuffix(" tsc=nowatchdog") == true)
    }

    @Test func `a comma in a path does not end the option`() {
        #expect(values(of: "-drive", in: arguments())[0].contains("file=/images/a,,b.ext4,format=raw"))
    }

    @Test func `every disk is read-only and has the serial that the guest looks for`() {
        let line = arguments {
            $0.disks = [.init(imagePath: "/d0", mountPoint: "/opt/a"), .init(imagePath: "/d1", mountPoint: "/opt/b")]
        }
        let drives = values(of: "-drive", in: line)
        #expect(drives.count == 3 && drives.allSatisfy { $0.hasSuffix("readonly=on") })
        #expect(values(of: "-device", in: line).filter { $0.contains("serial=disk1") }.count == 1)
    }

    @Test func `a share that is read-only is read-only on the host's side too`() {
        let line = arguments {
            $0.shares = [
                .init(hostPath: "/ro", guestPath: "/ro", isReadOnly: true),
                .init(hostPath: "/rw", guestPath: "/rw", isReadOnly: false),
            ]
        }
        let shares = values(of: "-fsdev", in: line)
        #expect(shares.map { $0.hasSuffix(",readonly=on") } == [true, false])
    }

    @Test func `a limit holds for each disk`() {
        let drives = values(
            of: "-drive",
            in: arguments {
                $0.disks = [.init(imagePath: "/disk", mountPoint: "/opt/x")]
                $0.diskLimit = TransferLimit(bytes: .init(perSecond: 1000), operations: .init(perSecond: 50))
            },
        )
        #expect(drives.count == 2)
        #expect(drives.allSatisfy { $0.hasSuffix(",throttling.bps-total=1000,throttling.iops-total=50") })
        #expect(!arguments().contains { $0.contains("throttling") })
    }

    @Test func `no network means no network device`() {
        #expect(values(of: "-nic", in: arguments()) == ["none"])
        #expect(!arguments().contains { $0.contains("virtio-net") })
        #expect(arguments { $0.network = .user }.contains { $0.hasPrefix("virtio-net-device") })
    }

    @Test func `a network of frames is the stream that comes after the other descriptors`() throws {
        let stream = SandboxConfiguration.FrameStream(try OwnedFD.pipe().keepFirst())
        let line = arguments { $0.network = .frames(stream) }
        #expect(values(of: "-netdev", in: line) == ["stream,id=net,server=off,addr.type=fd,addr.str=7"])
    }

    @Test func `nothing secret or of the user is on the kernel's command line`() {
        let line = arguments { $0.environment = ["TOKEN": "hidden"] }
        #expect(!line.contains { $0.contains("hidden") })
    }
}

@Suite("QMP messages") struct QMPMessageTests {
    private func parse(_ text: String) -> QMPMessage? { QMPMessage(parsing: Array(text.utf8)[...]) }

    @Test func `greeting, return, error and event are told apart`() {
        let greeting = #"{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}}"#
        #expect(parse(greeting) == .greeting(version: "7.2.22"))
        #expect(parse(#"{"return": {}}"#) == .returned(.object([:])))
        #expect(
            parse(#"{"error": {"class": "GenericError", "desc": "no"}}"#)
                == .failed(class: "GenericError", description: "no")
        )
        let event = #"{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {}}"#
        #expect(
            parse(event)
                == .event(name: "SHUTDOWN", data: .object(["guest": .bool(true), "reason": .string("guest-reset")]))
        )
    }

    @Test(arguments: ["", "[]", "{", "{\"x\": 1}", "null", "\u{FFFD}"])
    func `anything else is no message`(_ text: String) {
        #expect(parse(text) == nil)
    }
}
