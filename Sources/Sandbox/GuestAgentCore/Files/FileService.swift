internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// The file calls. Confined to the loop's thread.
final class FileService {
    /// What one answer may hold, below the 4 MiB of a message.
    private static let longestListing = 3 << 20

    private let loop: EventLoop
    private let files: ConfinedFiles

    init(on loop: EventLoop, roots: FileRoots) {
        self.loop = loop
        files = ConfinedFiles(roots: roots)
    }

    func read(_ call: Call) throws(TTRPCStatus) {
        let input = try call.request(Voidbox_Guest_V1_ReadFileInput.self)
        guard case .open(let open) = input.kind else {
            throw TTRPCStatus(.invalidArgument, "reading a file begins with `open`")
        }
        let file = try files.openRegularFile(
            open.path,
            offset: open.offset,
            links: open.followLinks ? .followed : .refused,
        )
        FileReading(file, path: open.path, length: open.length, call).begin()
    }

    func write(_ call: Call) throws(TTRPCStatus) {
        let input = try call.request(Voidbox_Guest_V1_WriteFileInput.self)
        guard case .open(let open) = input.kind else {
            throw TTRPCStatus(.invalidArgument, "writing a file begins with `open`")
        }
        FileWriting(try files.beginWriting(open), call).begin()
    }

    func stat(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_StatRequest.self)
        call.finish(try files.information(request.path, followingLinks: request.followLinks))
    }

    func list(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_ListDirectoryRequest.self)
        var response = Voidbox_Guest_V1_ListDirectoryResponse()
        response.entries = try files.entries(request.path)
        let size = response.entries.reduce(0) { $0 + 64 + $1.name.utf8.count + $1.linkTarget.utf8.count }
        guard size <= Self.longestListing else {
            throw TTRPCStatus(
                .resourceExhausted,
                "\(request.path): \(response.entries.count) entries do not fit into one answer",
            )
        }
        call.finish(response)
    }

    func makeDirectory(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_MakeDirectoryRequest.self)
        let mode = request.mode == 0 ? 0o755 : request.mode & 0o7777
        try files.makeDirectory(request.path, mode: mode, withParents: request.parents)
        call.finish(Voidbox_Guest_V1_Empty())
    }

    func remove(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_RemoveRequest.self)
        let entry = try files.entry(request.path)
        do throws(SyscallError) {
            if try entry.directory.status(of: entry.name).kind != .directory {
                try entry.directory.unlink(entry.name)
            } else if !request.recursive {
                try entry.directory.removeDirectory(entry.name)
            } else {
                return TreeRemoval(of: entry, path: request.path, on: loop, call).begin()
            }
        } catch {
            throw TTRPCStatus(error, on: request.path)
        }
        call.finish(Voidbox_Guest_V1_Empty())
    }

    func rename(_ call: Call) throws(TTRPCStatus) {
        let request = try call.request(Voidbox_Guest_V1_RenameRequest.self)
        let from = try files.entry(request.from)
        let to = try files.entry(request.to)
        do throws(SyscallError) {
            try from.directory.rename(from.name, to: to.directory, to.name)
        } catch {
            throw TTRPCStatus(error, on: "\(request.from) to \(request.to)")
        }
        call.finish(Voidbox_Guest_V1_Empty())
    }
}
