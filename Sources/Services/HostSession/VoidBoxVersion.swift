package enum VoidBoxVersion {
    package static let current = "0.1.0"
}
