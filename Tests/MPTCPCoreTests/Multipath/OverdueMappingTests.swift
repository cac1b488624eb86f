import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Data whose mapping something on the way has removed, and nothing else comes (RFC 8684 §3.3.1, §3.7).
@Suite struct OverdueMappingTests {
  private func accepted(_ script: Script, options: ConnectionOptions = lonely, roundTrip: Nanoseconds = .zero) throws
    -> ScriptedConnection
  {
    let connection = try #require(
      try ScriptedConnection.accepted(by: script, options: options, roundTrip: roundTrip))
    connection.send(octets(10), at: 1)
    #expect(try connection.readAll() == octets(10))
    return connection
  }

  private func resets(_ script: Script) -> [WirePacket] { script.takeAll().filter(\.isReset) }

  // Requirement 8684-3.3.1-15, 8684-3.7-10, 8684-3.7-11
  @Test func dataThatHasWaitedTooLongResetsItsSubflowWithReason6() throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join())
    connection.initial.send(.ack, payload: octets(10, from: 10))
    script.pass(ConnectionOptions().mappingTimeout - .milliseconds(10))
    #expect(resets(script).isEmpty)
    script.pass(.milliseconds(20))
    let reset = try #require(resets(script).first)
    #expect(reset.resetReason == .middleboxInterference && reset.tcp.destinationPort == connection.initial.local.port)
    #expect(reset.multipath.contains(.reset(MPTCPReset(transient: true, reason: .middleboxInterference))))
    // Nothing of it counts, and the other subflow brings it.
    connection.send(octets(20, from: 10), at: 11, on: second)
    #expect(try connection.readAll() == octets(20, from: 10))
    #expect(script.closeReason == nil && script.fallback == nil)
  }

  /// A sender repeats what gets no DATA_ACK on the only subflow as well, which plain TCP could not tell from new data.
  // Requirement 8684-3.3.1-15, 8684-3.7-10, 8684-3.7-11
  @Test func theOnlySubflowIsResetTooAndAnotherOneGoesOn() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    connection.initial.send(.ack, payload: octets(10, from: 10))
    script.pass(.seconds(11))
    #expect(resets(script).map(\.resetReason) == [.middleboxInterference])
    #expect(script.closeReason == nil && script.fallback == nil)
    let second = try #require(connection.join())
    connection.send(octets(10, from: 10), at: 11, on: second)
    #expect(try connection.readAll() == octets(10, from: 10))
  }

  /// In version 0 a mapping may come late, and what is behind its bytes waits. On the only subflow it does so once: then
  /// something takes mappings away, and another subflow over the same way would fare no better.
  // Requirement 6824-3.3.1-01
  @Test func inVersion0WhatIsMappedBehindThemGoesOnOverTheOnlySubflow() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely, version: .v0))
    connection.send(octets(10), at: 1)
    func arrive(_ start: Int, mappedAt subflowOffset: Int?) {
      let payload = octets(10, from: start)
      let mapping = subflowOffset.map { connection.mapping(at: start + 1, subflowOffset: $0, payload) }
      connection.initial.send(.ack, [mapping].compactMap { $0 }, payload: payload)
    }
    arrive(10, mappedAt: nil)
    arrive(20, mappedAt: 21)
    #expect(try connection.readAll() == octets(10))
    script.pass(.seconds(11))
    #expect(resets(script).isEmpty && script.closeReason == nil && script.fallback == nil)
    // What was missing comes again, and so does more that has no mapping: nobody waits for that.
    arrive(10, mappedAt: 31)
    #expect(try connection.readAll() == octets(20, from: 10))
    arrive(30, mappedAt: nil)
    arrive(40, mappedAt: 51)
    arrive(30, mappedAt: 61)
    #expect(try connection.readAll() == octets(20, from: 30))
  }

  // Requirement 8684-3.3.1-15
  @Test func theWindowOpensAgainWhenTheyAreGone() throws {
    let script = Script()
    var options = lonely
    options.receiveBufferByteCount = 8192
    let connection = try accepted(script, options: options)
    let second = try #require(connection.join())
    for _ in 0..<17 { connection.initial.send(.ack, payload: octets(1000)) }
    for number in 0..<8 { connection.send(octets(1000), at: 11 + number * 1000, on: second) }
    #expect(try connection.readAll().count == 8000)
    script.pass(.seconds(1))
    #expect(try #require(script.takeAll().last).tcp.window < 1000)
    script.pass(.seconds(10))
    #expect(!resets(script).isEmpty)
    connection.send(octets(100), at: 8011, on: second)
    #expect(try connection.readAll().count == 100)
    script.pass(.seconds(1))
    #expect(try #require(script.takeAll().last).tcp.window > 8000)
  }

  // Requirement 8684-3.3.1-15
  @Test func aMappingThatComesInTimeEndsTheWaiting() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    script.pass(.seconds(9))
    connection.initial.send(
      .ack, [connection.mapping(at: 11, subflowOffset: 11, octets(20))], payload: octets(10, from: 20))
    #expect(try connection.readAll() == octets(20, from: 10))
    script.pass(.seconds(60))
    #expect(resets(script).isEmpty)
    #expect(script.endpoint.nextDeadline == nil)
  }

  // Requirement 8684-3.3.1-15
  @Test func eachByteWaitsItsOwnTime() throws {
    let script = Script()
    let connection = try accepted(script)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    script.pass(.seconds(6))
    connection.initial.send(.ack, payload: octets(10, from: 20))
    script.pass(.seconds(3))
    // The mapping of the first ten comes again on an acknowledgement, and the others wait on.
    connection.initial.send(.ack, [connection.mapping(at: 11, subflowOffset: 11, octets(10))])
    #expect(try connection.readAll() == octets(10, from: 10))
    script.pass(.seconds(9))
    #expect(resets(script).isEmpty)
    script.pass(.seconds(2))
    #expect(resets(script).map(\.resetReason) == [.middleboxInterference])
  }

  // Requirement 8684-3.3.1-15
  @Test func aSlowPathHasAsMuchTimeAsItsRepetitionsTake() throws {
    let script = Script()
    let connection = try accepted(script, roundTrip: .milliseconds(900))
    connection.initial.send(.ack, payload: octets(10, from: 10))
    // RFC 6298 §2.2: 900 ms, and four times the half of it; eight times that.
    script.pass(.milliseconds(21_500))
    #expect(resets(script).isEmpty)
    script.pass(.milliseconds(200))
    #expect(resets(script).map(\.resetReason) == [.middleboxInterference])
  }

  // Requirement 8684-3.3.1-15
  @Test func theTimeIsTheApplicationsToChoose() throws {
    let script = Script()
    var options = lonely
    options.mappingTimeout = .seconds(40)
    let connection = try accepted(script, options: options)
    connection.initial.send(.ack, payload: octets(10, from: 10))
    script.pass(.seconds(39))
    #expect(resets(script).isEmpty)
    script.pass(.seconds(2))
    #expect(resets(script).count == 1)
  }

  @Test func behindTheEndOfThePeersStreamNobodyWaits() throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join())
    connection.initial.send(.ack, payload: octets(10, from: 10))
    connection.send(octets(10, from: 10), at: 11, on: second)
    second.send(.ack, [connection.dataFin(at: 21)])
    #expect(try connection.readAll() == octets(10, from: 10))
    script.pass(.seconds(60))
    #expect(resets(script).isEmpty)
  }

  /// The sender's side: bytes that only TCP has acknowledged go again once their subflow is reset.
  // Requirement 8684-3.3.6-02
  @Test func whatThePeerHadNoMappingForGoesOverAnotherSubflowSoonAfterItsReset() throws {
    let script = Script()
    let connection = try accepted(script)
    let second = try #require(connection.join())
    second.send(.ack)
    // Mappings came through before.
    _ = try script.endpoint.write(ByteSlice(octets(10)), to: connection.id, at: script.now)
    let early = try #require(script.take { !$0.payload.isEmpty })
    let earlyCarrier = early.tcp.destinationPort == second.local.port ? second : connection.initial
    earlyCarrier.note(early)
    earlyCarrier.send(.ack, [connection.dataAck(11)])
    _ = try script.endpoint.write(ByteSlice(octets(1000)), to: connection.id, at: script.now)
    let first = try #require(script.take { !$0.payload.isEmpty })
    let carrier = first.tcp.destinationPort == second.local.port ? second : connection.initial
    let other = carrier === second ? connection.initial : second
    carrier.note(first)
    carrier.send(.ack)
    // It goes again every now and then, ever more seldom, and TCP alone acknowledges it.
    for _ in 0..<600 {
      script.pass(.milliseconds(100))
      for packet in script.takeAll() where !packet.payload.isEmpty {
        let subflow = packet.tcp.destinationPort == second.local.port ? second : connection.initial
        subflow.note(packet)
        subflow.send(.ack)
      }
    }
    carrier.send([.rst, .ack], [.reset(MPTCPReset(transient: true, reason: .middleboxInterference))])
    script.pass(.milliseconds(1500))
    let again = try #require(script.takeAll().last { !$0.payload.isEmpty })
    #expect(again.tcp.destinationPort == other.local.port && again.payload == octets(1000))
    #expect(connection.mapped(by: again) == 11)
  }
}
