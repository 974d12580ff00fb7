package import Sandboxing

extension HostProgram {
    package static let qemu = HostProgram(
        name: "qemu-system-x86_64",
        variable: "VOIDBOX_QEMU",
        isOfThisInstallation: false,
        absence: "QEMU is not installed",
        hint: "apt-get install qemu-system-x86",
    )
    /// Where what was found is no QEMU.
    static let qemuHint = "\(qemu.variable) names the program; unset, it is the first \(qemu.name) in PATH"
}
