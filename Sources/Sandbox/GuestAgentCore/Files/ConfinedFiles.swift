internal import GuestAPI
internal import LinuxSystem
internal import TTRPC

/// Opens and makes files below the roots that are open to file calls, whatever links the guest has put there.
struct ConfinedFiles {
    let roots: FileRoots

    struct Owner {
        let uid: UInt32
        let gid: UInt32
        static let sandbox = Owner(uid: UserDatabase.sandboxID, gid: UserDatabase.sandboxID)
    }

    /// What symbolic links in a path mean.
    ///
    /// The agent is root, and whoever runs in the box can put links where the host looks: a caller who has not asked for
    /// links to be followed must not be led by one to a file that only root may read.
    enum Links {
        case followed, refused
    }

    func open(_ path: String, _ access: Directory.Access, links: Links = .followed) throws(TTRPCStatus) -> OwnedFD {
        try open(try roots.locate(path), access, links, for: path)
    }

    private func open(
        _ location: FileRoots.Location,
        _ access: Directory.Access,
        _ links: Links = .followed,
        for path: String,
    ) throws(TTRPCStatus) -> OwnedFD {
        do throws(SyscallError) {
            return try resolve(location, access, links)
        } catch {
            if error.errno == .tooManySymbolicLinks, links == .refused {
                throw TTRPCStatus(.invalidArgument, "\(path): a symbolic link, which is not followed")
            }
            // Only the confinement answers so: a path does not cross file systems by being opened.
            if error.errno == .crossesDevices { throw roots.outside("\(path), through a symbolic link,") }
            throw TTRPCStatus(error, on: path)
        }
    }

    private func resolve(
        _ location: FileRoots.Location,
        _ access: Directory.Access,
        _ links: Links,
    ) throws(SyscallError) -> OwnedFD {
        let system = try Directory("/")
        if location.isWholeSystem {
            return try system.open(beneath: location.relative, access, links == .followed ? .root : .withoutLinks)
        }
        // The way to a root must hold no link either, or whoever owns a part of it could lead it elsewhere.
        let way = String(location.root.dropFirst())
        let root = Directory(adopting: try system.open(beneath: way, .directory, .withoutLinks))
        return try root.open(beneath: location.relative, access, links == .followed ? .beneath : .withoutLinks)
    }

    /// The directory that a path's last component is in, for calls that act on the entry itself.
    func entry(_ path: String) throws(TTRPCStatus) -> DirectoryEntry {
        let (location, name) = try roots.locateEntry(path)
        return DirectoryEntry(directory: Directory(adopting: try open(location, .directory, for: path)), name: name)
    }

    // MARK: Reading

    func openRegularFile(_ path: String, offset: UInt64, links: Links) throws(TTRPCStatus) -> OwnedFD {
        let file = try open(path, .read, links: links)
        switch try TTRPCStatus.mapping(path, { () throws(SyscallError) in try file.status().kind }) {
        case .regular: break
        case .directory: throw TTRPCStatus(.invalidArgument, "\(path): Is a directory")
        case .symbolicLink, .other: throw TTRPCStatus(.invalidArgument, "\(path): not a regular file")
        }
        if offset > 0 { try TTRPCStatus.mapping(path) { () throws(SyscallError) in try file.seek(to: offset) } }
        return file
    }

    func information(_ path: String, followingLinks: Bool) throws(TTRPCStatus) -> Voidbox_Guest_V1_FileInfo {
        let location = try roots.locate(path)
        let file = try open(location, .path(followLast: followingLinks), for: path)
        do throws(SyscallError) {
            let status = try file.status()
            let target = status.kind == .symbolicLink ? try Directory(adopting: file).linkTarget(of: "") : ""
            return Voidbox_Guest_V1_FileInfo(location.name ?? "/", status, linkTarget: target)
        } catch {
            throw TTRPCStatus(error, on: path)
        }
    }

    func entries(_ path: String) throws(TTRPCStatus) -> [Voidbox_Guest_V1_FileInfo] {
        let directory = Directory(adopting: try open(path, .directory))
        do throws(SyscallError) {
            var entries: [Voidbox_Guest_V1_FileInfo] = []
            for name in try directory.names().sorted() {
                // An entry may go between the two calls: then it is no entry any more.
                guard let status = try? directory.status(of: name) else { continue }
                let target = status.kind == .symbolicLink ? (try? directory.linkTarget(of: name)) ?? "" : ""
                entries.append(Voidbox_Guest_V1_FileInfo(name, status, linkTarget: target))
            }
            return entries
        } catch {
            throw TTRPCStatus(error, on: path)
        }
    }

