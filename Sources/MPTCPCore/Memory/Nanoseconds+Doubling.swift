import MPTCPWire

extension Nanoseconds {
  /// A delay that doubles with each failure in a row but the first: `self` after one, and never more than `longest`.
  func doubled(after failures: Int, atMost longest: Nanoseconds) -> Nanoseconds {
    var delay = Swift.min(self, longest)
    for _ in 1..<Swift.max(failures, 1) {
      guard delay <= longest - delay else { return longest }
      delay = delay + delay
    }
    return delay
  }
}
