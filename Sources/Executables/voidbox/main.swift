internal import ArgumentParser
internal import CommandLineTool

// ArgumentParser exits with 64 on wrong usage; voidbox's documented status for it is 2.
do {
    var command = try VoidBoxCommand.parseAsRoot()
    if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
    } else {
        try command.run()
    }
} catch {
    let code = VoidBoxCommand.exitCode(for: error)
    if code == .validationFailure {
        StandardError.print(VoidBoxCommand.fullMessage(for: error))
        VoidBoxCommand.exit(withError: ExitCode(2))
    }
    VoidBoxCommand.exit(withError: error)
}
