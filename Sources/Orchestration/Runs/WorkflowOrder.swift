internal import Spec

/// The order in which a workflow's steps run one after another: each after what it needs, else as written.
enum WorkflowOrder {
    /// Steps of a valid workflow, which has no circle and no unknown name.
    static func steps(of workflow: WorkflowSpec) -> [WorkflowStepSpec] {
        var waiting = workflow.steps
        var done: Set<String> = []
        var order: [WorkflowStepSpec] = []
        while let index = waiting.firstIndex(where: { $0.dependencies.allSatisfy(done.contains) }) {
            let step = waiting.remove(at: index)
            done.insert(step.name)
            order.append(step)
        }
        return order
    }

    /// The step whose output is the workflow's: the one named, else the last that nothing depends on.
    static func outputStep(of workflow: WorkflowSpec) -> String? {
        if let name = workflow.outputStep { return name }
        let needed = Set(workflow.steps.flatMap(\.dependencies))
        return steps(of: workflow).last { !needed.contains($0.name) }?.name
    }
}
