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

  /// A report on one path, of which the first end's direction carried nothing but this.
  private func report(link: String, _ accounts: DirectionAccount...) throws -> LabReport {
    let paths = try accounts.enumerated().map { index, account in
      let text = #"{"paths":[{"name":"p\#(index)","between":["a","b"],"link":"\#(index == 0 ? link : "1ms")"}]}"#
      let path = try LabFile(json: Array(text.utf8)).paths[0]
      return LabReport.Path(path, device: .tun, PathAccount([account, DirectionAccount()]))
    }
    return LabReport(paths: paths, seconds: 1, exitStatus: 0)
  }

  @Test("One lost frame of many does not make a bare wire's run void, and one in a hundred does")
  func bareLoss() throws {
    var account = DirectionAccount()
    account.direct = (packetCount: 1000, byteCount: 1_000_000)
    for _ in 0..<1000 { account.noteSent(packetCount: 1, at: instant(1)) }
    let whole = try report(link: "", account)
    #expect(whole.lateShare == nil && whole.bareLossShare == 0 && !whole.isVoid)
    account.overflowCount = 1
    #expect(try !report(link: "", account).isVoid)
    account.overflowCount = 11
    let lossy = try report(link: "", account)
    #expect(lossy.lateShare == nil && lossy.bareLossShare == 11.0 / 1011 && lossy.isVoid)
  }

  @Test("A bare wire's packets do not hide that a link's came late")
  func noDilution() throws {
    var bare = DirectionAccount(), timed = DirectionAccount()
    bare.direct = (packetCount: 1_000_000, byteCount: 1_000_000_000)
    for place in 0..<100 {
      timed.noteDelivered(
        packetCount: 1, byteCount: 100, at: instant(Int64(place)), delay: .milliseconds(1),
        lateness: place < 2 ? .milliseconds(1) : .zero, spacing: .zero)
    }
    let report = try report(link: "", bare, timed)
    #expect(report.lateShare == 0.02 && report.bareLossShare == 0 && report.isVoid)
  }

  @Test("A lost frame counts as the wire packets that frames stand for")
  func lostSuperSegments() throws {
    var account = DirectionAccount()
    account.direct = (packetCount: 4400, byteCount: 6_000_000)
    for _ in 0..<100 { account.noteSent(packetCount: 44, at: instant(1)) }
    account.overflowCount = 3
    #expect(account.overflowPacketCount == 132)
    let report = try report(link: "", account)
    #expect(report.bareLossShare == 132.0 / 4532 && report.isVoid)
    #expect(report.paths[0].directions[0].lostBeforeLinkCount == 3)
  }

  @Test("Of what was lost before a link, that counts which the link would have let through")
  func lossBeforeLink() throws {
    var account = DirectionAccount()
    for place in 0..<1000 {
      account.noteSent(packetCount: 1, at: instant(Int64(place)))
      account.noteDelivered(
        packetCount: 1, byteCount: 100, at: instant(Int64(place)), delay: .milliseconds(1), lateness: .zero,
        spacing: .zero)
    }
    account.overflowCount = 50
    var paths = try report(link: "1mbit", account).paths
    // A line that was flooded carried a tenth.
    paths[0].directions[0].sentPacketCount = 10_000
    #expect(LabReport(paths: paths, seconds: 1, exitStatus: 0).lateShare == 5.0 / 1005)
    paths[0].directions[0].sentPacketCount = 1000
    #expect(LabReport(paths: paths, seconds: 1, exitStatus: 0).lateShare == 50.0 / 1050)
  }

  @Test("Losses that nothing could count are told as unknown, and stay so")
  func unknownLoss() throws {
    var account = DirectionAccount()
    account.noteOverflow(2)
    account.noteOverflow(nil)
    account.noteOverflow(2)
    #expect(account.overflowCount == nil)
    let direction = try report(link: "", account).paths[0].directions[0]
    #expect(direction.lostBeforeLinkCount == nil)
    #expect(direction.dropWords == "machine's losses unknown")
  }

  @Test("A run without packets is not void, and has no shares")
  func nothing() throws {
    let report = try report(link: "5ms", DirectionAccount())
    #expect(report.lateShare == nil && report.bareLossShare == nil && !report.isVoid)
  }

  @Test("Rates are over the time in which packets came")
  func rates() throws {
    let text = #"{"paths":[{"name":"p","between":["a","b"]}]}"#
    let path = try LabFile(json: Array(text.utf8)).paths[0]
    var account = DirectionAccount()
    account.direct = (packetCount: 10, byteCount: 125_000)
    for time in [1000, 3000] {
      account.noteSent(packetCount: 5, at: instant(Int64(time)))
      account.noteDelivered(byteCount: 62_500, at: instant(Int64(time)))
    }
    let direction = LabReport.Path(path, device: .tun, PathAccount([account, DirectionAccount()])).directions[0]
    #expect(direction.offeredBitsPerSecond == 500_000)
    #expect(direction.carriedBitsPerSecond == 500_000)
    #expect(direction.link == "")
  }
}
