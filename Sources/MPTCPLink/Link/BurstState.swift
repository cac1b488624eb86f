/// Where a line with loss in bursts is (``BurstLoss``).
struct BurstState: Sendable {
  private let loss: BurstLoss
  private var isInside = false
  private var generator: SeededGenerator

  init(_ loss: BurstLoss, _ generator: SeededGenerator) {
    self.loss = loss
    self.generator = generator
  }

  /// Whether the next packet gets lost. The state changes first, so that the packet that begins a burst is part of it.
  mutating func loses() -> Bool {
    if (isInside ? loss.leaves : loss.enters).happens(&generator) { isInside.toggle() }
    return (isInside ? loss.lossInside : loss.lossOutside).happens(&generator)
  }
}
