import MPTCPWire

/// How much an endpoint remembers for TCP Fast Open as a client (``FastOpenMemory``), and for how long.
public struct FastOpenMemoryLimits: Sendable, Hashable {
  /// The most cookies that are kept.
  public var cookieCount = 512
  /// The most services where Fast Open failed that are remembered.
  public var failureCount = 512
  /// How long a cookie is kept that no listener has replaced.
  public var cookieLifetime: Nanoseconds = .seconds(604_800)
  /// For how long Fast Open is left after the first failure; each further one in a row doubles it.
  public var firstDelay: Nanoseconds = .seconds(300)
  /// The longest such time.
  public var longestDelay: Nanoseconds = .seconds(86_400)

  /// The defaults.
  public init() {}

  /// For how long Fast Open is left after so many failures in a row.
  func delay(after failures: Int) -> Nanoseconds {
    firstDelay.doubled(after: failures, atMost: longestDelay)
  }
}
