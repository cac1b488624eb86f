/// What can go wrong in a scenario, and how one tells that it did.
public enum FaultKind: Int, CaseIterable, Hashable, Sendable {
  /// A packet got lost by chance.
  case loss
  /// A packet got lost in a burst.
  case burstLoss
  /// A queue had no room.
  case queueFull
  /// CoDel dropped a packet.
  case controlledDelay
  /// A packet was marked as having met congestion.
  case congestionMark
  /// A packet took longer than the ones before it.
  case jitter
  /// A packet was held back.
  case reordering
  /// A packet came twice.
  case duplication
  /// An octet was damaged.
  case corruption
  /// A packet met a line that was cut.
  case linkDown
  /// A line's rate changed.
  case rateChange
  /// A packet met a path that carries nothing.
  case pathDown
  /// A host's interface went down.
  case interfaceDown
  /// An address was taken away.
  case addressRemoved
  /// An address was added.
  case addressAdded
  /// A host was off its processor.
  case hostPause

  /// Its name in histograms.
  public var name: String { "\(self)" }
}
