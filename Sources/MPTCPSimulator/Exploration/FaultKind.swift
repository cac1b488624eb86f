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
  /// A line became longer or shorter.
  case delayChange
  /// A line's share of lost packets changed.
  case lossChange
  /// A packet was longer than a line carries.
  case tooLarge
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
  /// A box took an option out of a segment.
  case optionRemoved
  /// A box translated sequence numbers.
  case sequenceRewritten
  /// A box cut a segment.
  case segmentCut
  /// A box put two segments together.
  case segmentMerged
  /// A box lowered a maximum segment size.
  case segmentSizeClamped
  /// A box changed data and kept its length.
  case payloadChanged
  /// A box changed the length of data.
  case payloadResized
  /// A box dropped a segment for what it carried.
  case segmentDropped
  /// A box acknowledged data for its receiver.
  case acknowledgedEarly
  /// A NAT translated a port.
  case addressTranslated
  /// A NAT forgot a mapping, so that a flow got another port.
  case mappingForgotten
  /// A firewall dropped what it does not know, or what lay outside of a window.
  case firewalled
  /// A box sent an RST in a host's name.
  case resetInjected
  /// A box sent an old packet again.
  case replayed
  /// A box took the data out of a SYN.
  case synDataRemoved

  /// Its name in histograms.
  public var name: String { "\(self)" }
}
