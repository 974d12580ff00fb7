internal import Foundation
internal import LinuxSystem
internal import Spec
internal import Synchronization

/// The directories of the host that a pipeline's boxes write and read: one for each output, below a directory of this run
/// alone that goes with it. Any thread; guarded by `complete`.
final class PipelineData: Sendable {
    private let parent: String
    private let name: String
    /// By output: directories are named by number, since names may be anything.
    private let places: [String: String]
    /// Outputs of boxes that succeeded.
    private let completed = Mutex<Set<String>>([])

    /// - Parameter parent: A directory that may be there or not; nil for one below the host's temporary directory.
    init(_ pipeline: PipelineSpec, parent: String?) throws {
        self.parent = parent ?? FileManager.default.temporaryDirectory.path
        name = parent == nil ? "voidbox-\(RunID.make())" : "boxes"
        let root = "\(self.parent)/\(name)"
        let outputs = pipeline.boxes.flatMap { $0.outputs.map(\.name) }
        places = Dictionary(
            outputs.enumerated().map { ($0.element, "\(root)/\($0.offset)") },
            uniquingKeysWith: { first, _ in first },
        )
        guard !places.isEmpty else { return }
        try FileSystem.makeDirectories(self.parent, mode: 0o700)
        try Directory(self.parent).makeDirectory(name, mode: 0o700)
    }

    /// Empties the outputs of a box, so that an attempt finds nothing of the one before.
    func prepare(_ box: PipelineBoxSpec) throws {
        for output in box.outputs {
            guard let place = places[output.name], let number = place.split(separator: "/").last else { continue }
            let directory = try Directory("\(parent)/\(name)")
            try FileSystem.removeTree(String(number), in: directory)
            try directory.makeDirectory(String(number), mode: 0o777)
            // Whatever the umask: programs in the box are another user. Only the owner gets as far as here.
            try FileSystem.setMode(of: place, 0o777)
        }
    }

    func complete(_ box: PipelineBoxSpec) {
        completed.withLock { $0.formUnion(box.outputs.map(\.name)) }
    }

    func isComplete(_ output: String) -> Bool {
        completed.withLock { $0.contains(output) }
    }

    func mounts(of box: PipelineBoxSpec) -> [MountSpec] {
        box.outputs.compactMap { output in
            places[output.name].map { MountSpec(host: $0, guest: output.guest, mode: .rw) }
        }
            + box.inputs.compactMap { input in
                places[input.from].map { MountSpec(host: $0, guest: input.guest, mode: .ro) }
            }
    }

    func remove() throws {
        guard !places.isEmpty else { return }
        try FileSystem.removeTree(name, in: try Directory(parent))
    }
}
