import VoidBox

/// Plan, then apply: one Claude Code writes a plan, a second one carries it out in a box of its own. The plan is all that goes
/// from one to the other. As YAML: `../plan-apply.yaml`.
enum PlanApply {
    static let plan = VoidBox("plan")
        .skill(Examples.agent(or: .claudeCode))
        .llm(.scripted("examples/scripts/plan.yaml"))
        .prompt(
            "Plan how to add a program that greets its user. Write the plan to /workspace/output/plan.md; "
                + "change nothing else."
        )
        .outputFile("/workspace/output/plan.md")
        .output("plan")
        .timeout(.seconds(300))

    static let apply = VoidBox("apply")
        .skill(Examples.agent(or: .claudeCode))
        .llm(.scripted("examples/scripts/apply.yaml"))
        .prompt(
            "Carry out the plan in /workspace/input/plan.md, run the program, and report in /workspace/report.md."
        )
        .outputFile("/workspace/report.md")
        .input("plan")
        .timeout(.seconds(300))

    static let pipeline = Pipeline.named("plan-apply", plan).pipe(apply).memory(.gibibytes(2)).vcpus(2)
}
