import Foundation
import PacketFactory
import Testing

@testable import MPTCPWire

/// Every TCP header and every Multipath TCP option of the captures, as tshark reads them.
///
/// Where we differ, and why that is right:
/// - tshark never shows the checksum of a DSS (it wants four octets where two are left), so that column holds only what
///   an MP_CAPABLE with data carries; `CapturedChecksumTests` checks the others.
/// - Of an option that we refuse, tshark still names the subtype: ``refused``.
@Suite(
  .enabled(if: Captures.folder != nil, "no captures: set MPTCP_CAPTURES"),
  .enabled(if: Captures.tshark != nil, "tshark is not installed"))
struct TsharkComparisonTests {
  /// Frames with a malformed option, by capture: what we say of them.
  static let refused: [String: [Int: WireError.Field]] = [
    "real/tcpdump_mptcp-dss-oobr.pcap": [1: .dataSequenceSignal]
  ]

  /// Each frame's fields as tshark prints them, and what comes in front of them: the frame's protocols.
  func tshark(_ name: String) throws -> [(protocols: Substring, line: Substring)] {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Captures.tshark))
    process.arguments =
      [
        "-n", "-r", Captures.path(name), "-o", "tcp.relative_sequence_numbers:FALSE",
        "-o", "tcp.analyze_sequence_numbers:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE", "-o",
        "ip.defragment:FALSE",
        "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,", "-e", "frame.protocols",
      ] + DissectedPacket.Field.allCases.flatMap { ["-e", $0.name] }
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { line in
      let tab = line.firstIndex(of: "\t") ?? line.endIndex
      return (line[..<tab], line[tab...].dropFirst())
    }
  }

  @Test(.timeLimit(.minutes(5)), arguments: Captures.names)
  func tsharkReadsTheSameFields(name: String) throws {
    let capture = try CaptureFile(path: Captures.path(name))
    let rows = try tshark(name)
    #expect(rows.count == capture.packets.count)
    var differences = 0
    var comparedCount = 0
    for (packet, row) in zip(capture.packets, rows) {
      guard let range = capture.ipRange(packet) else { continue }
      let bytes = capture.octets.span.bytes.extracting(range)
      let ip = try IPHeader(parsingFrontOf: bytes)
      guard ip.protocolNumber == IPProtocol.tcp, ip.fragment == nil else {
        #expect(!row.protocols.hasSuffix(":ip:tcp") && !row.protocols.hasSuffix(":ipv6:tcp"))
        continue
      }
      let segment = ip.payload(in: bytes)
      let tcp = try TCPHeader(parsing: segment)
      let ours = DissectedPacket(ip, tcp, options: tcp.optionBytes(in: segment))
      comparedCount += 1
      if let field = Self.refused[name]?[packet.number] {
        #expect(ours.malformed?.field == field)
        continue
      }
      if let error = ours.malformed { Issue.record("\(name) frame \(packet.number): \(error)") }
      guard ours.line != row.line else { continue }
      differences += 1
      if differences <= 5 { report(name, packet.number, ours.line, String(row.line)) }
    }
    #expect(differences == 0, "\(name)")
    #expect(comparedCount > 0)
  }

  private func report(_ name: String, _ number: Int, _ ours: String, _ theirs: String) {
    let fields = DissectedPacket.Field.allCases
    let ours = ours.split(separator: "\t", omittingEmptySubsequences: false)
    let theirs = theirs.split(separator: "\t", omittingEmptySubsequences: false)
    for field in fields where field.rawValue >= theirs.count || ours[field.rawValue] != theirs[field.rawValue] {
      let other = field.rawValue < theirs.count ? theirs[field.rawValue] : "nothing"
      Issue.record("\(name) frame \(number), \(field.name): ours \(ours[field.rawValue]), tshark \(other)")
    }
  }
}
