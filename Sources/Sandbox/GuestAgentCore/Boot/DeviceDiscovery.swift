internal import LinuxSystem

/// Waits for what the kernel makes known a little later, in small steps and never for long.
enum Poll {
    private static let longest = Duration.seconds(2)
    private static let step = Duration.milliseconds(1)

    /// Asks until there is an answer, for `longest` at most.
    static func until<Answer>(
        _ purpose: StaticString,
        on subject: String? = nil,
        _ question: () throws(SyscallError) -> Answer?,
    ) throws(SyscallError) -> Answer {
        let start = ContinuousClock.now
        repeat {
            if let answer = try question() { return answer }
            Machine.sleep(step)
        } while start.duration(to: .now) < longest
        throw SyscallError(.noSuchDevice, call: purpose, on: subject)
    }
}

/// virtio-blk disks. Their names depend on the order of discovery, their serials do not.
enum BlockDevice {
    /// - Returns: The device's path.
    static func find(serial: String) throws(SyscallError) -> String {
        try Poll.until("find the disk with serial", on: serial) { () throws(SyscallError) in
            for name in try Directory("/sys/block").names() where name.hasPrefix("vd") {
                // A disk without a serial has an empty file.
                let text = (try? FileSystem.readText("/sys/block/\(name)/serial")) ?? ""
                if text.split(separator: "\n").first == serial[...] { return "/dev/\(name)" }
            }
            return nil
        }
    }
}

/// The way to the host. The only place that knows what it is made of.
enum ControlChannel {
    private static let portName = "voidbox.control"
    private static let ports = "/sys/class/virtio-ports"

    /// Opens the virtio-console port of the control channel, non-blocking.
    static func open() throws(SyscallError) -> OwnedFD {
        let path = try Poll.until("find the virtio port", on: portName) { () throws(SyscallError) -> String? in
            guard FileSystem.exists(ports) else { return nil }
            for name in try Directory(ports).names() {
                let text = (try? FileSystem.readText("\(ports)/\(name)/name")) ?? ""
                if text.split(separator: "\n").first == portName[...] { return "/dev/\(name)" }
            }
            return nil
        }
        return try FileSystem.openForReadingAndWriting(path)
    }
}
