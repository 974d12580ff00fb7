internal import AsyncHTTPClient
internal import FoundationEssentials
internal import NIOCore
internal import NIOHTTP1
package import Primitives
package import Skills

/// Gets skills out of repositories, by GitHub's REST API or one that is compatible with it, and keeps them by content.
package struct RemoteSkillStore: Sendable {
    package static let defaultSource = "https://api.github.com"
    private static let maxAnswerBytes = 8 << 20

    private let cache: SkillCache
    private let source: String
    private let token: Secret<String>?

    /// - Parameters:
    ///   - cacheDirectory: Made when it is needed.
    ///   - source: Address of the API, without a slash at its end.
    ///   - token: Sent to that address only.
    package init(cacheDirectory: String, source: String = Self.defaultSource, token: Secret<String>? = nil) {
        cache = SkillCache(directory: cacheDirectory)
        self.source = source
        self.token = token
    }

    /// The skill, from the cache if it is there whole. Throws `SkillSourceError`.
    package func skill(_ reference: RemoteSkillReference) async throws -> SkillBundle {
        do {
            return try await bundle(reference)
        } catch let error as SkillViolation {
            throw SkillSourceError("remote:\(reference): \(error)", hint: "see https://agentskills.io/specification")
        } catch let error as SkillSourceError {
            throw SkillSourceError("remote:\(reference): \(error.message)", hint: error.hint)
        }
    }

    private func bundle(_ reference: RemoteSkillReference) async throws -> SkillBundle {
        let known: String? =
            switch reference.pin {
            case .commit(let commit): commit
            case .tag(let tag): cache.commit(ofTag: tag, reference)
            }
        if let known, let files = cache.files(of: reference, commit: known) {
            return try SkillBundle(directory: reference.name, files: files)
        }
        var configuration = HTTPClient.Configuration()
        // A redirect would carry the token to an address that nobody named.
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(10)
        configuration.timeout.read = .seconds(60)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let download = Download(client: client, source: source, token: token, reference: reference)
            let files = try await fetch(reference, known, download)
            try await client.shutdown()
            return files
        } catch {
            // The error that led here says more.
            try? await client.shutdown()
            throw error
        }
    }

    private func fetch(
        _ reference: RemoteSkillReference,
        _ known: String?,
        _ download: Download,
    ) async throws -> SkillBundle {
        let commit: String
        switch (known, reference.pin) {
        case (let known?, _): commit = known
        case (nil, .commit(let pinned)): commit = pinned
        case (nil, .tag(let tag)):
            commit = try await download.commit(ofTag: tag)
            try cache.keep(commit: commit, ofTag: tag, reference)
        }
        let bundle = try SkillBundle(directory: reference.name, files: try await download.files(at: commit))
        try cache.keep(bundle.files, of: reference, commit: commit)
        return bundle
    }
}

/// One skill on its way.
private struct Download {
    private static let maxAnswerBytes = 8 << 20

    let client: HTTPClient
    let source: String
    let token: Secret<String>?
    let reference: RemoteSkillReference

    // MARK: Answers of the API

    private struct TagAnswer: Decodable {
        struct Object: Decodable {
            var sha: String
            var type: String
        }

        var object: Object
    }

    private struct TreeAnswer: Decodable {
        struct Entry: Decodable {
            var path: String
            var mode: String
            var type: String
            var sha: String
            var size: Int?
        }

        var tree: [Entry]
        var truncated: Bool?
    }

    // MARK: Steps

    /// A branch of that name is none.
    func commit(ofTag tag: String) async throws -> String {
        var object = try await get(TagAnswer.self, "git/ref/tags/\(tag)", "there is no tag \(tag)").object
        // An annotated tag is an object of its own.
        for _ in 0..<4 where object.type == "tag" {
            object = try await get(TagAnswer.self, "git/tags/\(object.sha)", "the tag \(tag) leads nowhere").object
        }
        guard object.type == "commit", RemoteSkillReference.isCommit(object.sha) else {
            throw SkillSourceError("the tag \(tag) stands for no commit")
        }
        return object.sha
    }

