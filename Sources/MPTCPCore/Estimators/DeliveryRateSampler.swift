import DequeModule
import MPTCPWire

/// How fast one subflow's path delivers, a sample for each acknowledgement (draft-ietf-ccwg-bbr §4.1,
/// draft-cheng-iccrg-delivery-rate-estimation).
///
/// A sample is what was delivered between the transmission of a segment and its acknowledgement, over the longer of the
/// times that its sending and its acknowledging took: neither compressed acknowledgements nor bursts look like a rate.
/// What was known at a transmission is kept by the time of it, apart from the subflow's segments: who wants no samples
/// pays nothing, and segments may be cut and joined freely.
struct DeliveryRateSampler {
  /// What was known when something was sent. Transmissions of one instant share it.
  struct Snapshot {
    var sentAt: Instant
    /// Octets delivered, and lost, by then; when the last of them were delivered, and when those had been sent.
    var delivered: Int
    var lost: Int
    var deliveredAt: Instant
    var firstSentAt: Instant
    /// Octets in flight right after it.
    var inFlight: Int
    /// There was not enough to send.
    var isApplicationLimited: Bool
  }

  /// What an acknowledgement tells of the path.
  struct Sample {
    /// Octets a second; 0 where nothing reliable can be said.
    var rate = 0
    /// Octets delivered since the segment was sent, and lost since.
    var delivered = 0
    var lost = 0
    /// Octets that the acknowledgement newly reports.
    var newlyDelivered = 0
    /// `delivered` of the snapshot, by which rounds are counted; nil where no segment of a known time arrived.
    var priorDelivered: Int?
    /// What was in flight right after it was sent.
    var inFlightAtTransmission = 0
    var isApplicationLimited = false
  }

  /// How many transmissions are remembered; beyond it the oldest give no samples.
  static let snapshotLimit = Limits.sentSegments * 2

  /// Octets delivered so far, and presumed lost so far.
  private(set) var delivered = 0
  private(set) var lost = 0
  private var deliveredAt = Instant.zero
  /// When the segment that was delivered last had been sent.
  private var firstSentAt = Instant.zero
  /// Until so many octets are delivered, samples are limited by the application; 0 when they are not.
  private var applicationLimit = 0
  private(set) var snapshots = Deque<Snapshot>()

  // The acknowledgement in hand.
  private var newest: Snapshot?
  private var newestEnd = 0
  private var newlyDelivered = 0

  /// Whether what is sent now is less than the path could carry, because there is no more to send.
  var isApplicationLimited: Bool { applicationLimit != 0 }

  /// Notes a transmission; `inFlight` includes its `byteCount` octets.
  mutating func transmitted(byteCount: Int, inFlight: Int, at: Instant) {
    if inFlight <= byteCount {
      // Nothing was in flight: what is delivered from now on is delivered from now on.
      firstSentAt = at
      deliveredAt = at
    }
    if let last = snapshots.last, last.sentAt >= at {
      snapshots[snapshots.count - 1].inFlight = inFlight
      return
    }
    if snapshots.count >= Self.snapshotLimit { snapshots.removeFirst() }
    snapshots.append(
      Snapshot(
        sentAt: at, delivered: delivered, lost: lost, deliveredAt: deliveredAt, firstSentAt: firstSentAt,
        inFlight: inFlight, isApplicationLimited: isApplicationLimited))
  }

  /// Notes that octets arrived that were sent last at `sentAt` and end at offset `end`.
  mutating func delivered(byteCount: Int, sentAt: Instant, end: Int, at: Instant) {
    delivered += byteCount
    newlyDelivered += byteCount
    deliveredAt = at
    // The segment that was sent last says most.
    if let newest, (newest.sentAt, newestEnd) >= (sentAt, end) { return }
    guard let snapshot = snapshot(sentAt) else { return }
    newest = snapshot
    newestEnd = end
    firstSentAt = max(firstSentAt, sentAt)
  }

  /// Notes that octets sent at `sentAt` are presumed lost, and tells what was known when they were sent.
  mutating func lost(byteCount: Int, sentAt: Instant) -> Snapshot? {
    lost += byteCount
    return snapshot(sentAt)
  }

  /// There is room for more than the application has to send.
  mutating func markApplicationLimited(inFlight: Int) { applicationLimit = max(delivered + inFlight, 1) }

  /// The sample of the acknowledgement whose deliveries have been noted. Intervals below `leastRTT` prove nothing.
  mutating func takeSample(leastRTT: Nanoseconds?) -> Sample {
    if delivered > applicationLimit { applicationLimit = 0 }
    var sample = Sample(newlyDelivered: newlyDelivered)
    newlyDelivered = 0
    guard let newest else { return sample }
    self.newest = nil
    sample.delivered = delivered - newest.delivered
    sample.lost = lost - newest.lost
    sample.priorDelivered = newest.delivered
    sample.inFlightAtTransmission = newest.inFlight
    sample.isApplicationLimited = newest.isApplicationLimited
    let interval = max(newest.sentAt - newest.firstSentAt, deliveredAt - newest.deliveredAt)
    if interval > .zero, interval >= (leastRTT ?? .zero) {
      sample.rate = min(
        scaled(sample.delivered, by: 1_000_000_000, over: Int(interval.count)), CongestionWindow.largestByteCount)
    }
    return sample
  }

  /// Forgets transmissions before `oldest`: none of them is outstanding.
  mutating func forget(before oldest: Instant) {
    while let first = snapshots.first, first.sentAt < oldest { snapshots.removeFirst() }
  }

  /// Transmissions are in order of time.
  private func snapshot(_ sentAt: Instant) -> Snapshot? {
    var low = 0
    var high = snapshots.count
    while low < high {
      let middle = (low + high) / 2
      if snapshots[middle].sentAt < sentAt { low = middle + 1 } else { high = middle }
    }
    guard low < snapshots.count, snapshots[low].sentAt == sentAt else { return nil }
    return snapshots[low]
  }
}
