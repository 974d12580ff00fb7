internal import LinuxSystem
internal import WorkerProtocol

/// The process of one virtual machine: makes it from its descriptors, runs it, and ends with it.
package enum Worker {
    package static func run() -> Never {
        let ending = Ending(reports: OwnedFD(adopting: WorkerDescriptor.reports))
        do {
            let file = OwnedFD(adopting: WorkerDescriptor.configuration)
            let bytes = try file.read(at: 0, count: min(Int(try file.fileSize()), WorkerConfiguration.maxSize + 1))
            let machine = try GuestMachine(try WorkerConfiguration(decoding: bytes), ending: ending)
            ending.report(.started)
            try machine.start()
        } catch {
            ending.end(.setUpFailed("\(error)"))
        }
        ending.waitForParent()
        CurrentProcess.end(status: 1)
    }
}
