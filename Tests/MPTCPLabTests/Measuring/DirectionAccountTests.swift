import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Accounts of a direction")
struct DirectionAccountTests {
  private func instant(_ milliseconds: Int64) -> Instant { .zero + .milliseconds(milliseconds) }

  @Test("Each wire packet of a piece is as late as it would be alone")
  func pieces() {
    var account = DirectionAccount()
    account.noteDelivered(
      packetCount: 4, byteCount: 6000, at: instant(1), delay: .milliseconds(1), lateness: .microseconds(250),
      spacing: .microseconds(120))
    // 250, 370, 490 and 610 µs.
    #expect(account.latePacketCount == 1)
    #expect(account.lateness.count == 4)
    #expect(account.lateness.maximum == .microseconds(610))
    account.noteDelivered(
      packetCount: 3, byteCount: 4500, at: instant(2), delay: .milliseconds(1), lateness: .microseconds(501),
      spacing: .zero)
    #expect(account.latePacketCount == 4)
  }

  @Test("The busiest second is found wherever it lies")
  func busiestSecond() {
    var account = DirectionAccount()
    for tenth in 0..<50 {
      let byteCount = (23..<33).contains(tenth) ? 1000 : 10
      account.noteDelivered(byteCount: byteCount, at: instant(Int64(tenth) * 100 + 50))
    }
    #expect(account.busiestSecondByteCount == 10_000)
    // A pause longer than the window forgets what was before it.
    account.noteDelivered(byteCount: 9_999, at: instant(60_000))
    #expect(account.busiestSecondByteCount == 10_000)
    account.noteDelivered(byteCount: 2, at: instant(60_500))
    #expect(account.busiestSecondByteCount == 10_001)
  }

  @Test("More than 1 % of late or lost packets make a run void")
  func void() throws {
    let text = #"{"paths":[{"name":"p","between":["a","b"],"link":"1ms"}]}"#
    let path = try LabFile(json: Array(text.utf8)).paths[0]
    func report(late: Int, overflow: Int = 0) -> LabReport {
      var account = DirectionAccount()
      for place in 0..<1000 {
        account.noteDelivered(
          packetCount: 1, byteCount: 100, at: instant(Int64(place)), delay: .milliseconds(1),
          lateness: place < late ? .milliseconds(1) : .zero, spacing: .zero)
      }
      account.overflowCount = overflow
      let paths = [LabReport.Path(path, device: .tun, PathAccount([account, DirectionAccount()]))]
      return LabReport(paths: paths, seconds: 1, exitStatus: 0)
    }
    #expect(!report(late: 10).isVoid)
    #expect(report(late: 11).isVoid)
    #expect(report(late: 0, overflow: 11).isVoid)
    #expect(report(late: 10).paths[0].directions[0].delay?.median == 0.001)
    #expect(report(late: 10).paths[0].directions[1].delay == nil)
  }

  @Test("Rates are over the time in which packets came")
  func rates() throws {
    let text = #"{"paths":[{"name":"p","between":["a","b"]}]}"#
    let path = try LabFile(json: Array(text.utf8)).paths[0]
    var account = DirectionAccount()
    account.direct = (packetCount: 10, byteCount: 125_000)
    for time in [1000, 3000] {
      account.noteSent(at: instant(Int64(time)))
      account.noteDelivered(byteCount: 62_500, at: instant(Int64(time)))
    }
    let direction = LabReport.Path(path, device: .tun, PathAccount([account, DirectionAccount()])).directions[0]
    #expect(direction.offeredBitsPerSecond == 500_000)
    #expect(direction.carriedBitsPerSecond == 500_000)
    #expect(direction.link == "")
  }
}
