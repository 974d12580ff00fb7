import BenchmarkSupport
import Foundation
import LinuxSystem
import Primitives
import SandboxKVM
import SandboxQEMU
import Sandboxing

// Measures boxes on our own machine monitor against the same boxes on QEMU's microvm with KVM: same kernel, same disk, same
// agent, alternating. Writes the figures as JSON after each group.
//
// usage: voidbox-bench-lab FILE [GROUP...]

let groups = ["boot", "start", "exec", "block", "idle", "share"]
let arguments = Array(CommandLine.arguments.dropFirst())
let file = arguments.first ?? "bench-lab.json"
let chosen = arguments.count > 1 ? Array(arguments[1...]) : groups
let environment = ProcessInfo.processInfo.environment
let rounds = environment["VOIDBOX_BENCH_ROUNDS"].flatMap { Int($0) } ?? 10
let files = environment["VOIDBOX_BENCH_FILES"].flatMap { Int($0) } ?? 20000
let memory = 512.0

let directory = FileManager.default.temporaryDirectory.appending(path: "voidbox-bench-lab-\(getpid())")
try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: directory) }

let boot = try AssetLocator(environment: environment).bootArtifacts()
var configuration = SandboxConfiguration(name: "bench", boot: boot)
configuration.memory = .mebibytes(512)
configuration.vcpus = 1
configuration.bootDeadline = .seconds(120)
let peerName = "QEMU microvm with KVM"
let ours = Contestant(name: "ours", backend: try KVMBackend(environment: environment), program: "voidbox-vmm")
let peer = Contestant(name: "peer", backend: try QEMUBackend(environment: environment), program: "qemu-system-x86_64")
var results: [Figure] = []

/// Adds a line and keeps what there is so far.
@MainActor
func record(
    _ name: String,
    _ unit: String,
    _ figures: (ours: [Double], peer: [Double]),
    peerName name2: String = peerName,
    percentile: Double = 0.5,
    better: Figure.Better = .lower,
) throws {
    results.append(
        Figure(
            name,
            unit: unit,
            ours: figures.ours,
            peer: figures.peer,
            peerName: name2,
            percentile: percentile,
            better: better,
        )
    )
    try results.write(to: file)
    if let last = results.last { say("\(name): ours \(last.ours), peer \(last.peer) \(unit), ratio \(last.ratio)") }
}

/// Runs `body` for both sides, `count` times, one after the other.
@MainActor
func alternate(
    _ count: Int,
    _ body: (Contestant) async throws -> Double,
) async throws -> (ours: [Double], peer: [Double]) {
    var figures: (ours: [Double], peer: [Double]) = ([], [])
    for round in 0..<count {
        // Each side is first in half of the rounds.
        for side in round % 2 == 0 ? [ours, peer] : [peer, ours] {
            let figure = try await body(side)
            if side.name == ours.name { figures.ours.append(figure) } else { figures.peer.append(figure) }
        }
    }
    return figures
}

/// One box of each side for as long as `body` runs.
@MainActor
func withBoxes(
    _ configure: (Contestant, inout SandboxConfiguration) -> Void = { _, _ in },
    _ body: ([String: any SandboxInstance]) async throws -> Void,
) async throws {
    var boxes: [String: any SandboxInstance] = [:]
    for side in [ours, peer] {
        var own = configuration
        configure(side, &own)
        boxes[side.name] = try await side.boot(own).box
    }
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(boxes))
    } catch {
        result = .failure(error)
    }
    for (name, box) in boxes {
        await box.stop(grace: .seconds(2))
        let end = try await box.waitUntilEnded()
        if case .stopped = end { continue }
        say("\(name): the box ended by itself: \(end)")
    }
    try result.get()
}

func box(_ boxes: [String: any SandboxInstance], _ side: Contestant) throws -> any SandboxInstance {
    guard let box = boxes[side.name] else { throw SandboxError(.notFound, resource: side.name, "it has no box") }
    return box
}

// MARK: Boot and memory

if chosen.contains("boot") {
    var resident: (ours: [Double], peer: [Double]) = ([], [])
    // What is read for the first time comes from the disk.
    _ = try await alternate(1) { side in
        let (box, time) = try await side.boot(configuration)
        await box.stop(grace: .zero)
        return time
    }
    let times = try await alternate(rounds) { side in
        let (box, time) = try await side.boot(configuration)
        _ = try await box.run(ExecRequest(["true"]))
        let figure = ProcessMemory(of: try side.process())
        if abs(figure.guestSize - memory) > 8 { say("\(side.name): guest memory of \(figure.guestSize) MiB") }
        if side.name == ours.name {
            resident.ours.append(figure.withoutGuest)
        } else {
            resident.peer.append(figure.withoutGuest)
        }
        await box.stop(grace: .zero)
        return time
    }
    try record("boot to agent ready", "ms", times)
    try record("private memory of the machine's process", "MiB", resident)
}

