import BenchmarkSupport
import Foundation
import LinuxSystem
import Primitives
import SandboxQEMU
import Sandboxing

// Measures boxes against a plain QEMU in the same run and writes the figures as JSON.
//
// usage: voidbox-bench FILE

let environment = ProcessInfo.processInfo.environment
let boots = environment["VOIDBOX_BENCH_BOOTS"].flatMap { Int($0) } ?? 12
let execs = 300

let prefix = "voidbox-bench-"
let temporary = FileManager.default.temporaryDirectory
// What a measurement that was killed has left.
for name in try FileManager.default.contentsOfDirectory(atPath: temporary.path) where name.hasPrefix(prefix) {
    if HostFacts.exists("/proc/\(name.dropFirst(prefix.count))") { continue }
    try FileManager.default.removeItem(at: temporary.appending(path: name))
}
let directory = temporary.appending(path: "\(prefix)\(getpid())")
try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: directory) }

let boot = try AssetLocator(environment: environment).bootArtifacts()
var configuration = SandboxConfiguration(name: "bench", boot: boot)
configuration.memory = .mebibytes(512)
configuration.vcpus = 2
// Both sides are emulated: with KVM for one of them only, the ratio would say nothing.
let backend = try QEMUBackend(
    environment: environment,
    virtualization: HostVirtualization(mayOpenKVM: false, hasHardwareVirtualization: false),
)
let qemu = try HostProgram.qemu.locate(environment: environment)
let peerInitramfs = try PeerMachine.makeInitramfs(in: directory)
var results: [Figure] = []

// MARK: Boot

var ours: [Double] = []
var peers: [Double] = []
for round in 1...boots {
    var start = ContinuousClock.now
    let box = try await backend.boot(configuration)
    ours.append((ContinuousClock.now - start).milliseconds)
    await box.stop(grace: .zero)
    start = .now
    let peer = try PeerMachine(configuration, qemu: qemu, initramfs: peerInitramfs, directory: directory)
    peers.append((ContinuousClock.now - start).milliseconds)
    withExtendedLifetime(peer) {}
    say("boot \(round) of \(boots): ours \(Int(ours.last ?? 0)) ms, peer \(Int(peers.last ?? 0)) ms")
}
results.append(
    Figure("boot to agent ready", unit: "ms", ours: ours, peer: peers, peerName: PeerMachine.name)
)

// MARK: One machine of each for the rest

let box = try await backend.boot(configuration)
let peer = try PeerMachine(configuration, qemu: qemu, initramfs: peerInitramfs, directory: directory)

ours = []
peers = []
for _ in 0..<execs {
    var start = ContinuousClock.now
    _ = try await box.run(ExecRequest(["true"]))
    ours.append((ContinuousClock.now - start).milliseconds)
    start = .now
    try peer.run("/bin/true")
    peers.append((ContinuousClock.now - start).milliseconds)
}
let shell = "busybox shell over virtio-serial"
results.append(Figure("exec true p50", unit: "ms", ours: ours, peer: peers, peerName: shell))
results.append(Figure("exec true p99", unit: "ms", ours: ours, peer: peers, peerName: shell, percentile: 0.99))
say("exec: \(execs) of each")

ours = []
peers = []
let contents = [UInt8](repeating: 0x5A, count: 64 << 20)
for _ in 0..<3 {
    var start = ContinuousClock.now
    try await box.writeFile("/tmp/bench", contents)
    ours.append((ContinuousClock.now - start).milliseconds)
    try await box.remove("/tmp/bench", recursive: false)
    start = .now
    try peer.run("/bin/busybox head -c \(contents.count) > /tmp/bench", input: contents)
    peers.append((ContinuousClock.now - start).milliseconds)
    try peer.run("/bin/busybox rm /tmp/bench")
}
results.append(
    Figure(
        "write a file of 64 MiB",
        unit: "ms",
        ours: ours,
        peer: peers,
        peerName: "busybox head over virtio-serial"
    )
)
say("file write: 3 of each")

// MARK: Sizes

let resident = Double(try await box.health().agentResident.bytes) / 1_048_576
let status = try peer.output(of: "/bin/busybox grep VmRSS /proc/1/status")
let peerResident = (status.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? 0) / 1024
results.append(
    Figure("guest agent resident", unit: "MiB", ours: [resident], peer: [peerResident], peerName: "busybox sh")
)
func mebibytes(_ path: String) throws -> Double {
    let size =
        try FileManager.default.attributesOfItem(
            atPath: URL(filePath: path).resolvingSymlinksInPath().path
        )[.size] as? Int
    return Double(size ?? 0) / 1_048_576
}
results.append(
    Figure(
        "initramfs size",
        unit: "MiB",
        ours: [try mebibytes(boot.initramfs)],
        peer: [try mebibytes(peerInitramfs.path)],
        peerName: "busybox initramfs",
    )
)
await box.stop(grace: .seconds(2))
withExtendedLifetime(peer) {}

try results.write(to: CommandLine.arguments.dropFirst().first ?? "bench.json")
results.printTable()
