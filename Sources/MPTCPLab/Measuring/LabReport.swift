import MPTCPLink
import MPTCPWire

/// What a lab measured.
///
/// Rates are of IP packets, in bits per second; times are in seconds.
package struct LabReport: Codable, Hashable, Sendable {
  /// A run with a larger share of packets that were late, or lost on bare wires, proves nothing.
  package static let shareLimit = 0.01

  package var paths: [Path]
  /// How long the command ran.
  package var seconds: Double
  /// The command's exit status, 128 and more for a signal.
  package var exitStatus: Int32
  /// The share of the packets on links, or on paths with boxes, that were handed over more than 0.5 ms later than the
  /// model has it, or lost since the machine was too slow; absent where there were none.
  package var lateShare: Double?
  /// The share of the packets on bare wires, where nothing is timed, that were lost since the machine was too slow;
  /// absent where there were none.
  package var bareLossShare: Double?
  /// Whether the machine was too slow for the figures to mean anything.
  package var isVoid: Bool
  /// Packets that are missing in the captures.
  package var uncapturedPacketCount = 0

  package init(paths: [Path], seconds: Double, exitStatus: Int32) {
    (self.paths, self.seconds, self.exitStatus) = (paths, seconds, exitStatus)
    // Apart: however much a bare wire carries, it does not make a link's packets any less late.
    var timed = (count: 0.0, lateCount: 0.0), bare = (count: 0, lostCount: 0)
    for path in paths {
      for direction in path.directions {
        let lostCount = direction.lostBeforeLinkPacketCount ?? 0
        if direction.link.isEmpty && path.boxes == nil {
          bare.count += direction.deliveredPacketCount + lostCount
          bare.lostCount += lostCount
        } else {
          // The link would have dropped its share of what was lost before it.
          let passed = direction.sentPacketCount
          let passShare = passed == 0 ? 1 : min(1, Double(direction.timedPacketCount) / Double(passed))
          timed.count += Double(direction.timedPacketCount) + Double(lostCount) * passShare
          timed.lateCount += Double(direction.latePacketCount) + Double(lostCount) * passShare
        }
      }
    }
    lateShare = timed.count == 0 ? nil : timed.lateCount / timed.count
    bareLossShare = bare.count == 0 ? nil : Double(bare.lostCount) / Double(bare.count)
    isVoid = max(lateShare ?? 0, bareLossShare ?? 0) > Self.shareLimit
  }

  /// One path.
  package struct Path: Codable, Hashable, Sendable {
    package var name: String
    /// `tun` or `veth`.
    package var device: String
    package var directions: [Direction]
    /// Its middleboxes, in the order in which a packet to the second end meets them; absent where there are none.
    package var boxes: [Box]?
    /// The hosts in which its device was deleted while the command ran; absent where there are none.
    package var lostIn: [String]?
  }

  /// A middlebox.
  package struct Box: Codable, Hashable, Sendable {
    /// The host beside it.
    package var beside: String
    package var kind: MiddleboxConfiguration.Kind
    package var receivedPacketCount: Int
    package var sentPacketCount: Int
    /// How often it did what; what it did not do is left out.
    package var effects: [String: Int]
  }

  /// One direction of a path.
  package struct Direction: Codable, Hashable, Sendable {
    package var from: String
    package var to: String
    /// The link, in the form that the lab file has; empty for a bare wire.
    package var link: String
    package var sentPacketCount: Int
    package var sentByteCount: Int
    package var deliveredPacketCount: Int
    package var deliveredByteCount: Int
    /// Between the first and the last packet that was sent.
    package var offeredBitsPerSecond: Double
    /// Between the first and the last packet that was handed over.
    package var carriedBitsPerSecond: Double
    /// In the second that had most.
    package var busiestSecondBitsPerSecond: Double
    /// Wire packets dropped by the link, by cause; causes without any are left out.
    package var drops: [String: Int]
    /// Frames lost before the link, since the machine was too slow; absent where nothing could tell how many.
    package var lostBeforeLinkCount: Int?
    /// About how many wire packets these were.
    package var lostBeforeLinkPacketCount: Int?
    /// Frames that the receiving host refused.
    package var refusedFrameCount: Int
    package var markedPacketCount: Int
    package var duplicatedPacketCount: Int
    /// How long packets were under way; absent on a bare wire.
    package var delay: Times?
    /// How much later than the model has it they were handed over.
    package var lateness: Times?
    /// How many packets the times are of.
    package var timedPacketCount: Int
    /// How many of these were more than 0.5 ms late.
    package var latePacketCount: Int
  }

  /// A distribution of times.
  package struct Times: Codable, Hashable, Sendable {
    package var minimum: Double
    package var median: Double
    package var percentile99: Double
    package var maximum: Double

    init?(_ histogram: DurationHistogram) {
      guard let minimum = histogram.minimum, let median = histogram.quantile(0.5),
        let percentile99 = histogram.quantile(0.99), let maximum = histogram.maximum
      else { return nil }
      self.minimum = minimum.seconds
      self.median = median.seconds
      self.percentile99 = percentile99.seconds
      self.maximum = maximum.seconds
    }
  }
}

