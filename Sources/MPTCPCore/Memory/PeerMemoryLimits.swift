import MPTCPWire

/// How much an endpoint remembers of failures with Multipath TCP, and for how long it draws consequences
/// (``PeerMemory``).
public struct PeerMemoryLimits: Sendable, Hashable {
  /// The most destinations that are remembered.
  public var destinationCount = 512
  /// The most paths that are remembered.
  public var pathCount = 32
  /// For how long MP_CAPABLE is withheld after the first failure; each further one in a row doubles it.
  public var firstDelay: Nanoseconds = .seconds(300)
  /// The longest such time.
  public var longestDelay: Nanoseconds = .seconds(86_400)
  /// With how many destinations it has to fail before the path is thought to be what fails.
  public var failuresOfPath = 3
  /// How long a record lives that withholds nothing, or no longer.
  public var lifetime: Nanoseconds = .seconds(604_800)

  /// The defaults.
  public init() {}

  /// For how long MP_CAPABLE is withheld after so many failures in a row.
  func delay(after failures: Int) -> Nanoseconds {
    firstDelay.doubled(after: failures, atMost: longestDelay)
  }
}
