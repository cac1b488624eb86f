import MPTCPSimulator

/// A simulation as a picture in SVG: for each path the rates in both directions, and the round-trip times and queues,
/// over time.
public struct SimulationPicture: Sendable {
  private let results: SimulationResults
  private let width = 860.0
  private let chartHeight = 90.0
  private let left = 74.0
  private let right = 20.0

  /// So many paths are drawn, and so many subflows of each.
  private static let pathLimit = 8
  private static let subflowLimit = Drawing.colours.count

  /// Draws results; without samples only words. What is left out is said at its end.
  public init(_ results: SimulationResults) { self.results = results }

  private struct Series {
    var name: String
    var colour: String
    var points: [(time: Double, value: Double)]
  }

  /// The document.
  public var svg: String {
    var drawing = Drawing(width: width)
    var top = 28.0
    drawing.text(
      results.title.isEmpty ? "A simulation with seed \(results.seed)" : "\(results.title), seed \(results.seed)",
      x: left,
      y: top, size: 15, bold: true)
    top += 20
    for connection in results.connections.prefix(6) {
      drawing.text(SimulationReport.line(connection), x: left, y: top)
      top += 17
    }
    if results.connections.count > 6 {
      drawing.text("… and \(results.connections.count - 6) connections more", x: left, y: top)
      top += 17
    }
    top += 10
    for index in results.paths.indices.prefix(Self.pathLimit) where !results.samples.isEmpty {
      drawing.text(results.paths[index].name, x: left, y: top + 4, size: 13, bold: true)
      top = chart(rates(of: index), unit: { text(bitsPerSecond: $0) }, top: top + 12, &drawing)
      let delays = roundTrips(of: index)
      if !delays.isEmpty { top = chart(delays, unit: { text(seconds: $0) }, top: top, &drawing) }
      let windows = windows(of: index)
      if !windows.isEmpty { top = chart(windows, unit: { text(byteCount: Int($0)) }, top: top, &drawing) }
      top += 14
    }
    for note in notes {
      drawing.text(note, x: left, y: top)
      top += 17
    }
    return drawing.svg(height: top)
  }

  /// Why there is nothing to be seen, or not everything.
  private var notes: [String] {
    guard !results.samples.isEmpty else {
      return [
        results.time > 0
          ? "nothing is drawn: no samples were taken"
          : "nothing is drawn: all was over at the instant at which it began"
      ]
    }
    var notes: [String] = []
    func leaveOut(_ what: String) { notes.append("not drawn: \(what)") }
    if results.paths.count > Self.pathLimit {
      leaveOut("\(results.paths.count - Self.pathLimit) of \(results.paths.count) paths")
    }
    var names: [Int: Set<Name>] = [:]
    for sample in results.samples {
      for subflow in sample.subflows { names[subflow.path, default: []].insert(Name(subflow)) }
    }
    for path in results.paths.indices.prefix(Self.pathLimit) {
      guard let count = names[path]?.count, count > Self.subflowLimit else { continue }
      leaveOut("\(count - Self.subflowLimit) of \(count) subflows of \(results.paths[path].name)")
    }
    let connections = results.connections.count
    if connections > Simulation.sampledConnectionCount {
      let rest = connections - Simulation.sampledConnectionCount
      leaveOut("round trips and windows of \(rest) of \(connections) connections")
    }
    if let time = results.sampledUntil {
      let count = results.samples.count - 1
      leaveOut("what came between \(text(seconds: time)) and the end: no more than \(count) samples are taken")
    }
    return notes
  }

  /// Which subflow of which connection a sample is of.
  private struct Name: Hashable {
    let connection: Int
    let subflow: Int

    init(_ sample: Sample.Subflow) { (connection, subflow) = (sample.connection, sample.subflow) }
  }

  // MARK: Series

