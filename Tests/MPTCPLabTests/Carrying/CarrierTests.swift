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
}
