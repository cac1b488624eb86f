import Foundation

/// What `mptcp lab run --json` prints.
struct LabReport: Decodable {
  struct Times: Decodable { var minimum, median, percentile99, maximum: Double }

  struct Direction: Decodable {
    var from, to: String
    var sentPacketCount, deliveredPacketCount, deliveredByteCount: Int
    var carriedBitsPerSecond, busiestSecondBitsPerSecond: Double
    var drops: [String: Int]
    var delay, lateness: Times?
    var latePacketCount: Int
    var lostBeforeLinkCount: Int?
  }

  struct Path: Decodable {
    var name, device: String
    var directions: [Direction]
    var boxes: [Box]?
    var lostIn: [String]?
  }

  struct Box: Decodable {
    var beside, kind: String
    var receivedPacketCount: Int
    var effects: [String: Int]
  }

  var paths: [Path]
  var seconds: Double
  var lateShare, bareLossShare: Double?
  var exitStatus: Int32
  var isVoid: Bool

  func path(_ name: String) throws -> Path {
    guard let path = paths.first(where: { $0.name == name }) else {
      throw ChildProcess.Failure(description: "no path \(name) in the report")
    }
    return path
  }
}

extension ChildProcess.Outcome {
  /// The report of a lab, the last line of the output.
  func labReport() throws -> LabReport {
    guard let line = output.split(separator: "\n").last else { throw ChildProcess.Failure(description: summary) }
    return try JSONDecoder().decode(LabReport.self, from: Data(line.utf8))
  }
}
