package import ArgumentParser
internal import HostSession
internal import LinuxSystem
internal import Runs

/// The command `voidbox`.
package struct VoidBoxCommand: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "voidbox",
        abstract: "Run AI agents, and the code they write, in disposable micro-VMs.",
        discussion: """
            Start with:  voidbox doctor
                         voidbox run --file examples/quickstart.yaml

            Exit status: 0 success, 1 the run failed, 2 wrong usage or an invalid specification,
            3 this host cannot do it, 130 interrupted, 141 whoever read stdout has gone.
            exec and shell return the guest program's own status, and 124 to 127 as timeout(1) and env(1) do: see their help.

            Shell completion: voidbox --generate-completion-script bash|zsh|fish
            """,
        version: VoidBoxVersion.current,
        subcommands: [
            RunCommand.self,
            ValidateCommand.self,
            PsCommand.self,
            LogsCommand.self,
            EventsCommand.self,
            InspectCommand.self,
            ReportCommand.self,
            CancelCommand.self,
            RemoveCommand.self,
            SkillsCommand.self,
            ExecCommand.self,
            ShellCommand.self,
            AttachCommand.self,
            DoctorCommand.self,
            VersionCommand.self,
        ],
    )

    package init() {}

    /// Runs the command that the arguments name and ends the process with its status.
    package static func runToExit() async -> Never {
        exit(withError: ExitCode(await status().code))
    }

    private static func status() async -> ExitStatus {
        do {
            // A standard descriptor that is missing would be the number of the next file opened. Read-only: what is written
            // to a stream that was closed is an error, as it is for every program.
            try FileSystem.openStandardDescriptors(OwnedFD.readOnly)
            CurrentProcess.ignoreBrokenPipes()
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            return .success
        } catch let error as ExitStatus {
            return error
        } catch {
            return report(error)
        }
    }

    /// Says what there is to say of an error that is about the command line, or that nobody expected.
    private static func report(_ error: any Error) -> ExitStatus {
        if let error = error as? StandardOutputError {
            if error.readerIsGone { return .readerGone }
            Console.error("error: \(error)")
            return .runFailed
        }
        let message = fullMessage(for: error)
        switch exitCode(for: error) {
        case .success:
            do throws(StandardOutputError) {
                if !message.isEmpty { try Console.out(message) }
                return .success
            } catch {
                return report(error)
            }
        // ArgumentParser exits with 64; the documented status for it is 2.
        case .validationFailure:
            Console.error(message)
            return .usage
        default:
            Console.error("error: \(RunFailure(error))")
            return .runFailed
        }
    }
}
