import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// What a sender of data must keep to (RFC 8684 §3.3.1 to §3.3.6).
@Suite struct SenderRulesTests {
  // Requirement 8684-3.3.3-04, 8684-3.3.4-03
  @Test(arguments: [(1, false), (2, true), (3, false), (4, true)] as [(UInt64, Bool)])
  func underLossAndReinjectionEveryMappingKeepsTheRules(seed: UInt64, checksum: Bool) throws {
    var lossy = quick
    lossy.lossRate = Probability(0.03)
    lossy.reorderRate = Probability(0.02)
    var options = ConnectionOptions()
    options.checksum = checksum
    options.receiveBufferByteCount = 200_000
    let pair = Pair([lossy, slow], seed: seed)
    let exchange = try Exchange(pair, clientSends: 600_000, serverSends: 600_000, options: options)
    let auditor = WireAuditor()
    var isSilent = false
    pair.middlebox { side, packet in
      auditor.look(at: packet, from: side, isPlain: false)
      return !(isSilent && packet.path == 0)
    }
    // One path goes silent for a while: what it holds is sent over the other.
    pair.run(for: .milliseconds(300))
    isSilent = true
    pair.run(for: .milliseconds(700))
    isSilent = false
    exchange.expectWhole(isMultipath: true)
    #expect(auditor.violations.isEmpty, "\(auditor.violations.prefix(5))")
    // Without checksums one stands for several segments.
    #expect(auditor.mappingCount > (checksum ? 300 : 200))
  }

