/// How `mptcp` ends, for scripts. The numbers above 63 are those of `sysexits.h`.
public struct ExitStatus: RawRepresentable, Hashable, Sendable {
  /// The number that the shell sees.
  public let rawValue: Int32

  /// Makes a status from its number.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// Ended by a signal, as shells count it: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM.
  public init(signal: Int32) { rawValue = 128 + signal }

  /// Whether a signal was the reason.
  public var isSignal: Bool { rawValue > 128 }

  /// Everything was sent and received.
  public static let success = ExitStatus(rawValue: 0)
  /// No connection came about: refused, unreachable, or nobody answered in time.
  public static let notConnected = ExitStatus(rawValue: 1)
  /// The connection ended before everything had arrived.
  public static let cutShort = ExitStatus(rawValue: 2)
  /// Nothing happened for as long as `-w` allows.
  public static let idle = ExitStatus(rawValue: 3)
  /// A demonstration that did not show what it should.
  public static let unproven = ExitStatus(rawValue: 4)
  /// A demonstration in which every byte arrived, but no kernel took part.
  public static let withoutKernel = ExitStatus(rawValue: 5)
  /// A wrong argument (`EX_USAGE`).
  public static let usage = ExitStatus(rawValue: 64)
  /// A file that is given does not hold what it should (`EX_DATAERR`).
  public static let wrongData = ExitStatus(rawValue: 65)
  /// The operating system refused something (`EX_OSERR`).
  public static let system = ExitStatus(rawValue: 71)
  /// Reading or writing a file failed (`EX_IOERR`).
  public static let inputOutput = ExitStatus(rawValue: 74)
  /// The machine was too slow for the measurement; another time it may not be (`EX_TEMPFAIL`).
  public static let void = ExitStatus(rawValue: 75)
  /// A permission is missing (`EX_NOPERM`).
  public static let noPermission = ExitStatus(rawValue: 77)
  /// Ended by SIGINT, as shells count it.
  public static let interrupted = ExitStatus(rawValue: 130)
}
