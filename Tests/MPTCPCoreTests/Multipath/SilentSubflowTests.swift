import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// A subflow that tells nothing any more beside one that works (RFC 8684 §3.3.6).
@Suite struct SilentSubflowTests {
  /// Until its bound it repeats its octets under their numbers, though the other has brought them; then it is reset for
  /// its performance, sooner than TCP would give it up, and the connection goes on.
  // Requirement 8684-3.3.6-07, 8684-3.3.6-08, 8684-3.3.6-09, 8684-3.3.6-10
  @Test(arguments: [true, false])
  func itIsResetForItsPerformanceWhenItsBoundIsReached(isDeliveredElsewhere: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    // The first subflow is to be spared, so the second carries the data.
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(1000)), to: connection.id, at: script.now)
    let sent = try #require(second.take { !$0.payload.isEmpty })
    let number = second.offset(of: sent)
    let start = script.now
    var reset: WirePacket?
    var resetAfter = Nanoseconds.zero
    var repetitions = 0
    while reset == nil, script.now - start < .seconds(60) {
      script.pass(.milliseconds(100))
      for packet in script.takeAll() {
        if packet.path == 0 {
          connection.initial.note(packet)
        } else if packet.isReset {
          reset = packet
          resetAfter = script.now - start
        } else if !packet.payload.isEmpty {
          repetitions += 1
          #expect(second.offset(of: packet) == number)
          #expect(packet.payload == octets(1000))
        }
      }
      // The peer's other subflow lives, and has or has not got the data at the connection's level.
      connection.initial.send(.ack, [connection.dataAck(isDeliveredElsewhere ? 1001 : 1)])
    }
    #expect(reset?.resetReason == .unacceptablePerformance)
    #expect(repetitions > 3)
    #expect((15...25).contains(resetAfter.seconds), "\(resetAfter.seconds)")
    #expect(ConnectionOptions().userTimeout > .seconds(25))
    #expect(script.closeReason == nil)
    #expect(script.endpoint.description(of: connection.id)?.subflows.count == 1)
    connection.send(octets(10), at: 11)
    #expect(try connection.readAll() == octets(10))
  }

  /// Where nothing else is in flight nobody can tell a peer that is away from a path that is dead. What everything
  /// waits for goes over the idle subflow, once, when a probe would; its answer shows that the peer is there.
  @Test(arguments: [true, false])
  func whatIsHeldUpGoesOverAnIdleSubflowWhenAProbeWould(isAnswered: Bool) throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
    _ = script.takeAll()
    for step in 1...10 {
      _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
      script.pass(.milliseconds(20))
      while second.take(where: { _ in true }) != nil {}
      second.send(.ack, [connection.dataAck(1 + 100 * step)])
    }
    let smoothed = try #require(
      script.endpoint.description(of: connection.id)?.subflows.last?.smoothedRoundTripTime)
    #expect((.milliseconds(10)..<(.milliseconds(25))).contains(smoothed), "\(smoothed.milliseconds)")
    let data = octets(8000)
    _ = try script.endpoint.write(ByteSlice(data), to: connection.id, at: script.now)
    let start = script.now
    script.pass(.milliseconds(12))
    _ = script.takeAll()
    // From now on the initial one would do as well, and has nothing to carry.
    connection.initial.send(.ack, [.priority(MPPriority(backup: false))])
    var over: [(after: Nanoseconds, payload: [UInt8])] = []
    while script.now - start < .milliseconds(90) {
      script.pass(.milliseconds(1))
      for packet in script.takeAll() where packet.path == 0 {
        connection.initial.note(packet)
        guard !packet.payload.isEmpty else { continue }
        over.append((script.now - start, packet.payload))
        guard isAnswered, over.count == 1 else { continue }
        script.pass(.milliseconds(1))
        connection.initial.send(.ack, [connection.dataAck(1001 + packet.payload.count)])
      }
    }
    let first = try #require(over.first)
    #expect(
      first.after >= smoothed * 2 && first.after <= smoothed * 2 + .milliseconds(2), "\(first.after.milliseconds)")
    #expect(first.payload.count > 1000)
    #expect(first.payload[...] == data[..<first.payload.count])
    let isStalled = script.endpoint.description(of: connection.id)?.subflows.last?.isStalled
    #expect(isStalled == isAnswered)
    // The rest follows at once when the peer has been heard, and not before.
    // Nagle keeps what fills no segment.
    let full = data.count / first.payload.count
    let times = over.map { "\($0.after.milliseconds) ms: \($0.payload.count)" }
    #expect(over.count == (isAnswered ? full : 1), "\(times)")
  }

  /// Where it was the only one, nobody else has been given what it holds: who joins gets it at once, however long ago
  /// the silence began.
  @Test func whoJoinsASilentConnectionGetsWhatItHolds() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    connection.initial.send(.ack, [connection.dataAck(1)])
    _ = script.takeAll()
    _ = try script.endpoint.write(ByteSlice(octets(1000)), to: connection.id, at: script.now)
    script.pass(.seconds(20))
    #expect(script.endpoint.description(of: connection.id)?.subflows.first?.isStalled == true)
    _ = script.takeAll()
    let second = try #require(connection.join())
    second.send(.ack, [connection.dataAck(1)])
    script.pass(.milliseconds(5))
    let sent = try #require(second.take { !$0.payload.isEmpty })
    #expect(connection.mapped(by: sent) == 1 && sent.payload == octets(1000))
  }

  /// Another subflow that does not work yet is nobody to send over: nothing waits for it, and the timer of data that
  /// the peer's TCP has and its connection has not goes on.
  @Test func aHalfOpenSubflowHoldsNothingUp() throws {
    let script = Script()
    let connection = try ScriptedConnection.established(by: script)
    for step in 1...10 {
      _ = try script.endpoint.write(ByteSlice(octets(100)), to: connection.id, at: script.now)
      script.pass(.milliseconds(20))
      while connection.initial.take() != nil {}
      connection.initial.send(.ack, [connection.dataAck(1 + 100 * step)])
    }
    let half = ScriptedSubflow(
      script, path: 1, local: TransportAddress(Pair.address(1, 1, script.family), 4001),
      remote: connection.initial.remote)
    half.send(
      .syn, [.join(.syn(backup: false, addressID: AddressID(2), token: connection.engineKey.token(.v1), nonce: 7))])
    #expect(half.take(where: \.isSynAck) != nil)
    _ = try script.endpoint.write(ByteSlice(octets(8000)), to: connection.id, at: script.now)
    script.pass(.milliseconds(150))
    var last = 0
    for packet in script.takeAll() where packet.path == 0 {
      connection.initial.note(packet)
      last = max(last, connection.initial.offset(of: packet) + packet.payload.count)
    }
    // Its TCP has all of it; the DATA_ACK has got lost on the way.
    connection.initial.send(.ack, ack: last)
    script.pass(.seconds(3))
    let again = script.takeAll().filter { $0.path == 0 && !$0.payload.isEmpty && connection.mapped(by: $0) == 1001 }
    #expect(again.contains { connection.initial.offset(of: $0) >= last })
  }
}
