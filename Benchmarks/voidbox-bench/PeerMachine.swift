import Foundation
import LinuxSystem
import Primitives
import Sandboxing

/// The peer: the same kernel in a plain QEMU with the same machine, whose `/init` is a busybox shell that runs the lines it
/// gets on a virtio-serial port.
final class PeerMachine {
    static let name = "plain QEMU, busybox shell as /init"
    private static let script = """
        #!/bin/busybox sh
        /bin/busybox mkdir -p /proc /sys /dev /tmp
        /bin/busybox mount -t proc proc /proc
        /bin/busybox mount -t sysfs sys /sys
        /bin/busybox mount -t devtmpfs dev /dev
        /bin/busybox mount -t tmpfs -o size=80% tmp /tmp
        exec 3<> /dev/vport0p1 0<&3 1>&3
        echo READY
        while read -r line; do eval "$line"; echo DONE; done
        """

    private let process: ChildProcess
    private let port: OwnedFD

    /// Writes the initramfs of the peer and returns its path.
    static func makeInitramfs(in directory: URL) throws -> URL {
        guard let busybox = FileManager.default.contents(atPath: "/bin/busybox") else {
            throw SandboxError(
                .hostUnsupported,
                resource: "/bin/busybox",
                "the peer needs it",
                hint: "apt-get install busybox-static"
            )
        }
        var archive = CPIOArchive()
        for name in ["bin", "dev", "proc", "sys", "tmp"] { archive.addDirectory(name, mode: 0o755) }
        archive.addFile("bin/busybox", mode: 0o755, contents: Array(busybox))
        archive.addFile("bin/true", mode: 0o755, contents: Array("#!/bin/busybox true\n".utf8))
        archive.addFile("init", mode: 0o755, contents: Array(script.utf8))
        archive.finish()
        let file = directory.appending(path: "peer.cpio")
        try Data(archive.bytes).write(to: file)
        return file
    }

    /// Starts the machine and returns when its shell has said that it is ready.
    init(_ configuration: SandboxConfiguration, qemu: String, initramfs: URL, directory: URL) throws {
        let path = directory.appending(path: "p\(UInt32.random(in: 0...(.max)))").path
        let arguments = [
            "-M", "microvm,acpi=off,auto-kernel-cmdline=on", "-m", "\(configuration.memory.bytes >> 20)M",
            "-smp", "\(configuration.vcpus)", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-accel", "tcg,thread=multi,tb-size=256", "-cpu", "max",
            "-kernel", configuration.boot.kernel, "-initrd", initramfs.path,
            "-append", "console=ttyS0 quiet panic=-1 reboot=t random.trust_cpu=on",
            "-serial", "null", "-chardev", "socket,id=c,path=\(path),server=on,wait=off",
            "-device", "virtio-serial-device", "-device", "virtserialport,chardev=c,name=peer",
            "-drive", "id=root,file=\(configuration.boot.rootDisk),format=raw,if=none,readonly=on",
            "-device", "virtio-blk-device,drive=root,serial=root",
        ]
        let nothing = try OwnedFD.open("/dev/null", OwnedFD.readWrite)
        process = try ChildProcess.spawn(
            SpawnRequest(path: qemu, argv: [qemu] + arguments, environment: []),
            descriptors: [nothing.rawValue, nothing.rawValue, 2],
        )
        port = try Self.connect(path)
        try waitFor("READY\n")
    }

    deinit {
        try? process.signal(Signal.kill)
        for _ in 0..<5000 {
            // An error would mean that it is reaped already.
            if (try? process.reap()) != nil { break }
            Thread.sleep(forTimeInterval: 0.001)
        }
    }

    /// Runs a line of shell, with input behind it, and waits for its end.
    func run(_ line: String, input: [UInt8] = []) throws {
        try port.writeAll(Array("\(line)\n".utf8) + input)
        try waitFor("DONE\n")
    }

    /// What a line of shell prints.
    func output(of line: String) throws -> String {
        try port.writeAll("\(line)\n")
        return String(try read(until: "DONE\n").dropLast(5))
    }

    private func waitFor(_ marker: String) throws {
        _ = try read(until: marker)
    }

    private func read(until marker: String) throws -> String {
        var text = ""
        while !text.hasSuffix(marker) {
            guard case .bytes(let bytes) = try port.read(upTo: 4096) else {
                throw SandboxError(.machineEnded, resource: "peer machine", "it ended: \(text)")
            }
            text += String(decoding: bytes, as: UTF8.self)
        }
        return text
    }

    private static func connect(_ path: String) throws -> OwnedFD {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            if let descriptor = try OwnedFD.connected(toUnixSocket: path) { return descriptor }
            guard ContinuousClock.now < deadline else {
                throw SandboxError(.timedOut, resource: path, "QEMU did not open its socket")
            }
            Thread.sleep(forTimeInterval: 0.002)
        }
    }
}
