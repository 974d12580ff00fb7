/// kind: workflow. Plain programs in one box, each as soon as what it needs is there.
package struct WorkflowSpec: Hashable, Sendable {
    package static let defaultParallelism = 16

    package var steps: [WorkflowStepSpec] = []
    package var outputStep: String?
    /// Whose program is in the box, with a model, for steps that call it.
    package var agent: AgentName?
    /// Steps that run at the same time; services do not count.
    package var maxParallel = Self.defaultParallelism

    package init() {}
}

package struct WorkflowStepSpec: Hashable, Sendable {
    package var name: String
    package var program: String
    package var args: [String] = []
    package var stdinFrom: String?
    package var dependsOn: [String] = []
    /// Of one with `mode: service`.
    package var service: ServiceSpec?
    package var timeoutSeconds: Int?
    package var retry = RetrySpec()

    package var isService: Bool { service != nil }

    /// The steps that must have ended, or be ready, before this one starts; each once.
    package var dependencies: [String] {
        dependsOn + (stdinFrom.map { dependsOn.contains($0) ? [] : [$0] } ?? [])
    }
}

/// When a service is ready for the steps that depend on it.
package struct ServiceSpec: Hashable, Sendable {
    package enum Readiness: Hashable, Sendable {
        /// As soon as it runs.
        case started
        /// Once a line of its output contains the text.
        case log(String)
        /// Once the file is there.
        case file(String)
        /// Once something listens on that TCP port of the box.
        case port(UInt16)
    }

    package var readiness = Readiness.started
    /// How long it may take until then.
    package var readyTimeoutSeconds = 60
    package var restart = RestartSpec()

    package init() {}
}
