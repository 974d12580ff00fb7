import Spec

extension FuzzTarget {
    static let spec = FuzzTarget("spec") { bytes in
        guard let spec = try? Spec.parse(bytes, file: "fuzz.yaml") else { return }
        try? spec.checkCapabilities(file: "fuzz.yaml")
        _ = spec.summary(file: "fuzz.yaml")
    }
}
