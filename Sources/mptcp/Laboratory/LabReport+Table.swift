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
      for direction in path.directions where direction.sentPacketCount > 0 || direction.lostBeforeLinkCount != 0 {
        func cell(_ value: Double?) -> String { value.map { text(seconds: $0) } ?? "–" }
        let late = direction.timedPacketCount == 0 ? nil : direction.lateShare
        table.append([
          path.name, "\(direction.from) → \(direction.to)", text(bitsPerSecond: direction.offeredBitsPerSecond),
          text(bitsPerSecond: direction.carriedBitsPerSecond),
          text(bitsPerSecond: direction.busiestSecondBitsPerSecond),
          "\(direction.deliveredPacketCount)", cell(direction.delay?.minimum), cell(direction.delay?.median),
          cell(direction.delay?.percentile99), cell(direction.lateness?.median),
          late.map { "\(decimal($0 * 100, places: 2)) %" } ?? "not timed", direction.dropWords,
        ])
      }
    }
    let missing =
      uncapturedPacketCount > 0
      ? ["\(uncapturedPacketCount) packets are missing in the captures: the disk is too slow."] : []
    let boxes = paths.flatMap { path in (path.boxes ?? []).map { "\(path.name): \($0.line)" } }
    let lost = paths.flatMap { path in
      (path.lostIn ?? []).map { host in
        "\(path.name): LOST: its device in \(host) was deleted; nothing crossed it from then on."
      }
    }
    return table.lines + boxes + lost + missing
      + ["\(text(seconds: seconds)); \(shares)."]
  }

  /// What share of the packets came late, or was lost on bare wires.
  private var shares: String {
    let late = lateShare.map { "more than 0.5 ms late: \(percent($0)) of the packets on links" }
    let lost = bareLossShare.map { "on bare wires nothing is timed; lost there: \(percent($0))" }
    let words = [late, lost].compactMap { $0 }
    return words.isEmpty ? "no packet was timed" : words.joined(separator: "; ")
  }

  private func percent(_ share: Double) -> String { "\(decimal(share * 100, places: 2)) %" }

  /// What a void run means.
  var verdict: String {
    if let lateShare, lateShare > LabReport.shareLimit {
      return "VOID: \(percent(lateShare)) of the packets on links came more than 0.5 ms late, or never (1 % is the "
        + "limit); the machine was too busy, and the figures are its own, not the links'"
    }
    return "VOID: \(percent(bareLossShare ?? 0)) of the packets on bare wires were lost since the machine was too busy "
      + "(1 % is the limit); give the path a link with a rate that this machine can carry"
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