  /// The largest right edge that any subflow advertised counts, and a smaller one later takes nothing back (§3.3.5).
  // Requirement 8684-3.3.5-01, 8684-3.3.5-02, 8684-3.3.4-01
  @Test func theLargestRightEdgeOverTheSubflowsCounts() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(1), at: 1, ack: 1)
    let second = try #require(connection.join())
    second.window = 65_535
    second.send(.ack, [connection.dataAck(1)])
    connection.initial.window = 1000
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(200_000)), to: connection.id, at: script.now)
    var end = 1
    for _ in 0..<80 {
      for packet in script.takeAll() {
        (packet.path == 0 ? connection.initial : second).note(packet)
        if let at = connection.mapped(by: packet) { end = max(end, at + packet.payload.count) }
      }
      connection.initial.send(.ack, [connection.dataAck(1)])
      second.send(.ack, [connection.dataAck(1)])
      script.pass(.milliseconds(1))
    }
    #expect(end == 1 + 65_535)
  }

  /// A smaller window on another subflow, later and with the same DATA_ACK, takes nothing back (RFC 8684 §3.3.4).
  // Requirement 8684-3.3.4-01
  @Test func aSmallerWindowOnAnotherSubflowTakesNothingBack() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(1), at: 1, ack: 1)
    let second = try #require(connection.join())
    second.window = 65_535
    second.send(.ack, [connection.dataAck(1)])
    connection.initial.window = 1000
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(200_000)), to: connection.id, at: script.now)
    var end = 1
    for _ in 0..<80 {
      for packet in script.takeAll() {
        (packet.path == 0 ? connection.initial : second).note(packet)
        if let at = connection.mapped(by: packet) { end = max(end, at + packet.payload.count) }
      }
      // The last word on the connection's window is the small one.
      second.send(.ack, [.priority(MPPriority(backup: false))])
      connection.initial.send(.ack, [connection.dataAck(1)])
      script.pass(.milliseconds(1))
    }
    #expect(end == 1 + 65_535)
  }

  /// However far the connection's window reaches, each subflow's counts from that subflow's own ACK (§3.3.5).
  // Requirement 8684-3.3.5-03
  @Test func nothingIsSentBeyondTheWindowOfItsSubflow() throws {
    let script = Script()
    var options = lonely
    // Each is used wherever it has room, be the other one faster or not.
    options.scheduler = .roundRobin()
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: options, roundTrip: .milliseconds(10)))
    connection.send(octets(1), at: 1, ack: 1)
    let narrow = try #require(connection.join(window: 10_000))
    narrow.send(.ack, [connection.dataAck(1)])
    let wide = connection.initial
    wide.window = 60_000
    wide.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    var highest = 0
    var data = 1
    // The wide one acknowledges all, and everything counts as arrived: the connection's window stays 60,000 ahead.
    func run(_ rounds: Int) throws {
      for _ in 0..<rounds {
        _ = try script.endpoint.write(ByteSlice(octets(100_000)), to: connection.id, at: script.now)
        for packet in script.takeAll() {
          if let at = connection.mapped(by: packet) { data = max(data, at + packet.payload.count) }
          if packet.path == 1 {
            highest = max(highest, narrow.offset(of: packet) + packet.payload.count)
          } else {
            wide.note(packet)
          }
        }
        wide.send(.ack, [connection.dataAck(data)])
        script.pass(.milliseconds(1))
      }
    }
    try run(30)
    #expect(highest > 10_001 - 1460 && highest <= 10_001, "\(highest)")
    #expect(data > 60_000)
    for acknowledged in [3001, 9001] {
      let before = data
      narrow.send(.ack, ack: acknowledged, [connection.dataAck(data)])
      try run(30)
      #expect(highest > acknowledged + 10_000 - 1460 && highest <= acknowledged + 10_000, "\(highest)")
      #expect(data > before + 60_000)
    }
  }

  /// A mapping never changes: a retransmission of a part is declared as the whole was (RFC 8684 §3.3.1).
  // Requirement 8684-3.3.1-03
  @Test func aRetransmissionOfAPartDeclaresTheMappingAsBefore() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.send(octets(1), at: 1, ack: 1)
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(1000)), to: connection.id, at: script.now)
    let first = try #require(script.take { !$0.payload.isEmpty })
    // Of the segment the peer has the front, and the rest is lost.
    connection.initial.send(.ack, ack: 1 + 400, [connection.dataAck(1)])
    script.pass(.seconds(2))
    let again = try #require(script.take { $0.payload.count == 600 })
    #expect(connection.initial.offset(of: again) == 1 + 400)
    #expect(first.dss?.mapping?.length == 1000)
    #expect(again.dss?.mapping == first.dss?.mapping)
  }

  /// What was sent on a subflow goes again there with the same octets, whatever came over another one meanwhile
  /// (§3.3.2, §3.3.6).
  // Requirement 8684-3.3.2-07, 8684-3.3.6-01, 8684-3.3.6-02
  @Test func aSubflowFinishesWhatItBeganThoughTheDataIsDataAcknowledged() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(1000)), to: connection.id, at: script.now)
    let first = try #require(script.take { !$0.payload.isEmpty })
    let (silent, other) = first.path == 0 ? (connection.initial, second) : (second, connection.initial)
    script.pass(.seconds(2))
    let copy = try #require(other.take { $0.payload == octets(1000) })
    #expect(connection.mapped(by: copy) == 1)
    other.send(.ack, [connection.dataAck(1001)])
    #expect(script.endpoint.description(of: connection.id)?.acknowledgedByteCount == 1000)
    // The connection is done with it, the subflow is not.
    _ = script.takeAll()
    script.pass(.seconds(10))
    let again = try #require(silent.take { !$0.payload.isEmpty })
    #expect(again.payload == Array(octets(1000).prefix(again.payload.count)))
    #expect(connection.mapped(by: again) == 1)
    #expect(silent.offset(of: again) == 1)
    let held = try #require(script.endpoint.connection(connection.id)).subflows.map(\.sentMappings.count)
    #expect(held.reduce(0, +) == 1)
    silent.expected = 1001
    silent.send(.ack, [connection.dataAck(1001)])
    #expect(script.endpoint.connection(connection.id)?.subflows.allSatisfy { $0.sentMappings.isEmpty } == true)
  }

  /// Urgent data is mapped and delivered like other data (§3.3.1).
  @Test func urgentDataIsDeliveredInItsPlace() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(
      [.ack, .psh, .urg], [connection.mapping(at: 11, subflowOffset: 11, octets(10))], payload: octets(10))
    connection.send(octets(10, from: 10), at: 21)
    #expect(try connection.readAll() == octets(20))
  }

  /// §3.3.5: the send buffer is at least as large as the receive buffer, as things are by default; and where a path can
  /// use it, an application may have written all of that.
  // Requirement 8684-3.3.5-05
  @Test func theSendBufferIsAsLargeAsTheReceiveBuffer() throws {
    var options = ConnectionOptions()
    #expect(options.sendBufferByteCount >= options.receiveBufferByteCount)
    options = lonely
    options.sendBufferByteCount = 2 << 20
    options.receiveBufferByteCount = 2 << 20
    let pair = Pair([LinkConfiguration(bitsPerSecond: 100_000_000, delay: .milliseconds(50), queueByteCount: 2 << 20)])
    let exchange = try Exchange(pair, clientSends: 20 << 20, serverSends: 0, options: options)
    var most = 0
    var mostAtFirst = 0
    pair.run(for: .seconds(5)) {
      guard let description = exchange.description(0) else { return false }
      most = max(most, description.writtenByteCount - description.acknowledgedByteCount)
      // A receiver begins with 256 KiB of its buffer.
      if description.acknowledgedByteCount == 0 { mostAtFirst = most }
      return false
    }
    #expect(mostAtFirst >= 256 << 10 && most == 2 << 20)
  }
}
