import FuzzDriver
import Spec

fuzz { bytes in
    guard let spec = try? Spec.parse(bytes, file: "fuzz.yaml") else { return }
    try? spec.checkCapabilities(file: "fuzz.yaml")
    _ = spec.summary(file: "fuzz.yaml")
}
