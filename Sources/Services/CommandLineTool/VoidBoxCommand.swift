package import ArgumentParser

/// The command `voidbox`.
package struct VoidBoxCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "voidbox",
        abstract: "Run AI agents, and the code they write, in disposable micro-VMs.",
        discussion: """
            Start with:  voidbox doctor
                         voidbox run --file examples/quickstart.yaml

            Exit status: 0 success, 1 the run failed, 2 wrong usage or an invalid specification,
            3 this host cannot do it, 130 interrupted. exec and shell return the guest program's own status.

            Shell completion: voidbox --generate-completion-script bash|zsh|fish
            """,
        version: VoidBoxVersion.current,
        subcommands: [
            RunCommand.self,
            ValidateCommand.self,
            InspectCommand.self,
            SkillsCommand.self,
            ExecCommand.self,
            ShellCommand.self,
            DoctorCommand.self,
            VersionCommand.self,
        ],
    )

    package init() {}
}
