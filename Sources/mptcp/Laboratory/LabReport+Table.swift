import MPTCPLab
import MPTCPTools

extension LabReport {
  /// The report for people.
  var lines: [String] {
    var table = TextTable([
      ("path", .left), ("direction", .left), ("offered", .right), ("carried", .right), ("busiest s", .right),
      ("packets", .right), ("delay min", .right), ("median", .right), ("p99", .right), ("late median", .right),
      ("> 0.5 ms", .right), ("dropped", .left),
    ])
    for path in paths {
      for direction in path.directions where direction.sentPacketCount > 0 {
        func cell(_ value: Double?) -> String { value.map { text(seconds: $0) } ?? "–" }
        let late = direction.timedPacketCount == 0 ? nil : direction.lateShare
        table.append([
          path.name, "\(direction.from) → \(direction.to)", text(bitsPerSecond: direction.offeredBitsPerSecond),
          text(bitsPerSecond: direction.carriedBitsPerSecond),
          text(bitsPerSecond: direction.busiestSecondBitsPerSecond),
          "\(direction.deliveredPacketCount)", cell(direction.delay?.minimum), cell(direction.delay?.median),
          cell(direction.delay?.percentile99), cell(direction.lateness?.median),
          late.map { "\(decimal($0 * 100, places: 2)) %" } ?? "–", direction.dropWords,
        ])
      }
    }
    let missing =
      uncapturedPacketCount > 0
      ? ["\(uncapturedPacketCount) packets are missing in the captures: the disk is too slow."] : []
    let boxes = paths.flatMap { path in (path.boxes ?? []).map { "\(path.name): \($0.line)" } }
    return table.lines + boxes + missing
      + ["\(text(seconds: seconds)); more than 0.5 ms late: \(decimal(lateShare * 100, places: 2)) % of all packets."]
  }

  /// What a void run means.
  var verdict: String {
    "VOID: \(decimal(lateShare * 100, places: 2)) % of the packets came more than 0.5 ms late (1 % is the limit); the "
      + "machine was too busy, and the figures are its own, not the links'"
  }
}

extension LabReport.Box {
  /// What it did: `strip beside client: optionRemoved 2, of 1200 packets`.
  fileprivate var line: String {
    let words = effects.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return
      "\(kind.rawValue) beside \(beside): \(words.isEmpty ? "nothing done" : words), of \(receivedPacketCount) packets"
  }
}

extension LabReport.Direction {
  fileprivate var lateShare: Double { Double(latePacketCount) / Double(max(timedPacketCount, 1)) }
}
