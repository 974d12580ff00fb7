package import Sandboxing

extension HostProgram {
    /// The program that a box runs in.
    package static let worker = HostProgram(
        name: "voidbox-vmm",
        variable: "VOIDBOX_VMM",
        isOfThisInstallation: true,
        absence: "it is neither beside voidbox nor in PATH",
        hint: "build it (swift build --product voidbox-vmm), or name it in VOIDBOX_VMM",
    )
}
