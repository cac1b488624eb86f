import MPTCPCore
import MPTCPLink
import MPTCPWire

/// The middleboxes at both ends of a path, between the hosts and the links.
struct PathBoxes {
  private let configurations: [[MiddleboxConfiguration]]
  private let chance: PathChance
  /// Those at the first end, and those at the second; packets of the first end go forward.
  private var chains: [MiddleboxChain]

  /// Boxes that know nothing; the times that are set for them count from `now`.
  ///
  /// - Parameter configurations: those of the first end, its neighbour first, and those of the second, its neighbour
  ///   last.
  init(_ configurations: [[MiddleboxConfiguration]], _ chance: PathChance, at now: Instant) {
    self.configurations = configurations
    self.chance = chance
    chains = Self.chains(configurations, chance, at: now)
  }

  private static func chains(
    _ configurations: [[MiddleboxConfiguration]], _ chance: PathChance, at now: Instant
  ) -> [MiddleboxChain] {
    configurations.enumerated().map { MiddleboxChain($1, seed: chance.boxSeed(atFirstEnd: $0 == 0), at: now) }
  }

  /// Lets set times begin; the boxes forget what they saw before.
  mutating func begin(at now: Instant) { chains = Self.chains(configurations, chance, at: now) }

  /// When a box has something to do by itself, or `nil`.
  var nextDeadline: Instant? { chains.compactMap(\.nextDeadline).min() }

  /// What each box did so far, by end.
  var counters: [[MiddleboxCounters]] { chains.map { $0.boxes.map(\.counters) } }

  /// Lets through what has come from the hosts and out of the links, and what is due.
  mutating func relay(_ forth: inout Direction, _ back: inout Direction, at now: Instant) {
    let (fromFirst, throughForth) = forth.takeWaiting()
    let (fromSecond, throughBack) = back.takeWaiting()
    for packet in fromFirst { chains[0].receive(MiddleboxPacket(packet, .forward), at: now) }
    for packet in throughBack { chains[0].receive(MiddleboxPacket(packet, .backward), at: now) }
    for packet in fromSecond { chains[1].receive(MiddleboxPacket(packet, .backward), at: now) }
    for packet in throughForth { chains[1].receive(MiddleboxPacket(packet, .forward), at: now) }
    for end in 0..<2 {
      chains[end].advance(to: now)
      while let packet = chains[end].next() {
        switch (packet.direction, end) {
        case (.forward, 0): forth.enter(wirePacket: packet.bytes, at: now)
        case (.forward, _): forth.hand(over: packet.bytes, at: now)
        case (.backward, 0): back.hand(over: packet.bytes, at: now)
        case (.backward, _): back.enter(wirePacket: packet.bytes, at: now)
        }
      }
    }
    forth.flush()
    back.flush()
  }
}
