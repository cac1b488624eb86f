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
}
