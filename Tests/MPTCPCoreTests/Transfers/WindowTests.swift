import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@Suite struct WindowTests {
  /// The window field counts in steps of 2^shift. A sender that fills the window to its last octet must not find the
  /// receiver dropping what the rounding promised.
  @Test func aSenderMayFillTheWindowToItsLastOctet() throws {
    let link = LinkConfiguration(bitsPerSecond: 100_000_000, delay: .milliseconds(5), queueByteCount: 4_000_000)
    let pair = Pair([link, link])
    var options = ConnectionOptions()
    // A large bound gives a coarse step, a slow reader keeps the window full.
    options.receiveBufferByteCount = 64 << 20
    let exchange = try Exchange(pair, clientSends: 3_000_000, serverSends: 0, options: options)
    exchange.readLimit = 0
    pair.run(for: .seconds(2)) { false }
    let before = pair.endpoints[0].statistics.reinjectedByteCount
    exchange.readLimit = 1000
    #expect(pair.run(for: .seconds(30)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(pair.endpoints[0].statistics.reinjectedByteCount - before == 0)
    #expect(pair.endpoints[0].statistics.retransmissionTimeouts == 0)
  }

  /// Each acknowledgement opens the window by a wire packet or two. Sent at once they would be all that a segment
  /// holds.
  @Test func segmentsStayLargeThoughAcknowledgementsOpenTheWindowByCrumbs() throws {
    let link = LinkConfiguration(bitsPerSecond: 500_000_000, delay: .milliseconds(5), queueByteCount: 4_000_000)
    let pair = Pair([link, link])
    let exchange = try Exchange(pair, clientSends: 20_000_000, serverSends: 0)
    #expect(pair.run(for: .seconds(5)) { exchange.isDone || exchange.mismatch != nil })
    #expect(exchange.mismatch == nil)
    #expect(pair.endpoints[0].statistics.sentPackets < 20_000_000 / 10_000)
  }
}
