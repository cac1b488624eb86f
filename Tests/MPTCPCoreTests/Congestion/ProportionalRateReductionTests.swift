import Testing

@testable import MPTCPCore

@Suite struct ProportionalRateReductionTests {
  /// Runs a recovery in which each acknowledgement delivers a segment and everything allowed is sent at once.
  private func segmentsSent(
    perAcknowledgment deliveries: Int, inFlight start: Int, threshold: Int, recoveryFlight: Int, lossDetected: Bool
  ) -> ([Int], inFlight: Int) {
    var reduction = ProportionalRateReduction(
      inFlightAtRecovery: recoveryFlight * 1_000, slowStartThreshold: threshold * 1_000)
    var inFlight = start * 1_000
    var sent: [Int] = []
    for _ in 0..<deliveries {
      inFlight -= 1_000
      let window = reduction.congestionWindow(
        delivered: 1_000, inFlight: inFlight, lossDetected: lossDetected, maximumSegmentByteCount: 1_000)
      let segments = (window - inFlight) / 1_000
      sent.append(segments)
      reduction.sent(segments * 1_000)
      inFlight += segments * 1_000
    }
    return (sent, inFlight)
  }

  // Requirement 6937-3-01
  @Test func `with half the window to keep, every second acknowledgement releases a segment`() {
    // RFC 9937 §6.2: SndCnt = ⌈prr_delivered · ssthresh / RecoverFS⌉ − prr_out, with 10/20, in octets: the
    // first goes out at once; after that ⌈d/2⌉ − 1000 octets amount to a segment at d = 4000, 6000, 8000 …
    let (sent, inFlight) = segmentsSent(
      perAcknowledgment: 18, inFlight: 19, threshold: 10, recoveryFlight: 20, lossDetected: false)
    #expect(sent.prefix(8) == [1, 0, 0, 1, 0, 1, 0, 1])
    #expect(inFlight == 10_000)
  }

  // Requirement 6937-3-02
  @Test func `after a burst of losses the window grows back to the threshold and no further`() {
    // RFC 9937 §6.2, slow start reduction bound: a segment more than was delivered each time, up to ssthresh − pipe.
    let (sent, inFlight) = segmentsSent(
      perAcknowledgment: 10, inFlight: 5, threshold: 10, recoveryFlight: 20, lossDetected: false)
    #expect(sent == [2, 2, 2, 2, 2, 1, 1, 1, 1, 1])
    #expect(inFlight == 10_000)
  }

  // Requirement 6937-3-02
  @Test func `while more losses show, no more is sent than was delivered`() {
    let (sent, inFlight) = segmentsSent(
      perAcknowledgment: 10, inFlight: 5, threshold: 10, recoveryFlight: 20, lossDetected: true)
    #expect(sent == [Int](repeating: 1, count: 10))
    #expect(inFlight == 5_000)
  }

  @Test func `what was delivered and not sent for is made up for when the window allows it`() {
    // RFC 9937 §7: an application that had nothing to send catches up later in the recovery.
    var reduction = ProportionalRateReduction(inFlightAtRecovery: 20_000, slowStartThreshold: 10_000)
    reduction.sent(1_000)
    for inFlight in [9_000, 8_000, 7_000] {
      _ = reduction.congestionWindow(
        delivered: 1_000, inFlight: inFlight, lossDetected: true, maximumSegmentByteCount: 1_000)
    }
    // 4,000 delivered, 1,000 sent: 3,000 may go.
    let window = reduction.congestionWindow(
      delivered: 1_000, inFlight: 6_000, lossDetected: true, maximumSegmentByteCount: 1_000)
    #expect(window == 9_000)
  }

  @Test func `the first retransmission goes out at once`() {
    var reduction = ProportionalRateReduction(inFlightAtRecovery: 20_000, slowStartThreshold: 10_000)
    let window = reduction.congestionWindow(
      delivered: 0, inFlight: 19_000, lossDetected: true, maximumSegmentByteCount: 1_000)
    #expect(window == 20_000)
  }

  @Test func `extremes saturate`() {
    for flight in [Int.min, -1, 0, 1, Int.max] {
      for count in [Int.min, -1, 0, 1, Int.max] {
        var reduction = ProportionalRateReduction(inFlightAtRecovery: flight, slowStartThreshold: count)
        for _ in 0..<3 {
          let window = reduction.congestionWindow(
            delivered: count, inFlight: flight, lossDetected: false, maximumSegmentByteCount: 65_535)
          #expect(window >= max(flight, 0))
          reduction.sent(count)
        }
      }
    }
  }
}
