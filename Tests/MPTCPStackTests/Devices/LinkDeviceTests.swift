import MPTCPCore
import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPStack

@Suite(.timeLimit(.minutes(5)))
struct LinkDeviceTests {
  private let first = TransportAddress(IPAddress(v4: 0x0A00_0001), 1)
  private let second = TransportAddress(IPAddress(v4: 0x0A00_0002), 2)

  private func pair() throws -> (MemoryDevice, MemoryDevice) {
    try MemoryDevice.pair(
      ("left", [IPPrefix(first.address, length: 24)]), ("right", [IPPrefix(second.address, length: 24)]))
  }

  @Test("What one end of a pair sends the other receives, in order")
  func pairCarries() throws {
    let (left, right) = try pair()
    for number in 0..<3 as Range<UInt8> {
      let packet = try udpPacket(from: first, to: second, [number])
      #expect(packet.withUnsafeBytes { left.send(whole: $0, offload: .none, at: .zero) } == .sent)
    }
    var payloads: [[UInt8]] = []
    let count = try right.receive(at: .zero, limit: 8) { packet, _ in
      if let payload = try? udpPayload(packet.bytes, from: first, to: second) { payloads.append(payload) }
    }
    #expect(count == 3)
    #expect(payloads == [[0], [1], [2]])
  }

  @Test("A full pair loses packets and says so")
  func pairIsBounded() throws {
    let (left, _) = try pair()
    let packet = try udpPacket(from: first, to: second, [])
    for _ in 0..<MemoryDevice.queueLimit {
      #expect(packet.withUnsafeBytes { left.send(whole: $0, offload: .none, at: .zero) } == .sent)
    }
    #expect(packet.withUnsafeBytes { left.send(whole: $0, offload: .none, at: .zero) } == .dropped)
  }

  @Test("A shaped device delays each direction by its own link, in the time it is told")
  func shapedDelays() throws {
    let (left, right) = try pair()
    let shaped = ShapedDevice(
      left, outgoing: LinkConfiguration(delay: .milliseconds(10)),
      incoming: LinkConfiguration(delay: .milliseconds(30)), at: .zero)
    let packet = try udpPacket(from: first, to: second, [1])
    #expect(packet.withUnsafeBytes { shaped.send(whole: $0, offload: .none, at: .zero) } == .sent)
    #expect(shaped.nextDeadline == .zero + .milliseconds(10))
    #expect(try right.receive(at: .zero, limit: 8) { _, _ in } == 0)
    shaped.advance(to: .zero + .milliseconds(10)) { _, _ in }
    #expect(try right.receive(at: .zero, limit: 8) { _, _ in } == 1)

    let back = try udpPacket(from: second, to: first, [2])
    _ = back.withUnsafeBytes { right.send(whole: $0, offload: .none, at: .zero) }
    var arrived = 0
    _ = try shaped.receive(at: .zero + .milliseconds(10), limit: 8) { _, _ in arrived += 1 }
    #expect(arrived == 0)
    #expect(shaped.nextDeadline == .zero + .milliseconds(40))
    shaped.advance(to: .zero + .milliseconds(40)) { _, _ in arrived += 1 }
    #expect(arrived == 1)
  }

  @Test("A fast link that is busy is looked at now and then, a slow or idle one when a packet arrives")
  func shapedLooks() throws {
    for rate in [500_000_000, 10_000_000] {
      let (left, _) = try pair()
      let shaped = ShapedDevice(
        left, outgoing: LinkConfiguration(bitsPerSecond: rate, delay: .microseconds(10_300)),
        incoming: LinkConfiguration(), at: .zero)
      let packet = try udpPacket(from: first, to: second, [UInt8](repeating: 0, count: 972))
      let arrival = Instant.zero + .microseconds(10_300) + Nanoseconds(8_000_000_000_000 / Int64(rate))
      func send() { _ = packet.withUnsafeBytes { shaped.send(whole: $0, offload: .none, at: .zero) } }
      send()
      #expect(shaped.nextDeadline == arrival)
      for _ in 0..<57 { send() }
      #expect(shaped.nextDeadline == (rate > 100_000_000 ? .zero + .microseconds(10_800) : arrival))
    }
  }

  @Test("A link as extreme as can be written down is waited for without end", arguments: [100_000_000, Int.max])
  func shapedExtremes(rate: Int) throws {
    let (left, _) = try pair()
    let shaped = ShapedDevice(
      left, outgoing: LinkConfiguration(bitsPerSecond: rate, delay: Nanoseconds(.max)), incoming: LinkConfiguration(),
      at: .zero)
    let packet = try udpPacket(from: first, to: second, [UInt8](repeating: 0, count: 972))
    for _ in 0..<60 { _ = packet.withUnsafeBytes { shaped.send(whole: $0, offload: .none, at: .zero) } }
    #expect(shaped.nextDeadline == .distantFuture)
  }

