import Primitives
import Testing

@testable import Sandboxing

@Suite("Host check") struct HostCheckTests {
    private static let bzImage = [UInt8](repeating: 0, count: 0x202) + Array("HdrS".utf8) + [0, 0]

    @Test(
        arguments: [
            (GuestAsset.kernel, Array("\u{7F}ELF".utf8), true),
            (.kernel, bzImage, true),
            (.kernel, Array("#!/bin/sh".utf8), false),
            (.kernel, Array(bzImage.dropFirst()), false),
            (.initramfs, Array("070701".utf8), true),
            (.initramfs, [0x1F, 0x8B, 8], true),
            (.initramfs, [0x28, 0xB5, 0x2F, 0xFD], true),
            (.initramfs, Array("broken".utf8), false),
            (.baseRoot, [0], true),
            (.baseRoot, [], false),
            (.kernel, [], false),
        ] as [(GuestAsset, [UInt8], Bool)]
    )
    func `a boot file is told by how it begins`(_ asset: GuestAsset, _ head: [UInt8], _ isFine: Bool) {
        #expect((BootFile.problem(of: asset, head: head) == nil) == isFine)
    }

    @Test func `memory is read from meminfo`() throws {
        let memory = try #require(
            HostMemory(parsing: "MemTotal:        4096 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n")
        )
        #expect(memory.total == .mebibytes(4))
        #expect(memory.available == .mebibytes(2))
        #expect(HostMemory(parsing: "nothing") == nil)
    }

    @Test func `a box that can never fit is refused, one that may is a warning`() throws {
        let memory = try #require(HostMemory(parsing: "MemTotal: 4194304 kB\nMemAvailable: 2097152 kB\n"))
        var configuration = SandboxConfiguration(
            name: "x",
            boot: BootArtifacts(kernel: "", initramfs: "", rootDisk: "")
        )
        configuration.memory = .gibibytes(3)
        try memory.check(configuration)
        #expect(memory.warning(for: .gibibytes(3))?.contains("2 GiB are available") == true)
        #expect(memory.warning(for: .gibibytes(1)) == nil)
        configuration.memory = .gibibytes(5)
        #expect(throws: SandboxError.self) { try memory.check(configuration) }
    }
}