if chosen.contains("start") {
    try FirstEntry.prepare()
    try record(
        "program start to first entry of the guest",
        "ms",
        try await alternate(rounds) { side in
            try await FirstEntry.time(of: side.program) {
                let box = try await side.boot(configuration).box
                await box.stop(grace: .zero)
            }
        },
    )
}

// MARK: Programs

if chosen.contains("exec") {
    try await withBoxes { boxes in
        let times = try await alternate(rounds * 20) { side in
            let box = try box(boxes, side)
            let start = ContinuousClock.now
            _ = try await box.run(ExecRequest(["true"]))
            return (ContinuousClock.now - start).milliseconds
        }
        try record("exec true p50", "ms", times)
        try record("exec true p99", "ms", times, percentile: 0.99)
    }
}

// MARK: Disks

if chosen.contains("block") {
    let mebibytes = 128
    for side in [ours, peer] {
        let image = directory.appending(path: "\(side.name).ext4").path
        let make = Process()
        make.executableURL = URL(filePath: "/bin/sh")
        make.arguments = ["-ec", "head -c \(mebibytes)M /dev/urandom > \(image); /sbin/mke2fs -q -F -t ext4 \(image)"]
        try make.run()
        make.waitUntilExit()
    }
    try await withBoxes({ side, configuration in
        configuration.disks = [
            .init(
                imagePath: directory.appending(path: "\(side.name).ext4").path,
                mountPoint: "/opt/bench",
                isReadOnly: false,
            )
        ]
    }) { boxes in
        let find = "for d in /sys/block/vd*; do [ \"$(cat $d/serial)\" != disk0 ] || disk=/dev/${d##*/}; done"
        for (name, copy) in [
            ("read", "dd if=$disk of=/dev/null bs=1M iflag=direct"),
            // What is mounted may not be written.
            (
                "write",
                "umount /opt/bench 2> /dev/null || true; "
                    + "dd if=/dev/zero of=$disk bs=1M count=\(mebibytes) oflag=direct conv=notrunc"
            ),
        ] {
            let rates = try await alternate(rounds + 1) { side in
                let script = "\(find); \(copy) 2> /tmp/dd"
                return Double(mebibytes) / (try await box(boxes, side).time(script)) * 1000
            }
            let counted = (ours: Array(rates.ours.dropFirst()), peer: Array(rates.peer.dropFirst()))
            try record("sequential \(name) of a disk, 1 MiB at a time", "MiB/s", counted, better: .higher)
        }
    }
}

// MARK: Idle

if chosen.contains("idle") {
    try await withBoxes { boxes in
        // The guest has a last thing or two to do after its boot.
        try await Task.sleep(for: .seconds(3))
        var figures: (ours: [Double], peer: [Double]) = ([], [])
        for _ in 0..<rounds {
            let before = try [ours, peer].map { processorNanoseconds(of: try $0.process()) }
            let start = ContinuousClock.now
            try await Task.sleep(for: .seconds(2))
            let passed = (ContinuousClock.now - start).milliseconds * 1e6
            let after = try [ours, peer].map { processorNanoseconds(of: try $0.process()) }
            figures.ours.append((after[0] - before[0]) / passed * 100)
            figures.peer.append((after[1] - before[1]) / passed * 100)
        }
        try record("processor time of an idle machine", "%", figures)
    }
}

// MARK: Shares

if chosen.contains("share") {
    say("making \(files) files")
    let tree = try ShareTree(below: directory, names: [ours.name, peer.name], files: files)
    try await withBoxes({ side, configuration in
        configuration.shares = [
            .init(hostPath: tree.directory(of: side.name), guestPath: "/mnt/tree", isReadOnly: false)
        ]
    }) { boxes in
        let nineP = "9p of \(peerName)"
        for side in [ours, peer] {
            _ = try await box(boxes, side).time("git config --system safe.directory '*'")
        }
        var turn: [String: Int] = [:]
        func next(_ side: Contestant) -> Int {
            defer { turn[side.name, default: 0] += 1 }
            return turn[side.name, default: 0] % ShareTree.repositories
        }
        let status = try await alternate(ShareTree.repositories) { side in
            try await box(boxes, side).time("cd /mnt/tree/\(next(side)); GIT_OPTIONAL_LOCKS=0 git status")
        }
        try record("git status on a share, \(files) files in 10 parts", "ms", status, peerName: nineP)
        let removal = try await alternate(ShareTree.repositories) { side in
            try await box(boxes, side).time("rm -rf /mnt/tree/\(next(side))")
        }
        try record("rm -rf on a share, \(files) files in 10 parts", "ms", removal, peerName: nineP)
    }
}

results.printTable()
