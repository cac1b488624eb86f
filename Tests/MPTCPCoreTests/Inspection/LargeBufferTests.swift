import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

@Suite struct LargeBufferTests {
  @Test(arguments: [Int.max, Int.max / 2])
  func aConnectionWithBuffersBeyondMeasureCanBeInspected(byteCount: Int) throws {
    var options = ConnectionOptions()
    options.receiveBufferByteCount = byteCount
    options.sendBufferByteCount = byteCount
    let pair = Pair([quick, slow])
    for endpoint in pair.endpoints { endpoint.inspect() }
    let exchange = try Exchange(pair, clientSends: 100_000, serverSends: 100_000, options: options)
    exchange.runUntilJoined(2)
    for endpoint in pair.endpoints { #expect(endpoint.violation() == nil && endpoint.wholeViolation() == nil) }
    exchange.expectWhole(isMultipath: true)
  }
}
