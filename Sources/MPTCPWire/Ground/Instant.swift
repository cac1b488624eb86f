/// A length of time in nanoseconds, the engine's unit. Arithmetic saturates: no peer can make it trap.
public struct Nanoseconds: Hashable, Sendable {
  /// The count of nanoseconds.
  public var count: Int64

  /// Makes a length of time from a count of nanoseconds.
  @inlinable
  public init(_ count: Int64) { self.count = count }

  /// No time at all.
  public static let zero = Nanoseconds(0)
  /// The longest time, about 292 years.
  public static let max = Nanoseconds(.max)

  /// A whole number of seconds; saturates.
  @inlinable
  public static func seconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count) * 1_000_000_000 }
  /// A whole number of milliseconds; saturates.
  @inlinable
  public static func milliseconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count) * 1_000_000 }
  /// A whole number of microseconds; saturates.
  @inlinable
  public static func microseconds(_ count: Int64) -> Nanoseconds { Nanoseconds(count) * 1_000 }

  /// Saturating sum.
  @inlinable
  public static func + (lhs: Nanoseconds, rhs: Nanoseconds) -> Nanoseconds {
    let (sum, overflow) = lhs.count.addingReportingOverflow(rhs.count)
    return Nanoseconds(overflow ? (rhs.count < 0 ? .min : .max) : sum)
  }

  /// Saturating difference.
  @inlinable
  public static func - (lhs: Nanoseconds, rhs: Nanoseconds) -> Nanoseconds {
    let (difference, overflow) = lhs.count.subtractingReportingOverflow(rhs.count)
    return Nanoseconds(overflow ? (rhs.count < 0 ? .max : .min) : difference)
  }

  /// Saturating product.
  @inlinable
  public static func * (lhs: Nanoseconds, factor: Int64) -> Nanoseconds {
    let (product, overflow) = lhs.count.multipliedReportingOverflow(by: factor)
    return Nanoseconds(overflow ? ((lhs.count < 0) == (factor < 0) ? .max : .min) : product)
  }

  /// Quotient, towards zero; dividing by zero gives `.max`.
  @inlinable
  public static func / (lhs: Nanoseconds, divisor: Int64) -> Nanoseconds {
    let (quotient, overflow) = lhs.count.dividedReportingOverflow(by: divisor)
    return overflow ? .max : Nanoseconds(quotient)
  }

  /// Milliseconds with their fraction, for people.
  public var milliseconds: Double { Double(count) / 1e6 }
  /// Seconds with their fraction, for people.
  public var seconds: Double { Double(count) / 1e9 }
}

extension Nanoseconds: Comparable {
  /// Whether `lhs` is the shorter one.
  @inlinable
  public static func < (lhs: Nanoseconds, rhs: Nanoseconds) -> Bool { lhs.count < rhs.count }
}

/// A point in time, in nanoseconds since an origin that the host chooses. The engine never asks a clock: it is told.
public struct Instant: Hashable, Sendable {
  /// Nanoseconds since the host's origin.
  public var nanoseconds: Int64

  /// Makes a point in time from nanoseconds since the host's origin.
  @inlinable
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The host's origin.
  public static let zero = Instant(nanoseconds: 0)
  /// Later than every other point in time.
  public static let distantFuture = Instant(nanoseconds: .max)

  /// The point `span` later; saturates.
  @inlinable
  public static func + (lhs: Instant, span: Nanoseconds) -> Instant {
    Instant(nanoseconds: (Nanoseconds(lhs.nanoseconds) + span).count)
  }

  /// The time from `rhs` to `lhs`; saturates.
  @inlinable
  public static func - (lhs: Instant, rhs: Instant) -> Nanoseconds {
    Nanoseconds(lhs.nanoseconds) - Nanoseconds(rhs.nanoseconds)
  }
}

extension Instant: Comparable {
  /// Whether `lhs` is the earlier one.
  @inlinable
  public static func < (lhs: Instant, rhs: Instant) -> Bool { lhs.nanoseconds < rhs.nanoseconds }
}
