import LinuxBoot
import LinuxSystem
import MachineMemory

extension FuzzTarget {
    /// A file that starts as an ELF file does.
    static let elf = FuzzTarget("elf") { bytes in
        let image = [0x7F, 0x45, 0x4C, 0x46] + bytes.dropFirst(4)
        // As the front of a file much larger, whose segments may be anywhere.
        if let kernel = try? ELFKernel(front: image, fileSize: 1 << 40) {
            for segment in kernel.segments {
                precondition(segment.fileOffset + segment.fileSize <= 1 << 40, "a segment is inside its file")
                precondition(segment.fileSize <= segment.memorySize, "a segment fits in its memory")
            }
        }
        load(image)
    }

    /// A file with the mark of a setup header.
    static let bzImage = FuzzTarget("bzimage") { bytes in
        var image = bytes + [UInt8](repeating: 0, count: max(0, 0x400 - bytes.count))
        image.replaceSubrange(0x202..<0x206, with: "HdrS".utf8)
        if image[0] == 0x7F { image[0] = 0 }
        if let kernel = try? BzImage(front: image, fileSize: .max) {
            precondition(kernel.codeOffset < .max && kernel.loadAddress >= 0x10_0000, "the code has a place")
        }
        load(image)
    }
}

/// As a machine with little memory would load it, with an initramfs of the same bytes.
private func load(_ image: [UInt8]) {
    guard let memory = try? GuestMemory(MachineMemoryLayout(size: 20 << 20)),
        let kernel = try? OwnedFD.memoryFile(named: "fuzz", contents: image),
        let initramfs = try? OwnedFD.memoryFile(named: "fuzz", contents: Array(image.prefix(100)))
    else { fatalError("there is no memory to load it into") }
    let entry = try? LinuxLoader(memory).load(
        kernel: kernel,
        initramfs: initramfs,
        appended: Array(image.prefix(13)),
        commandLine: "fuzz",
        processors: 1 + image.count % 64,
    )
    if let entry { precondition(entry.instructionPointer >= 0x10_0000, "a kernel is entered where it was loaded") }
}
