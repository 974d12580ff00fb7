internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// Starts programs under the box's policy. Confined to the loop's thread.
struct ExecLauncher {
    /// `tty` in every distribution's /etc/group.
    private static let terminalGroup: UInt32 = 5

    let settings: GuestAgentSettings
    let loop: EventLoop

    /// The sides of the standard descriptors: what the agent keeps and what the program gets.
    private struct Plumbing {
        var sources: [ExecOutputSource]
        var input: ExecInput?
        var terminal: WatchedDescriptor?
        /// Standard input, output and error. Released after the start, so that only the program holds them.
        var child: [WatchedDescriptor]
    }

    func launch(_ start: Voidbox_Guest_V1_ExecStart, id: String) throws(TTRPCStatus) -> ExecProcess {
        guard let program = start.argv.first, !program.isEmpty else {
            throw TTRPCStatus(.invalidArgument, "an exec needs a program: argv is empty")
        }
        guard !start.argv.contains(where: { $0.utf8.contains(0) }), !start.workingDirectory.utf8.contains(0) else {
            throw TTRPCStatus(.invalidArgument, "an argument or the working directory holds a zero byte")
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

        var request = SpawnRequest(
            path: path,
            argv: start.argv,
            environment: variables.map { "\($0.key)=\($0.value)" }.sorted(),
        )
        request.workingDirectory = directory
        request.startsSession = true
        request.takesTerminal = start.hasTerminal
        request.identity = SpawnRequest.Identity(uid: account.uid, gid: account.gid, groups: account.groups)
        request.noNewPrivileges = true
        // The agent's own protection from the OOM killer is not for its children.
        request.oomScoreAdjustment = Machine.isFirstProcess ? 0 : nil
        request.limits = resourceLimits
        let group = try makeControlGroup(id)
        do throws(TTRPCStatus) {
            return try spawn(request, start, as: account, in: group)
        } catch {
            group?.remove()
            throw error
        }
    }

    private func spawn(
        _ request: SpawnRequest,
        _ start: Voidbox_Guest_V1_ExecStart,
        as account: Account,
        in group: ControlGroup?,
    ) throws(TTRPCStatus) -> ExecProcess {
        let program = request.argv[0]
        let plumbing: Plumbing
        do throws(SyscallError) {
            plumbing =
                start.hasTerminal ? try terminal(start.terminal, for: account) : try pipes(withInput: start.stdinOpen)
        } catch {
            throw TTRPCStatus(error, on: "program \"\(program)\"")
        }
        let descriptors = plumbing.child.map { $0.fd.rawValue }
        do throws(SpawnError) {
            guard let group else {
                let child = try ChildProcess.spawn(request, descriptors: descriptors)
                let cage = ExecCage.processGroup(leader: child.pid)
                return process(child, in: cage, plumbing)
            }
            let child = try ChildProcess.spawn(
                request,
                descriptors: descriptors,
                cgroup: group.directory.descriptor,
            )
            return process(child, in: .controlGroup(group), plumbing)
        } catch {
            throw TTRPCStatus(error, program: program, directory: request.workingDirectory ?? "/")
        }
    }

    private func process(_ child: consuming ChildProcess, in cage: ExecCage, _ plumbing: Plumbing) -> ExecProcess {
        ExecProcess(
            child,
            cage: cage,
            on: loop,
            sources: plumbing.sources,
            input: plumbing.input,
            terminal: plumbing.terminal,
        )
    }

    // MARK: Parts

    private func account(_ specification: String) throws(TTRPCStatus) -> Account {
        // An image without these files has only the users that need none.
        let passwd = (try? FileSystem.readText("/etc/passwd")) ?? ""
        let group = (try? FileSystem.readText("/etc/group")) ?? ""
        do throws(UserDatabase.LookupError) {
            return try UserDatabase(passwd: passwd, group: group).account(specification)
        } catch {
            switch error {
            case .unknownUser(let name):
                throw TTRPCStatus(.notFound, "user \(name.prefix(64).debugDescription) is not in /etc/passwd")
            case .malformed(let text):
                throw TTRPCStatus(.invalidArgument, "user \(text.prefix(64).debugDescription) is no name or uid[:gid]")
            }
        }
    }

    private func workingDirectory(_ start: Voidbox_Guest_V1_ExecStart) throws(TTRPCStatus) -> String {
        let path = start.workingDirectory.isEmpty ? settings.workingDirectory : start.workingDirectory
        guard path.hasPrefix("/") else {
            throw TTRPCStatus(.invalidArgument, "working directory \(path) is not absolute")
        }
        do throws(SyscallError) {
            guard try FileSystem.status(of: path).kind == .directory else {
                throw SyscallError(.notADirectory, call: "chdir")
            }
        } catch {
            throw TTRPCStatus(error, on: "working directory \(path)")
        }
        return path
    }

    private var resourceLimits: [ResourceLimit] {
        let limits = settings.limits
        var result = [ResourceLimit(.openFiles, limits.openFiles)]
        if limits.processes > 0 { result.append(ResourceLimit(.processes, limits.processes)) }
        if limits.fileBytes > 0 { result.append(ResourceLimit(.fileSize, limits.fileBytes)) }
        return result
    }

    private func makeControlGroup(_ id: String) throws(TTRPCStatus) -> ControlGroup? {
        guard let parent = settings.controlGroup else { return nil }
        do throws(SyscallError) {
            return try ControlGroup(path: "\(parent)/\(id)", maxProcesses: settings.limits.processesPerExec)
        } catch {
            throw TTRPCStatus(error, on: "the cgroup of exec \(id)")
        }
    }

    private func pipes(withInput: Bool) throws(SyscallError) -> Plumbing {
        let output = ends(of: try OwnedFD.pipe())
        let error = ends(of: try OwnedFD.pipe())
        try output.first.fd.setNonBlocking()
        try error.first.fd.setNonBlocking()
        var plumbing = Plumbing(
            sources: [
                ExecOutputSource(output.first, stream: .stdout),
                ExecOutputSource(error.first, stream: .stderr),
            ],
            child: [output.second, error.second],
        )
        if withInput {
            let input = ends(of: try OwnedFD.pipe())
            try input.second.fd.setNonBlocking()
            plumbing.input = ExecInput(input.second, isTerminal: false)
            plumbing.child.insert(input.first, at: 0)
        } else {
            let null = try FileSystem.openForReading("/dev/null")
            plumbing.child.insert(WatchedDescriptor(null, on: loop), at: 0)
        }
        return plumbing
    }

    private func terminal(
        _ size: Voidbox_Guest_V1_Terminal,
        for account: Account,
    ) throws(SyscallError) -> Plumbing {
        let pair = ends(
            of: try OwnedFD.pseudoTerminal(
                columns: UInt16(clamping: size.columns == 0 ? 80 : size.columns),
                rows: UInt16(clamping: size.rows == 0 ? 24 : size.rows),
            )
        )
        try pair.first.fd.setNonBlocking()
        // As login(1) does it: the program may open its terminal by name, and other users may not read it.
        try pair.second.fd.setOwner(uid: account.uid, gid: Self.terminalGroup)
        try pair.second.fd.setMode(0o620)
        // Output and input each want a place of their own in the event loop.
        let input = WatchedDescriptor(try pair.first.fd.duplicate(), on: loop)
        return Plumbing(
            sources: [ExecOutputSource(pair.first, stream: .stdout)],
            input: ExecInput(input, isTerminal: true),
            terminal: pair.first,
            child: [pair.second, pair.second, pair.second],
        )
    }

    private func ends(of pair: consuming OwnedFD.Pair) -> (first: WatchedDescriptor, second: WatchedDescriptor) {
        pair.split { (WatchedDescriptor($0, on: loop), WatchedDescriptor($1, on: loop)) }
    }
}

extension TTRPCStatus {
    /// A program that did not start: what the host can do about it is in the program, its directory or its user.
    init(_ error: SpawnError, program: String, directory: String) {
        switch error.step {
        case .workingDirectory:
            self.init(Code(error.errno), "working directory \(directory): \(error.errno)")
        case .execute where error.errno == .notFound:
            self.init(
                .failedPrecondition,
                "program \"\(program)\" (\(error.path)) needs an interpreter or loader that is not here",
            )
        case .execute: self.init(Code(error.errno), "program \"\(program)\" (\(error.path)): \(error.errno)")
        default: self.init(Code(error.errno), "program \"\(program)\": \(error)")
        }
    }
}
