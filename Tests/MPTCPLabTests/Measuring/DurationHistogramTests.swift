import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Histograms of times")
struct DurationHistogramTests {
  @Test("An empty one has no figures")
  func empty() {
    let histogram = DurationHistogram()
    #expect(histogram.quantile(0.5) == nil)
    #expect(histogram.minimum == nil)
    #expect(histogram.maximum == nil)
  }

  @Test("Quantiles are right to one part in 32, over the whole range of times")
  func quantiles() throws {
    var generator = SystemRandomNumberGenerator()
    var values: [Int64] = [0, 1, 31, 32, 33, 63, 64, 65, .max / 2, .max]
    for _ in 0..<10_000 { values.append(Int64.random(in: 0...(1 << Int64.random(in: 1...62)), using: &generator)) }
    var histogram = DurationHistogram()
    for value in values { histogram.add(Nanoseconds(value)) }
    values.sort()
    for share in [0.01, 0.25, 0.5, 0.75, 0.99, 1] {
      let exact = values[max(Int((share * Double(values.count)).rounded(.up)), 1) - 1]
      let found = try #require(histogram.quantile(share)).count
      #expect(abs(Double(found) - Double(exact)) <= Double(exact) / 32 + 1)
    }
    #expect(histogram.minimum == .zero)
    #expect(histogram.maximum == Nanoseconds(.max))
  }

  @Test("Multiples and sums count as the single times would")
  func sums() {
    var one = DurationHistogram(), other = DurationHistogram(), both = DurationHistogram()
    one.add(.milliseconds(3), multiple: 5)
    other.add(.milliseconds(7))
    for _ in 0..<5 { both.add(.milliseconds(3)) }
    both.add(.milliseconds(7))
    one.add(other)
    #expect(one == both)
    #expect(one.count == 6)
  }

  @Test("What comes before its time is not late")
  func negative() {
    var histogram = DurationHistogram()
    histogram.add(Nanoseconds(-5))
    #expect(histogram.maximum == .zero)
  }
}
