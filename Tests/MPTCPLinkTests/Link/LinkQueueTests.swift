import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct LinkQueueTests {
  @Test func aFullQueueTurnsAwayWhatComesLast() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, queueByteCount: 4500), at: .zero)
    for number in 0..<6 { link.send(numbered(number), at: .zero) }
    #expect(link.queuedByteCount == 4500)
    #expect(link.queuedPacketCount == 3)
    #expect(link.counters.dropped(.queueFull).packetCount == 2)
    #expect(link.drain().map(\.number) == [0, 1, 2, 3])
  }

  @Test func thePacketOnTheLineTakesNoRoom() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, queuePacketCount: 1), at: .zero)
    for (number, time) in [(0, 0), (1, 0), (2, 999_999), (3, 1_000_000), (4, 1_000_000)] {
      link.send(numbered(number), at: Instant(nanoseconds: Int64(time)))
    }
    // At 1 ms the line takes packet 1 from the queue, and packet 3 its place.
    #expect(link.drain().map(\.number) == [0, 1, 3])
    #expect(link.counters.dropped(.queueFull).byteCount == 3000)
  }

  @Test func aSmallPacketFindsRoomWhereALargeOneDoesNot() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, queueByteCount: 2000), at: .zero)
    link.send(numbered(0), at: .zero)
    link.send(numbered(1), at: .zero)
    link.send(numbered(2), at: .zero)
    link.send(numbered(3, byteCount: 500), at: .zero)
    #expect(link.drain().map(\.number) == [0, 1, 3])
  }

  @Test func aBusyLinkDeliversItsRate() {
    var link = Link(
      LinkConfiguration(bitsPerSecond: 100_000_000, delay: .milliseconds(3), queuePacketCount: 10), at: .zero)
    var byteCount = 0
    // Offered 120 Mbit/s for a second: every 100 µs a packet of 1500 bytes.
    for number in 0..<10_000 {
      let time = Instant(nanoseconds: Int64(number) * 100_000)
      link.send(numbered(number), at: time)
      byteCount += link.receiveAll(at: time).reduce(0) { $0 + $1.bytes.count }
    }
    byteCount += link.drain().reduce(0) { $0 + $1.bytes.count }
    #expect(abs(byteCount - 12_500_000) <= 11 * 1500)
    #expect(link.counters.delivered.byteCount == byteCount)
    #expect(link.counters.dropped(.queueFull).packetCount == 10_000 - link.counters.delivered.packetCount)
  }

  @Test func longPacketsAreDroppedInSilence() {
    var link = Link(LinkConfiguration(maximumTransmissionUnit: 1280), at: .zero)
    link.send(numbered(0, byteCount: 1280), at: .zero)
    link.send(numbered(1, byteCount: 1281), at: .zero)
    #expect(link.drain().map(\.number) == [0])
    #expect(link.counters.dropped(.tooLarge).packetCount == 1)
  }

  @Test func onlyPacketsThatTakePartAreMarkedAboveTheThreshold() {
    var link = Link(LinkConfiguration(bitsPerSecond: 12_000_000, markingByteCount: 100), at: .zero)
    let packets = [header4(codepoint: 2), header4(codepoint: 2), header4(codepoint: 0), header4(codepoint: 1)]
    // The first is on the line at once, the second waits with 60 bytes, which is below the threshold.
    for packet in packets + [header6(codepoint: 2), header6(codepoint: 0), header4(codepoint: 3)] {
      link.send(packet, at: .zero)
    }
    let codepoints = link.drain().map { packet in
      packet.bytes[0] >> 4 == 4 ? packet.bytes[1] & 3 : packet.bytes[1] >> 4 & 3
    }
    #expect(codepoints == [2, 2, 0, 3, 3, 0, 3])
    #expect(link.counters.marked.packetCount == 2)
  }

  @Test func aMarkedHeaderKeepsAGoodChecksum() {
    for identification in stride(from: 0, to: 65_536, by: 97) {
      var packet = header4(codepoint: 2, identification: UInt16(identification))
      #expect(wordSum(packet) == 0xffff)
      #expect(CongestionMark.mark(&packet) == .marked)
      #expect(wordSum(packet) == 0xffff)
      #expect(CongestionMark.mark(&packet) == .alreadyMarked)
    }
    var short: [UInt8] = [0x45, 2]
    #expect(CongestionMark.mark(&short) == .notCapable)
  }
}

private func header4(codepoint: UInt8, identification: UInt16 = 7) -> [UInt8] {
  var packet: [UInt8] = [0x45, codepoint, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]
  packet[4] = UInt8(identification >> 8)
  packet[5] = UInt8(identification & 0xff)
  let checksum = ~UInt16(wordSum(packet))
  packet[10] = UInt8(checksum >> 8)
  packet[11] = UInt8(checksum & 0xff)
  return packet + [UInt8](repeating: 0, count: 40)
}

private func header6(codepoint: UInt8) -> [UInt8] {
  [0x60, codepoint << 4] + [UInt8](repeating: 0, count: 58)
}

private func wordSum(_ packet: [UInt8]) -> UInt32 {
  var sum = stride(from: 0, to: 20, by: 2).reduce(UInt32(0)) { $0 + UInt32(packet[$1]) << 8 + UInt32(packet[$1 + 1]) }
  while sum > 0xffff { sum = (sum & 0xffff) + (sum >> 16) }
  return sum
}
