/// What a middlebox can do to a packet, or on its own.
public enum MiddleboxEffect: String, CaseIterable, Codable, Hashable, Sendable {
  /// A TCP option was taken out; each option counts.
  case optionRemoved
  /// Sequence or acknowledgment numbers were translated.
  case sequenceTranslated
  /// A segment was cut.
  case segmentCut
  /// A segment was added to the one before it.
  case segmentMerged
  /// A maximum segment size was lowered.
  case segmentSizeClamped
  /// Data was changed, its length kept.
  case payloadChanged
  /// Data was changed in its length.
  case payloadResized
  /// A segment was dropped for what it carries.
  case segmentDropped
  /// Data was taken out of a SYN.
  case synDataRemoved
  /// Data was acknowledged for its receiver.
  case acknowledgedEarly
  /// An acknowledgment was swallowed.
  case acknowledgmentSwallowed
  /// A kept copy was sent again.
  case copySent
  /// An address or a port was translated.
  case addressTranslated
  /// A mapping of addresses was forgotten, at a set time or for silence.
  case mappingForgotten
  /// A packet to a port without a mapping was dropped.
  case unmappedDropped
  /// A segment of an unknown flow was dropped.
  case unknownFlowDropped
  /// A segment outside the window was dropped.
  case outOfWindowDropped
  /// An RST was sent in a host's name.
  case resetSent
  /// An old packet was sent again.
  case replayed
}

/// How often a middlebox did what.
public struct MiddleboxCounters: Hashable, Sendable {
  /// Packets that came to the box.
  public internal(set) var received = 0
  /// Packets that left it.
  public internal(set) var sent = 0
  private var counts = [Int](repeating: 0, count: MiddleboxEffect.allCases.count)

  /// Makes counters that stand at nothing.
  public init() {}

  /// How often the box did something.
  public subscript(effect: MiddleboxEffect) -> Int { counts[effect.place] }

  /// What the box did at all, in the order of the effects' declaration.
  public var nonzero: [(effect: MiddleboxEffect, count: Int)] {
    zip(MiddleboxEffect.allCases, counts).filter { $0.1 > 0 }.map { ($0.0, $0.1) }
  }

  mutating func count(_ effect: MiddleboxEffect, _ number: Int = 1) { counts[effect.place] &+= number }

  /// Adds what another box did.
  public static func += (lhs: inout MiddleboxCounters, rhs: MiddleboxCounters) {
    lhs.received &+= rhs.received
    lhs.sent &+= rhs.sent
    for place in lhs.counts.indices { lhs.counts[place] &+= rhs.counts[place] }
  }
}

extension MiddleboxEffect {
  // All cases are few; the place of one is found by walking them.
  fileprivate var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}
