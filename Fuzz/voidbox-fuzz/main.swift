import Foundation
import FuzzDriver
import FuzzTargets

// All arguments are libFuzzer's.
let name = ProcessInfo.processInfo.environment["VOIDBOX_FUZZ_TARGET"]
guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
    fatalError("VOIDBOX_FUZZ_TARGET names none of \(FuzzTarget.all.map(\.name))")
}
fuzz(target.run)