  private func rates(of path: Int) -> [Series] {
    (0..<2).map { direction in
      var points: [(time: Double, value: Double)] = []
      var earlier = (time: 0.0, byteCount: 0)
      for later in results.samples where later.time > earlier.time {
        let byteCount = later.pathByteCounts[path][direction]
        let rate = Double(byteCount - earlier.byteCount) * 8 / (later.time - earlier.time)
        // The first rate holds from the start, so that one sample is a line.
        if points.isEmpty { points.append((0, rate)) }
        points.append((later.time, rate))
        earlier = (later.time, byteCount)
      }
      return Series(
        name: direction == 0 ? "rate there" : "rate back", colour: Drawing.colour(direction), points: points)
    }
  }

  private func roundTrips(of path: Int) -> [Series] {
    subflowSeries(of: path, "round trip") { $0.roundTripTime }
  }

  private func windows(of path: Int) -> [Series] { subflowSeries(of: path, "window") { Double($0.congestionWindow) } }

  /// A line for each of the first subflows of a path.
  private func subflowSeries(of path: Int, _ name: String, _ value: (Sample.Subflow) -> Double?) -> [Series] {
    var series: [(name: Name, points: [(time: Double, value: Double)])] = []
    for sample in results.samples {
      for subflow in sample.subflows where subflow.path == path {
        guard let value = value(subflow) else { continue }
        if let known = series.firstIndex(where: { $0.name == Name(subflow) }) {
          series[known].points.append((sample.time, value))
        } else if series.count < Self.subflowLimit {
          series.append((Name(subflow), [(sample.time, value)]))
        }
      }
    }
    return series.enumerated().map { index, one in
      Series(
        name: "\(name) \(one.name.connection).\(one.name.subflow)", colour: Drawing.colour(index + 2),
        points: one.points)
    }
  }

  // MARK: One chart

  private func chart(_ series: [Series], unit: (Double) -> String, top: Double, _ drawing: inout Drawing) -> Double {
    let base = top + chartHeight
    let fullTime = max(results.samples.last?.time ?? 1, 0.001)
    let fullValue = max(series.flatMap(\.points).map(\.value).max() ?? 1, 1e-6) * 1.05
    func place(_ point: (time: Double, value: Double)) -> (x: Double, y: Double) {
      (left + (width - left - right) * point.time / fullTime, base - chartHeight * point.value / fullValue)
    }
    for one in series {
      drawing.line(thinned(one.points).map(place), colour: one.colour)
      if one.points.count == 1 {
        let point = place(one.points[0])
        drawing.rectangle(x: point.x - 1.5, y: point.y - 1.5, width: 3, height: 3, fill: one.colour)
      }
    }
    drawing.line([(left, top), (left, base), (width - right, base)], colour: "#64748b", width: 1)
    for share in [0.5, 1.0] {
      let value = fullValue / 1.05 * share
      drawing.text(unit(value), x: left - 6, y: place((0, value)).y + 4, size: 10, anchor: "end")
    }
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
      drawing.text(
        text(seconds: fullTime * share), x: place((fullTime * share, 0)).x, y: base + 13, size: 10, anchor: "middle")
    }
    var x = left + 8
    let step = min(110, (width - left - right - 8) / Double(max(series.count, 1)))
    for one in series {
      drawing.rectangle(x: x, y: top + 2, width: 9, height: 9, fill: one.colour)
      drawing.text(one.name, x: x + 13, y: top + 10, size: 10)
      x += step
    }
    return base + 24
  }

  /// No more points than there are columns in the picture, each the mean of those that it stands for.
  private func thinned(_ points: [(time: Double, value: Double)]) -> [(time: Double, value: Double)] {
    let step = (points.count + 799) / 800
    guard step > 1 else { return points }
    return stride(from: 0, to: points.count, by: step).map { start in
      let part = points[start..<min(start + step, points.count)]
      return (part[part.endIndex - 1].time, part.map(\.value).reduce(0, +) / Double(part.count))
    }
  }
}
