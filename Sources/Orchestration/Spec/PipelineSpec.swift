/// kind: pipeline. Boxes with an agent each, in stages that run one after another.
package struct PipelineSpec: Hashable, Sendable {
    package static let defaultParallelism = 4

    package var boxes: [PipelineBoxSpec] = []
    package var stages: [PipelineStageSpec] = []
    /// Boxes that run at the same time.
    package var maxParallel = Self.defaultParallelism
    package var onFailure = FailureRule.stop
    /// Of every box that has none of its own.
    package var retry = RetrySpec()
    /// How long a box that is to stop has for ending by itself.
    package var cancelGraceSeconds = 5

    package init() {}

    /// The stages as they run: all boxes in order where the specification names none.
    package var plannedStages: [PipelineStageSpec] {
        stages.isEmpty ? boxes.map { PipelineStageSpec(.box($0.name)) } : stages
    }
}

/// What a failure means for what would come next.
package enum FailureRule: String, Hashable, Sendable, CaseIterable {
    /// The stages after this one are skipped. Its other boxes run to their ends.
    case stop
    /// The next stage runs with what there is.
    case `continue`
}

/// How often something is tried, and how long to wait between.
package struct RetrySpec: Hashable, Sendable {
    /// With the first one: 1 tries once.
    package var maxAttempts = 1
    package var initialDelayMilliseconds = 100
    /// Each wait is so many times the one before.
    package var backoff = 2.0
    package var maxDelayMilliseconds = 30_000

    package init() {}

    /// How long to wait after the attempt of that number, counted from 1.
    package func delay(after attempt: Int) -> Duration {
        var milliseconds = Double(initialDelayMilliseconds)
        // Not a power: it would overflow where the limit is reached long before.
        var left = backoff > 1 ? max(attempt, 1) - 1 : 0
        while left > 0, milliseconds > 0, milliseconds < Double(maxDelayMilliseconds) {
            milliseconds *= backoff
            left -= 1
        }
        return .milliseconds(Int64(min(milliseconds, Double(maxDelayMilliseconds))))
    }
}

/// Whether a service that has ended is started again.
package struct RestartSpec: Hashable, Sendable {
    package enum Policy: String, Hashable, Sendable, CaseIterable {
        case never
        case onFailure = "on-failure"
        /// Also after a good end.
        case always
    }

    package var policy = Policy.never
    /// In a row: one that ran for longer than the longest wait, and 10 s, begins a new row.
    package var maxRestarts = 10
    /// How long to wait before each restart of a row.
    package var delays = RetrySpec()

    package init() {}
}

package struct PipelineBoxSpec: Hashable, Sendable {
    package var name: String
    package var prompt: String
    package var skills: [SkillSpec] = []
    package var llm: LLMSpec?
    package var timeoutSeconds: Int?
    package var outputFile: String?
    package var outputSchema: OutputSchemaSpec?
    package var outputRetries: Int?
    package var sandbox: SandboxOverrideSpec?
    package var outputs: [PipelineOutputSpec] = []
    package var inputs: [PipelineInputSpec] = []
    package var retry: RetrySpec?
}

/// What a box changes of the specification's `sandbox`.
package struct SandboxOverrideSpec: Hashable, Sendable {
    package var memoryMB: Int?
    package var vcpus: Int?
    package var network: Bool?
    package var env: [String: String] = [:]
    package var mounts: [MountSpec] = []
    package var snapshot: String?

    package init() {}
}

/// A directory of the box that other boxes may have as an input.
package struct PipelineOutputSpec: Hashable, Sendable {
    package var name: String
    package var guest: String
}

package struct PipelineInputSpec: Hashable, Sendable {
    package var from: String
    package var guest: String
}

package struct PipelineStageSpec: Hashable, Sendable {
    package enum Work: Hashable, Sendable {
        case box(String)
        case fanOut([String])
    }

    package var work: Work
    /// From the boot of its first box to the end of its last attempt.
    package var timeoutSeconds: Int?
    /// In place of the pipeline's.
    package var onFailure: FailureRule?

    package init(_ work: Work) {
        self.work = work
    }

    package var boxes: [String] {
        switch work {
        case .box(let name): [name]
        case .fanOut(let names): names
        }
    }
}

extension SandboxSpec {
    /// This sandbox with a box's changes. Its variables and mounts are added to the common ones; a mount at the same place
    /// takes the place of the common one.
    package func applying(_ change: SandboxOverrideSpec?) -> SandboxSpec {
        guard let change else { return self }
        var sandbox = self
        sandbox.memoryMB = change.memoryMB ?? memoryMB
        sandbox.vcpus = change.vcpus ?? vcpus
        sandbox.network = change.network ?? network
        sandbox.env.merge(change.env) { $1 }
        let places = Set(change.mounts.map(\.guest))
        sandbox.mounts = mounts.filter { !places.contains($0.guest) } + change.mounts
        sandbox.snapshot = change.snapshot ?? snapshot
        return sandbox
    }
}
