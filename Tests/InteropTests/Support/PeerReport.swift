import Foundation

/// A line of `mptcp-peer`: what became of a connection, or the totals of a run.
struct PeerReport: Decodable {
  struct Subflow: Decodable {
    var local, remote: String?
    var bytesSent, bytesReceived, retransmittedSegments, sentSegments, receivedSegments, duplicates: Int
    var reinjectedBytes, retransmittedBytes: Int?
  }

  var event: String
  var number: Int?
  var sent, received: Int?
  var seconds: Double?
  var succeeded: Bool?
  var longestGap: Double?
  var error: String?
  var local, remote, congestion, token: String?
  var multipath, fallback, checksum: Bool?
  var extraSubflows, subflowsTotal: Int?
  var subflows: [Subflow]?
  // Of a `done` line.
  var connections, failed, unfinished: Int?
  var connectionsPerSecond: Double?
  var multipathConnections, joins, retransmittedSegments, malformed: Int?
  // Of a `checked` line.
  var verified: Bool?
  var expected, firstDifference: Int?

  /// The lines of an output that are reports.
  static func all(in output: String) -> [PeerReport] {
    output.split(separator: "\n").compactMap { try? JSONDecoder().decode(PeerReport.self, from: Data($0.utf8)) }
  }
}

extension ChildProcess.Outcome {
  /// The reports with this name.
  func reports(_ event: String) -> [PeerReport] { PeerReport.all(in: output).filter { $0.event == event } }

  /// The report on the only connection.
  var connection: PeerReport {
    get throws {
      guard let report = reports("connection").last else { throw ChildProcess.Failure(description: summary) }
      return report
    }
  }

  /// The totals of the run.
  var totals: PeerReport {
    get throws {
      guard let report = reports("done").last else { throw ChildProcess.Failure(description: summary) }
      return report
    }
  }
}