    // MARK: Making

    func makeDirectory(_ path: String, mode: UInt32, withParents: Bool) throws(TTRPCStatus) {
        let location = try roots.locate(path)
        guard let parent = location.parent, let name = location.name, name != ".." else {
            if withParents { return }
            throw TTRPCStatus(.alreadyExists, "\(path): File exists")
        }
        let directory =
            withParents
            ? try makeParents(parent, .sandbox, .followed, for: path)
            : Directory(adopting: try open(parent, .directory, for: path))
        do throws(SyscallError) {
            try Self.make(name, in: directory, mode: mode, .sandbox)
        } catch {
            if withParents, error.errno == .exists, try isDirectory(location, path) { return }
            throw TTRPCStatus(error, on: path)
        }
    }

    private func isDirectory(_ location: FileRoots.Location, _ path: String) throws(TTRPCStatus) -> Bool {
        let file = try open(location, .path(followLast: true), for: path)
        return (try? file.status())?.kind == .directory
    }

    /// Opens a directory, making it and its parents where they are missing.
    func makeParents(
        _ location: FileRoots.Location,
        _ owner: Owner,
        _ links: Links,
        for path: String,
    ) throws(TTRPCStatus) -> Directory {
        // From the far end: mostly nothing is missing.
        do throws(SyscallError) {
            return Directory(adopting: try resolve(location, .directory, links))
        } catch {
            guard error.errno == .notFound, let parent = location.parent, let name = location.name, name != ".." else {
                return Directory(adopting: try open(location, .directory, links, for: path))
            }
            let directory = try makeParents(parent, owner, links, for: path)
            do throws(SyscallError) {
                try Self.make(name, in: directory, mode: 0o755, owner)
            } catch  where error.errno == .exists {
                // Another call made it meanwhile, or it is a link to nowhere, which the next line says.
            } catch {
                throw TTRPCStatus(error, on: path)
            }
            return Directory(adopting: try open(location, .directory, links, for: path))
        }
    }

    private static func make(
        _ name: String,
        in directory: borrowing Directory,
        mode: UInt32,
        _ owner: Owner,
    ) throws(SyscallError) {
        try directory.makeDirectory(name, mode: mode)
        let made = try directory.openDirectory(name)
        try made.descriptor.setOwner(uid: owner.uid, gid: owner.gid)
        // The agent's umask does not speak for the caller.
        try made.descriptor.setMode(mode)
    }

    func beginWriting(_ open: Voidbox_Guest_V1_WriteFileOpen) throws(TTRPCStatus) -> PendingFile {
        let owner =
            open.uid == 0 && open.gid == 0 && !open.rootOwned ? Owner.sandbox : Owner(uid: open.uid, gid: open.gid)
        let links = open.followLinks ? Links.followed : .refused
        let (location, name) = try roots.locateEntry(open.path)
        let directory =
            open.createParents
            ? try makeParents(location, owner, links, for: open.path)
            : Directory(adopting: try self.open(location, .directory, links, for: open.path))
        if let status = try? directory.status(of: name), status.kind == .directory {
            throw TTRPCStatus(.invalidArgument, "\(open.path): Is a directory")
        }
        let mode = open.mode == 0 ? 0o644 : open.mode & 0o7777
        do throws(SyscallError) {
            return try PendingFile(name, in: directory, path: open.path, mode: mode, owner: owner)
        } catch {
            throw TTRPCStatus(error, on: open.path)
        }
    }
}

/// A name in an open directory.
struct DirectoryEntry: ~Copyable {
    let directory: Directory
    let name: String
}

extension Voidbox_Guest_V1_FileInfo {
    init(_ name: String, _ status: FileStatus, linkTarget: String) {
        self.init()
        self.name = name
        kind =
            switch status.kind {
            case .regular: .regular
            case .directory: .directory
            case .symbolicLink: .symbolicLink
            case .other: .other
            }
        size = status.size
        mode = status.mode
        uid = status.uid
        gid = status.gid
        modifiedUnixNanos = status.modifiedUnixNanoseconds
        self.linkTarget = linkTarget
    }
}