extension LabReport.Path {
  init(_ path: LabFile.Path, device: LabFile.Device, _ account: PathAccount) {
    self.init(
      name: path.name, device: device.rawValue,
      directions: [
        LabReport.Direction(from: path.first, to: path.second.host, account.directions[0]),
        LabReport.Direction(from: path.second, to: path.first.host, account.directions[1]),
      ])
    let boxes = zip(path.ends, account.boxes).flatMap { end, counters in
      zip(end.boxes, counters).map { LabReport.Box($0, beside: end.host, $1) }
    }
    if !boxes.isEmpty { self.boxes = boxes }
    let lost = zip(path.ends, account.lostEnds).filter(\.1).map(\.0.host)
    if !lost.isEmpty { lostIn = lost }
  }
}

extension LabReport.Box {
  init(_ configuration: MiddleboxConfiguration, beside host: String, _ counters: MiddleboxCounters) {
    self.init(
      beside: host, kind: configuration.kind, receivedPacketCount: counters.received, sentPacketCount: counters.sent,
      effects: Dictionary(uniqueKeysWithValues: counters.nonzero.map { ($0.effect.rawValue, $0.count) }))
  }
}

extension LabReport.Direction {
  init(from end: LabFile.End, to other: String, _ account: DirectionAccount) {
    var plain = LinkConfiguration()
    plain.seed = end.link.seed
    let counters = account.counters
    from = end.host
    to = other
    link = end.link == plain ? "" : end.link.description
    sentPacketCount = counters.sent.packetCount + account.direct.packetCount
    sentByteCount = counters.sent.byteCount + account.direct.byteCount
    deliveredPacketCount = counters.delivered.packetCount + account.direct.packetCount
    deliveredByteCount = counters.delivered.byteCount + account.direct.byteCount
    func rate(_ byteCount: Int, _ range: ClosedRange<Instant>?) -> Double {
      guard let range, range.upperBound > range.lowerBound else { return 0 }
      return Double(byteCount) * 8 / (range.upperBound - range.lowerBound).seconds
    }
    offeredBitsPerSecond = rate(sentByteCount, account.sent)
    carriedBitsPerSecond = rate(deliveredByteCount, account.delivered)
    busiestSecondBitsPerSecond = Double(account.busiestSecondByteCount) * 8
    drops = [:]
    for cause in LinkDropCause.allCases {
      let count = counters.dropped(cause).packetCount
      if count > 0 { drops["\(cause)"] = count }
    }
    lostBeforeLinkCount = account.overflowCount
    lostBeforeLinkPacketCount = account.overflowPacketCount
    refusedFrameCount = account.refusedFrameCount
    markedPacketCount = counters.marked.packetCount
    duplicatedPacketCount = counters.duplicated.packetCount
    delay = LabReport.Times(account.delays)
    lateness = LabReport.Times(account.lateness)
    timedPacketCount = account.lateness.count
    latePacketCount = account.latePacketCount
  }
}
