import MPTCPWire

/// The least round-trip time of the last ten seconds or so, in constant space (RFC 8985 §6.2, step 1).
///
/// Keeps the best sample and, for when that one grows old, the best of those after it and the best of those after that:
/// the minimum is never older than the window, and a route that became longer shows as soon as the window has passed.
struct WindowedMinimum {
  private struct Sample {
    var value: Nanoseconds
    var at: Instant
  }

  private var first = Sample(value: .max, at: .zero)
  private var second = Sample(value: .max, at: .zero)
  private var third = Sample(value: .max, at: .zero)

  /// The minimum; `.max` before the first sample.
  var value: Nanoseconds { first.value }

  /// Takes in `value`, measured at `at`, and forgets what is older than `window`.
  mutating func sample(_ value: Nanoseconds, at: Instant, window: Nanoseconds) {
    let newest = Sample(value: value, at: at)
    guard value > first.value, at - third.at <= window else {
      first = newest
      second = newest
      third = newest
      return
    }
    if value <= second.value {
      second = newest
      third = newest
    } else if value <= third.value {
      third = newest
    }

    let age = at - first.at
    if age > window {
      first = second
      second = third
      third = newest
      if at - first.at > window {
        first = second
        second = third
      }
    } else if second.at == first.at, age > window / 4 {
      // A quarter has passed without a better sample: the runner-up has to come from the rest of the window.
      second = newest
      third = newest
    } else if third.at == second.at, age > window / 2 {
      third = newest
    }
  }
}
