import MPTCPPolicy

extension ConnectionID {
  /// The place that the endpoint keeps the connection in: a small number, which another connection may have had before.
  package var slot: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }
}
