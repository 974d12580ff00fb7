internal import Spec

/// Which steps of a workflow may start, by what they wait for. Steps are numbered as they are written.
///
/// A value without I/O: whoever runs the steps says how each one ended and learns what that means for the others. All calls
/// together look at each edge once.
struct StepGraph: Sendable {
    /// By step, the ones that wait for it.
    private let dependants: [[Int]]
    /// By step, how many it still waits for.
    private var missing: [Int]
    private var isSettled: [Bool]
    /// By step, the length of the longest way to it.
    let levels: [Int]

    /// - Parameter steps: Of a valid workflow, without circles and unknown names.
    init(_ steps: [WorkflowStepSpec]) {
        let numbers = Dictionary(steps.enumerated().map { ($0.element.name, $0.offset) }) { first, _ in first }
        var dependants = [[Int]](repeating: [], count: steps.count)
        var missing = [Int](repeating: 0, count: steps.count)
        for (number, step) in steps.enumerated() {
            for dependency in step.dependencies.compactMap({ numbers[$0] }) {
                dependants[dependency].append(number)
                missing[number] += 1
            }
        }
        self.dependants = dependants
        self.missing = missing
        isSettled = [Bool](repeating: false, count: steps.count)
        levels = Self.levels(dependants, missing)
    }

    private static func levels(_ dependants: [[Int]], _ missing: [Int]) -> [Int] {
        var missing = missing
        var levels = [Int](repeating: 0, count: missing.count)
        var ready = missing.indices.filter { missing[$0] == 0 }
        while let step = ready.popLast() {
            for dependant in dependants[step] {
                levels[dependant] = max(levels[dependant], levels[step] + 1)
                missing[dependant] -= 1
                if missing[dependant] == 0 { ready.append(dependant) }
            }
        }
        return levels
    }

    func hasDependants(_ step: Int) -> Bool { !dependants[step].isEmpty }

    /// The steps that wait for nothing.
    var roots: [Int] { missing.indices.filter { missing[$0] == 0 } }

    /// A step has what others wait for. Returns the ones that may start now.
    mutating func satisfy(_ step: Int) -> [Int] {
        var ready: [Int] = []
        for dependant in dependants[step] where !isSettled[dependant] {
            missing[dependant] -= 1
            if missing[dependant] == 0 { ready.append(dependant) }
        }
        return ready
    }

    /// A step never will have it. Returns the ones that cannot run now, in the order in which they fall, and because of which.
    mutating func fail(_ step: Int) -> [(step: Int, because: Int)] {
        var fallen: [(step: Int, because: Int)] = []
        var causes = [step][...]
        while let cause = causes.popFirst() {
            for dependant in dependants[cause] where !isSettled[dependant] {
                isSettled[dependant] = true
                fallen.append((dependant, cause))
                causes.append(dependant)
            }
        }
        return fallen
    }
}

extension WorkflowSpec {
    /// The step whose output is the workflow's: the one named, else the last that is no service and that nothing depends on.
    var resultStep: Int? {
        if let outputStep { return steps.firstIndex { $0.name == outputStep } }
        let needed = Set(steps.flatMap(\.dependencies))
        return steps.lastIndex { !needed.contains($0.name) && !$0.isService }
    }
}
