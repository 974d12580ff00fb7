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

    /// Runs the command that the arguments name and ends the process with its status.
    ///
    /// ArgumentParser exits with 64 on wrong usage; the documented status for it is 2.
    package static func runToExit() async -> Never {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            exit(withError: nil)
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            Console.error(fullMessage(for: error))
            exit(withError: ExitStatus.usage)
        }
    }
}
