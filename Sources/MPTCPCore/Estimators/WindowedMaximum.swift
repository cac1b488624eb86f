/// The greatest value of the last rounds, in constant space, as ``WindowedMinimum`` has the least of the last seconds.
struct WindowedMaximum {
  private struct Sample {
    var value = 0
    var round = 0
  }

  private var first = Sample()
  private var second = Sample()
  private var third = Sample()

  /// The maximum; 0 before the first sample.
  var value: Int { first.value }

  /// Takes in `value` of `round`, and forgets what is `window` rounds old.
  mutating func sample(_ value: Int, round: Int, window: Int) {
    let newest = Sample(value: value, round: round)
    guard value < first.value, round - third.round < window else {
      first = newest
      second = newest
      third = newest
      return
    }
    if value >= second.value {
      second = newest
      third = newest
    } else if value >= third.value {
      third = newest
    }
    while round - first.round >= window {
      first = second
      second = third
      third = newest
      guard first.round < round else { return }
    }
    if second.round == first.round, round - first.round > window / 4 {
      // A quarter has passed without a greater one: the runner-up has to come from the rest of the window.
      second = newest
      third = newest
    } else if third.round == second.round, round - second.round > window / 2 {
      third = newest
    }
  }
}
