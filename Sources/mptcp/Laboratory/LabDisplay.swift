import MPTCPLab
import MPTCPTools

/// A live line for each direction of each path.
final class LabDisplay {
  private let names: [[String]]
  private var meters: [[RateMeter]]
  private var fastest = 1.0

  init(_ lab: LabFile) {
    names = lab.paths.map { path in
      let (first, second) = (path.first.host, path.second.host)
      return ["\(path.name): \(first) → \(second)", "\(path.name): \(second) → \(first)"]
    }
    meters = lab.paths.map { _ in [RateMeter(), RateMeter()] }
  }

  /// Draws what was measured until now in the place of what was drawn before.
  func draw(_ measured: [(path: String, directions: [DirectionAccount])]) {
    let now = secondsNow(), width = StandardError.width
    let nameWidth = names.joined().map(\.count).max() ?? 0
    var lines: [String] = []
    for (index, path) in measured.enumerated() {
      for (side, account) in path.directions.enumerated() {
        let byteCount = account.counters.delivered.byteCount + account.direct.byteCount
        let rate = meters[index][side].rate(at: now, byteCount: byteCount)
        fastest = max(fastest, rate)
        let dropCount = account.counters.dropped.packetCount
        var progress = PathProgress(
          name: names[index][side], byteCount: byteCount, bitsPerSecond: rate,
          roundTripTime: account.delays.quantile(0.5)?.seconds, remark: dropCount > 0 ? "\(dropCount) dropped" : nil)
        progress.timeName = "delay"
        lines.append(progress.line(fullScale: fastest, nameWidth: nameWidth, width: width))
      }
    }
    StandardError.draw(lines)
  }
}
