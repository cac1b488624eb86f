// Quantities as people read them. Decimal units, as network rates have.

/// A number with a fixed count of places behind the point.
public func decimal(_ value: Double, places: Int) -> String {
  guard value.isFinite else { return "–" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = (value.magnitude * scale).rounded()
  guard scaled < 9e18 else { return "–" }
  let digits = String(Int64(scaled))
  let sign = value < 0 && scaled > 0 ? "-" : ""
  guard places > 0 else { return sign + digits }
  let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
  return sign + padded.dropLast(places) + "." + padded.suffix(places)
}

/// A count of bytes: `999 B`, `1.50 kB`, `67.1 MB`.
public func text(byteCount: Int) -> String {
  scaled(Double(byteCount), units: ["B", "kB", "MB", "GB", "TB"])
}

/// A rate: `38.2 Mbit/s`.
public func text(bitsPerSecond: Double) -> String {
  scaled(bitsPerSecond, units: ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// A span of time: `780 µs`, `24.1 ms`, `3.52 s`.
public func text(seconds: Double) -> String {
  if seconds < 0.001 { return "\(decimal(seconds * 1e6, places: 0)) µs" }
  if seconds < 1 { return "\(threeDigits(seconds * 1e3)) ms" }
  return "\(threeDigits(seconds)) s"
}

private func scaled(_ value: Double, units: [String]) -> String {
  var value = value
  var unit = 0
  while value >= 999.5, unit + 1 < units.count {
    value /= 1000
    unit += 1
  }
  return unit == 0 ? "\(decimal(value, places: 0)) \(units[0])" : "\(threeDigits(value)) \(units[unit])"
}

private func threeDigits(_ value: Double) -> String {
  decimal(value, places: value < 9.995 ? 2 : value < 99.95 ? 1 : 0)
}
