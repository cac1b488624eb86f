import MPTCPLink
import MPTCPWire

/// What was measured of one direction of a path.
package struct DirectionAccount: Sendable {
  /// A packet that is handed over later than this counts as late.
  package static let latenessLimit = Nanoseconds.microseconds(500)

  /// What the link did.
  package var counters = LinkCounters()
  /// What crossed a direction that has no link, only wire.
  package var direct = (packetCount: 0, byteCount: 0)
  /// From the sender's device to the receiver's.
  package var delays = DurationHistogram()
  /// How much later than the model has it.
  package var lateness = DurationHistogram()
  /// Wire packets that were handed over later than ``latenessLimit``.
  package var latePacketCount = 0
  /// Frames lost before they were read, since the machine was too slow; nil where nothing could tell how many.
  package var overflowCount: Int? = 0
  /// Frames that were read, and the wire packets that they stand for.
  package private(set) var read = (frameCount: 0, packetCount: 0)
  /// Frames that the receiving host had no room for.
  package var refusedFrameCount = 0
  /// When the first and the last packet were sent, and handed over.
  package var sent: ClosedRange<Instant>?
  package var delivered: ClosedRange<Instant>?
  private var window = RateWindow()

  package init() {}

  /// The bytes handed over in the busiest second.
  package var busiestSecondByteCount: Int { window.busiestByteCount }

  /// The wire packets of the frames that were lost before they were read, at as many a frame as those had that were
  /// read: a super-segment is up to 45 of them.
  package var overflowPacketCount: Int? {
    guard let overflowCount, read.frameCount > 0 else { return overflowCount }
    return Int((Double(overflowCount) * Double(read.packetCount) / Double(read.frameCount)).rounded())
  }

  /// Counts frames lost before they were read; once nothing can tell how many, their number stays unknown.
  mutating func noteOverflow(_ count: Int?) {
    guard let sum = overflowCount, let count else { return overflowCount = nil }
    overflowCount = sum + count
  }

  /// Counts a frame that was read, and the wire packets that it stands for.
  mutating func noteSent(packetCount: Int, at now: Instant) {
    read.frameCount += 1
    read.packetCount += packetCount
    if let range = sent { sent = range.lowerBound...max(now, range.upperBound) } else { sent = now...now }
  }

  /// Counts what was handed over.
  ///
  /// - Parameters:
  ///   - packetCount: how many wire packets.
  ///   - byteCount: their bytes.
  ///   - spacing: how far apart the line put them; the last is as late as `lateness` says, those before it more.
  mutating func noteDelivered(
    packetCount: Int, byteCount: Int, at now: Instant, delay: Nanoseconds, lateness late: Nanoseconds,
    spacing: Nanoseconds
  ) {
    noteDelivered(byteCount: byteCount, at: now)
    delays.add(delay, multiple: packetCount)
    if spacing == .zero {
      lateness.add(late, multiple: packetCount)
      if late > Self.latenessLimit { latePacketCount += packetCount }
      return
    }
    for place in 0..<packetCount {
      let own = late + spacing * Int64(place)
      lateness.add(own)
      if own > Self.latenessLimit { latePacketCount += 1 }
    }
  }

  mutating func noteDelivered(byteCount: Int, at now: Instant) {
    if let range = delivered {
      delivered = range.lowerBound...max(now, range.upperBound)
    } else {
      delivered = now...now
    }
    window.add(byteCount, at: now)
  }
}