  @Test("A super-segment crosses a fast even link whole, and a slow or lossy one in wire packets put together again")
  func shapedSuperSegments() throws {
    for (rate, loss, isWhole) in [(500_000_000, 0.0, true), (10_000_000, 0, false), (200_000_000, 1e-9, false)] {
      let (left, right) = try pair()
      let link = LinkConfiguration(bitsPerSecond: rate, lossRate: Probability(loss))
      let shaped = ShapedDevice(left, outgoing: LinkConfiguration(), incoming: link, at: .zero)
      let tcp = TCPHeader(
        sourcePort: Port(1), destinationPort: Port(2), sequenceNumber: SequenceNumber(7),
        acknowledgmentNumber: SequenceNumber(9), flags: [.ack], window: 100)
      let ip = IPHeader(
        source: second.address, destination: first.address, protocolNumber: IPProtocol.tcp,
        payloadByteCount: 20 + 30_000)
      var packet = [UInt8](repeating: 5, count: 30_040)
      try packet.withUnsafeMutableBytes { bytes in
        _ = try ip.write(into: bytes)
        _ = try tcp.write(
          options: TCPOptionBlock(), into: UnsafeMutableRawBufferPointer(rebasing: bytes[20...]))
      }
      let offload = SendOffload(segmentByteCount: 1_000, headerByteCount: 40, checksumStart: 20)
      _ = packet.withUnsafeBytes { right.send(whole: $0, offload: offload, at: .zero) }
      _ = try shaped.receive(at: .zero, limit: 8) { _, _ in }
      let duration = Nanoseconds(Int64(30 * 1_040 * 8) * 1_000_000_000 / Int64(rate))
      var arrived: [(byteCount: Int, segmentByteCount: Int)] = []
      var now = Instant.zero
      while let deadline = shaped.nextDeadline {
        now = deadline
        shaped.advance(to: now) { arrived.append(($0.count, $1.segmentByteCount)) }
      }
      #expect(arrived.reduce(0) { $0 + $1.byteCount - 40 } == 30_000)
      #expect(now >= .zero + duration)
      #expect((arrived.count == 1) == isWhole)
    }
  }

  @Test("Links that are cut swallow packets silently until they are back")
  func shapedCut() throws {
    let (left, right) = try pair()
    let shaped = ShapedDevice(left, outgoing: LinkConfiguration(), incoming: LinkConfiguration(), at: .zero)
    let packet = try udpPacket(from: first, to: second, [1])
    shaped.setLinks(isUp: false, at: .zero)
    #expect(packet.withUnsafeBytes { shaped.send(whole: $0, offload: .none, at: .zero) } == .sent)
    shaped.setLinks(isUp: true, at: .zero)
    #expect(packet.withUnsafeBytes { shaped.send(whole: $0, offload: .none, at: .zero) } == .sent)
    shaped.advance(to: .zero) { _, _ in }
    #expect(try right.receive(at: .zero, limit: 8) { _, _ in } == 1)
  }
}

struct ReceiveBufferTests {
  @Test("Memory that nobody holds is used again; memory that is held is left alone")
  func recycles() {
    var buffer = ReceiveBuffer(headerByteCount: 10)
    let first = buffer.room()
    #expect((Int(bitPattern: first.baseAddress) + 10) % 16 == 0)
    #expect(first.count >= ReceiveBuffer.readByteCount)
    do { _ = buffer.take(100) }
    #expect(buffer.room().baseAddress == first.baseAddress)
    let held = buffer.take(100)
    #expect(held.count == 90)
    let second = buffer.room()
    #expect(second.baseAddress != first.baseAddress)
    withExtendedLifetime(held) {}
  }

  @Test("However many packets are held, each read has room and no two overlap")
  func neverOverlaps() {
    var buffer = ReceiveBuffer(headerByteCount: 24)
    var held: [ByteSlice] = []
    for number in 0..<1_000 {
      let room = buffer.room()
      #expect(room.count >= ReceiveBuffer.readByteCount)
      let count = 24 + (number % 7 == 0 ? 60_000 : 60)
      room.prefix(count).initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number))
      held.append(buffer.take(count))
      if number % 5 == 0 { held.removeFirst() }
    }
    for slice in held { #expect(Set(slice.array).count == 1) }
  }
}