    func files(at commit: String) async throws -> [SkillBundle.File] {
        let tree = try await skillTree(commit)
        let answer = try await get(TreeAnswer.self, "git/trees/\(tree)?recursive=1", "its directory is gone")
        guard answer.truncated != true else { throw SkillSourceError("the skill has more files than the host lists") }
        let entries = answer.tree.filter { $0.type != "tree" }
        let size = entries.reduce(0) { $0 + ($1.size ?? 0) }
        guard entries.count <= SkillBundle.maxFiles, size <= SkillBundle.maxBytes else {
            throw SkillSourceError("the skill has \(entries.count) files and \(size) bytes, which is too much")
        }
        var files: [SkillBundle.File] = []
        for entry in entries {
            guard entry.type == "blob", ["100644", "100755"].contains(entry.mode), SkillBundle.isInside(entry.path),
                RemoteSkillReference.isCommit(entry.sha)
            else { throw SkillSourceError("\(entry.path) is a link or a module, which a skill cannot have") }
            let bytes = try await bytes("git/blobs/\(entry.sha)", "\(entry.path) is gone", raw: true)
            guard SkillCache.gitBlobHash(bytes) == entry.sha else {
                throw SkillSourceError("\(entry.path) is not what its hash \(entry.sha) says")
            }
            files.append(.init(path: entry.path, bytes: bytes, isExecutable: entry.mode == "100755"))
        }
        return files
    }

    /// Goes down to the skill's directory. A name alone is one below `skills/`, where there is no such directory.
    private func skillTree(_ commit: String) async throws -> String {
        let root = try await get(TreeAnswer.self, "git/trees/\(commit)", "there is no commit \(commit)")
        func entry(_ name: String, in answer: TreeAnswer) -> String? {
            answer.tree.first { $0.path == name && $0.type == "tree" && RemoteSkillReference.isCommit($0.sha) }?.sha
        }
        var path = reference.path
        if path.count == 1, entry(path[0], in: root) == nil { path.insert("skills", at: 0) }
        var (sha, answer) = (commit, root)
        for (index, name) in path.enumerated() {
            guard let next = entry(name, in: answer) else {
                let place = path[...index].joined(separator: "/")
                throw SkillSourceError("there is no directory \(place) at \(commit)")
            }
            sha = next
            if index < path.count - 1 { answer = try await get(TreeAnswer.self, "git/trees/\(sha)", "it is gone") }
        }
        return sha
    }

    // MARK: Requests

    private func get<Answer: Decodable>(
        _ type: Answer.Type,
        _ path: String,
        _ missing: String,
    ) async throws -> Answer {
        let bytes = try await bytes(path, missing, raw: false)
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch {
            throw SkillSourceError("\(source) answered with something that is not the API of a code host")
        }
    }

    private func bytes(_ path: String, _ missing: String, raw: Bool) async throws -> [UInt8] {
        var request = HTTPClientRequest(url: "\(source)/repos/\(reference.owner)/\(reference.repository)/\(path)")
        request.headers.add(name: "user-agent", value: "voidbox")
        request.headers.add(
            name: "accept",
            value: raw ? "application/vnd.github.raw+json" : "application/vnd.github+json"
        )
        if let token { request.headers.add(name: "authorization", value: "Bearer \(token.reveal())") }
        let response: HTTPClientResponse
        let body: ByteBuffer
        do {
            response = try await client.execute(request, timeout: .seconds(120))
            body = try await response.body.collect(upTo: raw ? SkillBundle.maxBytes : Self.maxAnswerBytes)
        } catch is NIOTooManyBytesError {
            throw SkillSourceError("\(source) answered with more than a skill may have")
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw SkillSourceError(
                "\(source) cannot be reached: \(error)",
                hint: "VOIDBOX_SKILLS_SOURCE names another address of the API",
            )
        }
        switch response.status.code {
        case 200: return Array(body.readableBytesView)
        case 404, 422: throw SkillSourceError("\(missing) in \(reference.owner)/\(reference.repository)")
        case 401, 403, 429:
            throw SkillSourceError(
                "\(source) refused (\(response.status.code))",
                hint: "set VOIDBOX_SKILLS_TOKEN to a token that may read the repository, or wait",
            )
        case let code: throw SkillSourceError("\(source) answered \(code) to \(path)")
        }
    }
}
