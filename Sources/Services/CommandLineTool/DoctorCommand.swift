internal import ArgumentParser
internal import Foundation
internal import LinuxSystem
internal import Runs
internal import SandboxKVM
internal import SandboxQEMU
internal import Sandboxing

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say what this host can run and what is missing.",
        discussion: """
            Exits 0 if boxes can run here, 3 if something they need is missing.
            With --leaks it looks for machines that outlived their voidbox, and exits 1 if it finds any. Boxes have no
            files on the host, so there are none to look for.
            """,
    )

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Look for processes that outlived their run.")
    var leaks = false

    func run() async throws {
        if leaks {
            try reportLeaks()
        } else {
            try reportHost()
        }
    }

    private func reportHost() throws {
        let findings = HostProbe.thisHost(environment: ProcessInfo.processInfo.environment).findings
        switch global.output {
        case .json: try Console.json(findings)
        case .human: for finding in findings { try Console.out(finding.line) }
        }
        if findings.contains(where: { $0.status == .missing }) { throw ExitStatus.hostUnsupported }
    }

    private func reportLeaks() throws {
        let leaks = SandboxLeaks.scan()
        switch global.output {
        case .json: try Console.json(leaks.map(\.description))
        case .human:
            if leaks.isEmpty { try Console.out("no leaks: nothing outlived its run") }
            for leak in leaks { try Console.out("leak: \(leak)") }
        }
        if !leaks.isEmpty { throw ExitStatus.runFailed }
    }
}

extension HostFinding {
    fileprivate var line: String {
        let mark =
            switch status {
            case .ok: "ok     "
            case .warning: "warning"
            case .missing: "missing"
            }
        let name = id.padding(toLength: max(16, id.count), withPad: " ", startingAt: 0)
        guard let hint else { return "\(mark)  \(name) \(summary)" }
        return "\(mark)  \(name) \(summary)\n\(String(repeating: " ", count: 26))\(hint)"
    }
}

extension HostProbe {
    static func thisHost(environment: [String: String]) -> HostProbe {
        let locator = AssetLocator(environment: environment)
        return HostProbe(
            qemuPath: try? HostProgram.qemu.locate(environment: environment),
            workerPath: try? HostProgram.worker.locate(environment: environment),
            kvmDeviceExists: HostFacts.exists("/dev/kvm"),
            kvmDeviceUsable: HostFacts.mayReadAndWrite("/dev/kvm"),
            hasHardwareVirtualization: HostFacts.hasHardwareVirtualization,
            assets: GuestAsset.allCases.map { asset in
                let path = locator.path(of: asset)
                return (asset, HostFacts.mayRead(path), path)
            },
            memory: HostMemory.thisHost?.available,
        )
    }
}
