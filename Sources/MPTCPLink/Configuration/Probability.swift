/// How often something happens: a number from 0 to 1, kept as a count of 2³²nds, so that drawing needs no floating
/// point and gives the same result on every machine.
public struct Probability: Hashable, Sendable {
  /// The probability in 2³²nds: 0 is never, 2³² always.
  public let threshold: UInt64

  /// Never.
  public static let never = Probability(threshold: 0)
  /// Every time.
  public static let always = Probability(threshold: 1 << 32)

  private init(threshold: UInt64) { self.threshold = threshold }

  /// Makes a probability from a number between 0 and 1. Numbers outside are brought to the nearer end; not-a-number is
  /// ``never``.
  public init(_ share: Double) {
    guard share > 0 else {
      self = .never
      return
    }
    self.init(threshold: UInt64((min(share, 1) * 4_294_967_296).rounded()))
  }

  /// Makes a probability from a count of hundredths.
  public static func percent(_ percent: Double) -> Probability { Probability(percent / 100) }

  /// The probability as a number between 0 and 1.
  public var share: Double { Double(threshold) / 4_294_967_296 }

  /// Draws once; a probability of nothing takes no draw.
  func happens(_ generator: inout SeededGenerator) -> Bool {
    threshold != 0 && (generator.next() &>> 32) < threshold
  }
}

extension Probability: CustomStringConvertible {
  /// The shortest decimal percentage that stands for this probability, such as `0.5%`.
  public var description: String {
    var scale: UInt64 = 1
    for digitCount in 0...10 {
      let scaled = UInt64((share * 100 * Double(scale)).rounded())
      if digitCount == 10 || Probability.percent(Double(scaled) / Double(scale)) == self {
        let fraction = String(scaled % scale)
        let zeros = String(repeating: "0", count: max(0, digitCount - fraction.count))
        return digitCount == 0 ? "\(scaled)%" : "\(scaled / scale).\(zeros)\(fraction)%"
      }
      scale *= 10
    }
    return "0%"
  }
}
