/// NewReno (RFC 5681, RFC 6582): the frame as it is, on each subflow by itself.
final class NewReno: CongestionController {}

extension CongestionWindow {
  /// Congestion avoidance as RFC 5681 §3.1 has it: a segment for each window that is acknowledged.
  /// Requirement 5681-3.1-03
  mutating func growAsReno(byteCount: Int) {
    let window = congestionWindowByteCount
    grow(by: min(byteCount, window) &* maximumSegmentByteCount, over: window)
  }
}
