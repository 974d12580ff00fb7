internal import FoundationEssentials
internal import GuestAPI
internal import Primitives
internal import TTRPC

extension GuestClient {
    func readFile(_ path: String, consume: (borrowing [UInt8]) async throws -> Void) async throws {
        var input = Voidbox_Guest_V1_ReadFileInput()
        input.open.path = path
        let stream = try openStream("ReadFile", input, on: path)
        var window = ReceiveWindow(capacity: StreamLimit.fileRead)
        while let output = try await receive(Voidbox_Guest_V1_ReadFileOutput.self, from: stream, on: path) {
            guard window.accept(output.data.count) else {
                throw SandboxError(.protocolViolation, resource: path, "the guest agent sent beyond its credit")
            }
            try await consume(Array(output.data))
            let credit = window.consume(output.data.count)
            if credit > 0 {
                input.credit = credit
                try send(input, to: stream, on: path)
            }
        }
    }

    func writeFile(_ path: String, options: WriteOptions, produce: () async throws -> [UInt8]?) async throws {
        var input = Voidbox_Guest_V1_WriteFileInput()
        input.open = Voidbox_Guest_V1_WriteFileOpen(path, options)
        let stream = try openStream("WriteFile", input, on: path)
        defer { stream.cancel() }
        var window = SendWindow(capacity: StreamLimit.fileWrite)
        while let piece = try await produce() {
            var rest = piece[...]
            while !rest.isEmpty {
                while window.available == 0 {
                    guard let output = try await receive(Voidbox_Guest_V1_WriteFileOutput.self, from: stream, on: path)
                    else {
                        throw SandboxError(.protocolViolation, resource: path, "the guest agent ended the write early")
                    }
                    guard window.giveBack(output.credit) else {
                        throw SandboxError(.protocolViolation, resource: path, "the guest agent gave too much credit")
                    }
                }
                let part = rest.prefix(min(window.available, StreamLimit.message))
                window.take(part.count)
                input.data = Data(part)
                try send(input, to: stream, on: path)
                rest = rest.dropFirst(part.count)
            }
        }
        input.commit = Voidbox_Guest_V1_Empty()
        try send(input, to: stream, on: path)
        // The end of the stream is the agent's word that the file is in place.
        while try await receive(Voidbox_Guest_V1_WriteFileOutput.self, from: stream, on: path) != nil {}
    }

    func stat(_ path: String, followLinks: Bool) async throws -> FileInfo {
        var request = Voidbox_Guest_V1_StatRequest()
        request.path = path
        request.followLinks = followLinks
        let info: Voidbox_Guest_V1_FileInfo = try await call("Stat", request, on: path)
        return FileInfo(info)
    }

    func listDirectory(_ path: String) async throws -> [FileInfo] {
        var request = Voidbox_Guest_V1_ListDirectoryRequest()
        request.path = path
        let list: Voidbox_Guest_V1_ListDirectoryResponse = try await call("ListDirectory", request, on: path)
        return list.entries.map { FileInfo($0) }
    }

    func makeDirectory(_ path: String, parents: Bool) async throws {
        var request = Voidbox_Guest_V1_MakeDirectoryRequest()
        request.path = path
        request.parents = parents
        let _: Voidbox_Guest_V1_Empty = try await call("MakeDirectory", request, on: path)
    }

    func remove(_ path: String, recursive: Bool) async throws {
        var request = Voidbox_Guest_V1_RemoveRequest()
        request.path = path
        request.recursive = recursive
        let _: Voidbox_Guest_V1_Empty = try await call("Remove", request, on: path)
    }

    func rename(_ from: String, to: String) async throws {
        var request = Voidbox_Guest_V1_RenameRequest()
        request.from = from
        request.to = to
        let _: Voidbox_Guest_V1_Empty = try await call("Rename", request, on: from)
    }
}

extension Voidbox_Guest_V1_WriteFileOpen {
    fileprivate init(_ path: String, _ options: WriteOptions) {
        self.init()
        self.path = path
        mode = options.mode
        createParents = options.createParents
        switch options.owner {
        case .sandbox: break
        case .root: rootOwned = true
        case .ids(let uid, let gid): (self.uid, self.gid) = (uid, gid)
        }
    }
}

extension FileInfo {
    fileprivate init(_ info: Voidbox_Guest_V1_FileInfo) {
        let kind: Kind =
            switch info.kind {
            case .regular: .regular
            case .directory: .directory
            case .symbolicLink: .symbolicLink(target: info.linkTarget)
            case .other, .UNRECOGNIZED: .other
            }
        self.init(
            name: info.name,
            kind: kind,
            size: ByteCount(bytes: info.size),
            mode: info.mode,
            uid: info.uid,
            gid: info.gid,
            modifiedUnixNanoseconds: info.modifiedUnixNanos,
        )
    }
}
