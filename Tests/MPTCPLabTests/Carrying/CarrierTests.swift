import Dispatch
import Glibc
import MPTCPLink
import MPTCPStack
import MPTCPWire
import Synchronization
import Testing

@testable import MPTCPLab

@Suite("Carriers", .timeLimit(.minutes(2)))
struct CarrierTests {
  @Test("The busiest second of a bare wire has all that was carried, repeated headers too")
  func busiestSecond() throws {
    let path = try SocketPath("")
    // A pause that no window is longer than.
    for _ in 0..<3 {
      let frame = DevicePort.Frame.tcp(payload: 14_480, segment: 1448)
      #expect(path.send(frame))
      #expect(path.receive(within: 5000) == frame.bytes.array)
    }
    path.carrier.stop()
    let account = path.carrier.measured.directions[0]
    #expect(account.direct == (30, 3 * (14_480 + 10 * 52)))
    #expect(account.busiestSecondByteCount == account.direct.byteCount)
  }

  @Test("An end that is gone is told, and the carrier goes on and sleeps", arguments: [0, 1])
  func lostEnd(host: Int) throws {
    let path = try SocketPath("1ms")
    path.hangUp(host)
    // The other end's packets still leave it.
    #expect(path.send(DevicePort.Frame.tcp(payload: 100, segment: 0), from: 1 - host))
    let deadline = MonotonicClock.now + 5_000_000_000
    while path.carrier.measured.directions[1 - host].sent == nil, MonotonicClock.now < deadline { usleep(1000) }
    path.carrier.stop()
    #expect(path.carrier.measured.lostEnds == [host == 0, host == 1])
    #expect(path.carrier.measured.directions[1 - host].read.packetCount == 1)
  }

  @Test(
    "A line as fast as a text can say carries super-segments",
    arguments: ["9000000000gbit", "9000000000gbit,1ns,queue=10000000s", "9223372036854775807bit,jitter=1ns"])
  func fastest(link: String) throws {
    let path = try SocketPath(link)
    let frame = DevicePort.Frame.tcp(payload: 14_480, segment: 1448)
    #expect(path.send(frame))
    var byteCount = 0
    while byteCount < 14_480, let bytes = path.receive(within: 5000) { byteCount += bytes.count - 52 }
    #expect(byteCount == 14_480)
  }

  @Test("Schedules begin at their time, however many packets come without a pause")
  func scheduleUnderLoad() throws {
    // Each frame is twenty packets, which take the carrier longer than the frame takes its sender.
    let path = try SocketPath("jitter=1ns,down=0s")
    let flood = Flood()
    for _ in 0..<2 { try flood.begin(on: path) }
    defer { flood.end() }
    func receivedCount(within time: Nanoseconds) -> Int {
      let end = MonotonicClock.now + time.count
      var count = 0
      while MonotonicClock.now < end { if path.receive(within: 1) != nil { count += 1 } }
      return count
    }
    #expect(receivedCount(within: .milliseconds(200)) > 0)
    path.carrier.beginSchedule()
    // What was on its way, and whatever this machine is busy with.
    _ = receivedCount(within: .milliseconds(300))
    #expect(receivedCount(within: .milliseconds(200)) == 0)
  }

  /// Packets without a pause.
  private final class Flood: Sendable {
    private let isWanted = Atomic(true)
    private let ended = DispatchGroup()

    func begin(on path: SocketPath) throws {
      ended.enter()
      try startThread(named: "flood") { [self] in
        let frame = DevicePort.Frame.tcp(payload: 1000, segment: 50)
        while isWanted.load(ordering: .relaxed) { path.send(frame) }
        ended.leave()
      }
    }

    func end() {
      isWanted.store(false, ordering: .relaxed)
      ended.wait()
    }
  }
}
