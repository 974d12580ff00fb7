internal import GuestAPI
internal import LinuxSystem

/// Starts programs under the box's policy. Confined to the loop's thread.
struct ExecLauncher {
    let settings: GuestAgentSettings
    let loop: EventLoop

    /// The sides of the standard descriptors: what the agent keeps and what the program gets.
    private struct Plumbing: ~Copyable {
        var sources: [ExecOutputSource]
        var input: ExecInput?
        var terminal: WatchedDescriptor?
        let childInput: OwnedFD
        let childOutput: OwnedFD
        let childError: OwnedFD
    }

    func launch(_ start: Voidbox_Guest_V1_ExecStart, id: String) throws(GuestFailure) -> ExecProcess {
        guard let program = start.argv.first, !program.isEmpty else {
            throw GuestFailure(.invalidArgument, "an exec needs a program: argv is empty")
        }
        guard !start.argv.contains(where: { $0.utf8.contains(0) }), !start.workingDirectory.utf8.contains(0) else {
            throw GuestFailure(.invalidArgument, "an argument or the working directory holds a zero byte")
        }
        try settings.programs.check(program)
        let account = try self.account(start.user)
        let variables = settings.environment.variables(
            for: account,
            hasTerminal: start.hasTerminal,
            call: start.environment,
        )
        try ExecEnvironment.check(variables)
        let directory = try workingDirectory(start)
        let path = try ProgramLookup(
            program: program,
            path: variables["PATH"] ?? ExecEnvironment.systemPath,
            workingDirectory: directory,
        ).find()

        let request = SpawnRequest(
            path: path,
            arguments: start.argv,
            environment: variables.map { "\($0.key)=\($0.value)" }.sorted(),
            workingDirectory: directory,
            startsSession: true,
            takesTerminal: start.hasTerminal,
            credentials: SpawnRequest.Credentials(uid: account.uid, gid: account.gid, groups: account.groups),
            noNewPrivileges: true,
            oomScoreAdjustment: 0,
            limits: resourceLimits,
        )
        let group = try makeControlGroup(id)
        do throws(GuestFailure) {
            return try spawn(request, start, in: group, program: program)
        } catch {
            group?.remove()
            throw error
        }
    }

    private func spawn(
        _ request: SpawnRequest,
        _ start: Voidbox_Guest_V1_ExecStart,
        in group: ControlGroup?,
        program: String,
    ) throws(GuestFailure) -> ExecProcess {
        let plumbing: Plumbing
        do throws(SyscallError) {
            plumbing = start.hasTerminal ? try terminal(start.terminal) : try pipes(withInput: start.stdinOpen)
        } catch {
            throw GuestFailure(error, on: "program \"\(program)\"")
        }
        let child: ChildProcess
        do throws(SpawnError) {
            child = try ChildProcess.spawn(
                request,
                descriptors: [
                    plumbing.childInput.rawValue, plumbing.childOutput.rawValue, plumbing.childError.rawValue,
                ],
                cgroup: group?.directory.descriptor.rawValue,
            )
        } catch {
            throw GuestFailure(error, program: program, directory: request.workingDirectory ?? "/")
        }
        return ExecProcess(
            child,
            cage: group.map { .controlGroup($0) } ?? .processGroup(leader: child.pid),
            on: loop,
            sources: plumbing.sources,
            input: plumbing.input,
            terminal: plumbing.terminal,
        )
    }

    // MARK: Parts

    private func account(_ specification: String) throws(GuestFailure) -> Account {
        // An image without these files has only the users that need none.
        let passwd = (try? FileSystem.readText("/etc/passwd")) ?? ""
        let group = (try? FileSystem.readText("/etc/group")) ?? ""
        do throws(UserDatabase.LookupError) {
            return try UserDatabase(passwd: passwd, group: group).account(specification)
        } catch {
            switch error {
            case .unknownUser(let name):
                throw GuestFailure(.notFound, "user \(name.prefix(64).debugDescription) is not in /etc/passwd")
            case .malformed(let text):
                throw GuestFailure(.invalidArgument, "user \(text.prefix(64).debugDescription) is no name or uid[:gid]")
            }
        }
    }

    private func workingDirectory(_ start: Voidbox_Guest_V1_ExecStart) throws(GuestFailure) -> String {
        let path = start.workingDirectory.isEmpty ? settings.workingDirectory : start.workingDirectory
        guard path.hasPrefix("/") else {
            throw GuestFailure(.invalidArgument, "working directory \(path) is not absolute")
        }
        do throws(SyscallError) {
            guard try FileSystem.status(of: path).kind == .directory else {
                throw SyscallError(.notADirectory, call: "chdir")
            }
        } catch {
            throw GuestFailure(error, on: "working directory \(path)")
        }
        return path
    }

    private var resourceLimits: [SpawnRequest.Limit] {
        let limits = settings.limits
        var result = [SpawnRequest.Limit(.openFiles, limits.openFiles)]
        if limits.processes > 0 { result.append(SpawnRequest.Limit(.processes, limits.processes)) }
        if limits.fileBytes > 0 { result.append(SpawnRequest.Limit(.fileSize, limits.fileBytes)) }
        return result
    }

    private func makeControlGroup(_ id: String) throws(GuestFailure) -> ControlGroup? {
        guard let parent = settings.controlGroup else { return nil }
        do throws(SyscallError) {
            return try ControlGroup(path: "\(parent)/\(id)", maxProcesses: settings.limits.processesPerExec)
        } catch {
            throw GuestFailure(error, on: "the cgroup of exec \(id)")
        }
    }

    private func pipes(withInput: Bool) throws(SyscallError) -> Plumbing {
        let output = try OwnedFD.pipe()
        let error = try OwnedFD.pipe()
        try output.first.setNonBlocking()
        try error.first.setNonBlocking()
        var input: ExecInput?
        let childInput: OwnedFD
        if withInput {
            let pipe = try OwnedFD.pipe()
            try pipe.second.setNonBlocking()
            input = ExecInput(WatchedDescriptor(pipe.second, on: loop), isTerminal: false)
            childInput = pipe.first
        } else {
            childInput = try FileSystem.openForReading("/dev/null")
        }
        return Plumbing(
            sources: [
                ExecOutputSource(WatchedDescriptor(output.first, on: loop), stream: .stdout),
                ExecOutputSource(WatchedDescriptor(error.first, on: loop), stream: .stderr),
            ],
            input: input,
            terminal: nil,
            childInput: childInput,
            childOutput: output.second,
            childError: error.second,
        )
    }

    private func terminal(_ size: Voidbox_Guest_V1_Terminal) throws(SyscallError) -> Plumbing {
        let pair = try PseudoTerminal(
            columns: UInt16(clamping: size.columns == 0 ? 80 : size.columns),
            rows: UInt16(clamping: size.rows == 0 ? 24 : size.rows),
        )
        try pair.manager.setNonBlocking()
        let input = try pair.manager.duplicate()
        let childOutput = try pair.terminal.duplicate()
        let childError = try pair.terminal.duplicate()
        let manager = WatchedDescriptor(pair.manager, on: loop)
        return Plumbing(
            sources: [ExecOutputSource(manager, stream: .stdout)],
            input: ExecInput(WatchedDescriptor(input, on: loop), isTerminal: true),
            terminal: manager,
            childInput: pair.terminal,
            childOutput: childOutput,
            childError: childError,
        )
    }
}

extension GuestFailure {
    init(_ error: SpawnError, program: String, directory: String) {
        self.init(.internal, "\(program): \(error)")
    }
}
