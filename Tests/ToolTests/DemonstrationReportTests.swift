import Foundation
import MPTCPTools
import Testing

@Suite("Demonstration report")
struct DemonstrationReportTests {
  private func transfer(
    _ direction: DemonstrationReport.Transfer.Direction, multipath: Bool, seconds: Double, peerDigest: String = "abc"
  ) -> DemonstrationReport.Transfer {
    DemonstrationReport.Transfer(
      direction: direction, isMultipath: multipath, byteCount: 1_000_000, seconds: seconds,
      byteCounts: multipath ? [600_000, 400_000] : [1_000_000, 0], longestStall: 0.1, digest: "abc",
      peerDigest: peerDigest,
      outage: multipath ? .init(path: 0, start: 0.5, end: 0.9) : nil,
      samples: (0...10).map { .init(time: Double($0) * seconds / 10, byteCounts: [$0 * 60_000, $0 * 40_000]) })
  }

  private func report(_ transfers: [DemonstrationReport.Transfer], joins: Int) -> DemonstrationReport {
    DemonstrationReport(
      peer: "Linux 6.18", peerIsKernel: true,
      paths: [
        .init(name: "fast", bitsPerSecond: 40_000_000, delay: 0.02),
        .init(name: "slow", bitsPerSecond: 20_000_000, delay: 0.06),
      ],
      transfers: transfers, kernelCounters: ["MPJoinAckRx": joins]
    ).concluded()
  }

  @Test("Equal digests and a counted join are a proof")
  func proof() {
    let report = report(
      [transfer(.upload, multipath: false, seconds: 3), transfer(.upload, multipath: true, seconds: 2)], joins: 1)
    #expect(report.isProven)
    #expect(report.lines.last == "Every byte arrived.")
    #expect(report.lines.contains { $0.contains("1.50 × the better path alone") })
  }

  @Test("A digest that differs is no proof")
  func changedBytes() {
    let report = report([transfer(.upload, multipath: true, seconds: 2, peerDigest: "abd")], joins: 1)
    #expect(!report.isProven)
    #expect(report.lines.last?.contains("upload, both paths") == true)
  }

  @Test("A join that the kernel did not count is no proof")
  func missingJoin() {
    #expect(!report([transfer(.download, multipath: true, seconds: 2)], joins: 0).isProven)
  }

  @Test("Without a kernel nothing is proven, though every byte arrived")
  func withoutKernel() {
    var report = report([transfer(.upload, multipath: true, seconds: 2)], joins: 0)
    report.peerIsKernel = false
    report = report.concluded()
    #expect(!report.isProven && report.isIntact)
    #expect(report.lines.contains("Every byte arrived."))
    #expect(report.lines.last?.contains("no kernel") == true)
  }

  @Test("The report survives JSON, one object on one line")
  func json() throws {
    let report = report([transfer(.upload, multipath: true, seconds: 2)], joins: 1)
    let data = try JSONEncoder().encode(report)
    #expect(!data.contains(UInt8(ascii: "\n")))
    #expect(try JSONDecoder().decode(DemonstrationReport.self, from: data) == report)
  }

  @Test("JSON says what the table says: goodput, gain, and what is missing")
  func jsonIsTheSame() throws {
    let report = report(
      [transfer(.upload, multipath: false, seconds: 3), transfer(.upload, multipath: true, seconds: 2)], joins: 0)
    let object = try #require(
      JSONSerialization.jsonObject(with: JSONEncoder().encode(report)) as? [String: Any])
    let transfers = try #require(object["transfers"] as? [[String: Any]])
    #expect(transfers.compactMap { $0["goodput"] as? Double }.map { Int($0) } == [2_666_666, 4_000_000])
    #expect(try #require(object["gains"] as? [String: Double]) == ["upload": 1.5])
    #expect(object["shortcomings"] as? [String] == ["the kernel counted 0 joins, not 1"])
  }

  @Test("The picture is well-formed and names what it shows")
  func picture() throws {
    let report = report(
      [transfer(.upload, multipath: false, seconds: 3), transfer(.upload, multipath: true, seconds: 2)], joins: 1)
    let svg = DemonstrationPicture(report).svg
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    #expect(svg.contains("fast is down"))
    #expect(svg.components(separatedBy: "<text").count == svg.components(separatedBy: "</text>").count)
    #expect(!svg.contains("nan") && !svg.contains("inf"))
  }
}
