/// The demonstration as a picture in SVG: the rate of each path over time, and what came of it.
///
/// Colours are readable on light and dark pages; every number is also text.
public struct DemonstrationPicture: Sendable {
  private let report: DemonstrationReport
  private let width = 860.0
  private let chartHeight = 130.0
  private let left = 70.0
  private let right = 20.0

  /// Draws a report.
  public init(_ report: DemonstrationReport) { self.report = report }

  /// The document.
  public var svg: String {
    var drawing = Drawing(width: width)
    var top = 20.0
    drawing.text(
      "\(report.transfers.first.map { text(byteCount: $0.byteCount) } ?? "") to and from "
        + (report.peerIsKernel ? "the Linux kernel (\(report.peer))" : "a peer in the same process"), x: left, y: top,
      size: 15, bold: true)
    for (index, path) in report.paths.enumerated() {
      let x = left + Double(index) * 250
      drawing.rectangle(x: x, y: top + 10, width: 12, height: 12, fill: Drawing.colour(index))
      drawing.text(
        "\(path.name): \(text(bitsPerSecond: Double(path.bitsPerSecond))), \(text(seconds: path.delay)) each way",
        x: x + 18, y: top + 20)
    }
    top += 52
    let fullRate = Double(report.paths.map(\.bitsPerSecond).reduce(0, +)) * 1.1
    let fullTime = report.transfers.map(\.seconds).max() ?? 1
    for transfer in report.transfers {
      chart(transfer, top: top, fullRate: max(fullRate, 1), fullTime: max(fullTime, 0.1), on: &drawing)
      top += chartHeight + 48
    }
    if report.peerIsKernel {
      let names = ["MPCapableSYNRX", "MPCapableSYNACKRX", "MPJoinSynRx", "MPJoinAckRx"]
      let counters = names.compactMap { name in report.kernelCounters[name].map { "\(name) \($0)" } }
      drawing.text("The kernel counted: \(counters.joined(separator: ", "))", x: left, y: top)
      top += 22
    }
    let verdict =
      report.isIntact ? "Every byte arrived: the SHA-256 at both ends is the same." : "Not every byte arrived."
    drawing.text(verdict, x: left, y: top, bold: true)
    return drawing.svg(height: top + 16)
  }

  private func chart(
    _ transfer: DemonstrationReport.Transfer, top: Double, fullRate: Double, fullTime: Double,
    on drawing: inout Drawing
  ) {
    drawing.text(
      "\(report.title(of: transfer)): \(text(seconds: transfer.seconds)), "
        + "\(text(bitsPerSecond: transfer.goodput)), longest stall \(text(seconds: transfer.longestStall))",
      x: left, y: top)
    let base = top + 12 + chartHeight
    func x(_ time: Double) -> Double { left + (width - left - right) * min(time / fullTime, 1) }
    func y(_ rate: Double) -> Double { base - chartHeight * min(max(rate / fullRate, 0), 1) }
    if let outage = transfer.outage {
      let start = x(outage.start)
      let end = x(outage.end ?? transfer.seconds)
      drawing.rectangle(
        x: start, y: base - chartHeight, width: end - start, height: chartHeight, fill: Drawing.colour(3),
        opacity: 0.18)
      drawing.text("\(report.paths[outage.path].name) is down", x: start + 4, y: base - chartHeight + 14, size: 11)
    }
    // Stacked: each path's area stands on those before it.
    let rates = rates(of: transfer)
    var floor = Array(repeating: 0.0, count: rates.count)
    for path in report.paths.indices where transfer.byteCounts.indices.contains(path) && transfer.byteCounts[path] > 0 {
      let ceiling = zip(floor, rates).map { $0 + $1.rates[path] }
      let upper = zip(rates, ceiling).map { (x: x($0.time), y: y($1)) }
      let lower = zip(rates, floor).map { (x: x($0.time), y: y($1)) }.reversed()
      drawing.area(upper + lower, fill: Drawing.colour(path), opacity: 0.85)
      floor = ceiling
    }
    drawing.line(
      [(left, base - chartHeight), (left, base), (width - right, base)], colour: "#64748b", width: 1)
    for mark in [fullRate / 1.1, fullRate / 2.2] {
      drawing.text(text(bitsPerSecond: mark), x: left - 6, y: y(mark) + 4, size: 10, anchor: "end")
    }
    let step = fullTime > 12 ? 5.0 : fullTime > 4 ? 2 : 1
    for mark in stride(from: 0, through: fullTime, by: step) {
      drawing.text("\(decimal(mark, places: 0)) s", x: x(mark), y: base + 14, size: 10, anchor: "middle")
    }
  }

  /// Rates between samples that lie about 0.2 s apart: shorter intervals show bursts, not rates.
  private func rates(of transfer: DemonstrationReport.Transfer) -> [(time: Double, rates: [Double])] {
    var result: [(time: Double, rates: [Double])] = []
    var previous = DemonstrationReport.Sample(time: 0, byteCounts: report.paths.map { _ in 0 })
    for sample in transfer.samples
    where sample.time - previous.time >= 0.2 && sample.byteCounts.count == report.paths.count {
      let span = sample.time - previous.time
      let rates = zip(sample.byteCounts, previous.byteCounts).map { Double($0 - $1) * 8 / span }
      if result.isEmpty { result.append((0, rates)) }
      result.append((sample.time, rates))
      previous = sample
    }
    return result
  }
}
