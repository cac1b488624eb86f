@testable import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// One receive window for all subflows (RFC 8684 §3.3.4).
@Suite struct SharedWindowTests {
  // Requirement 8684-3.3.4-01, 8684-3.3.4-03
  @Test(arguments: [1, 2])
  func aSlowReaderClosesTheWindowAndOpensItAgain(paths: Int) throws {
    let pair = Pair(Array(repeating: quick, count: paths))
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 100_000
    // No opportunistic retransmission, which sends twice what is late only: what goes twice was dropped.
    options.scheduler = .lowestRoundTripTime(relief: .none)
    let exchange = try Exchange(pair, clientSends: 600_000, serverSends: 0, options: options)
    exchange.readBudget = 0
    var highest: Int?
    var sawZero = false
    pair.middlebox { side, packet in
      guard side == 1, case .eight(let number)? = packet.dss?.dataAck, !packet.isSynAck else { return true }
      let shift = 1
      let edge = Int(truncatingIfNeeded: number) &+ Int(packet.tcp.window) << shift
      if packet.tcp.window == 0 { sawZero = true }
      // Never moved back, whichever subflow says it, but for what the scaling cuts off (RFC 7323 §2.4).
      #expect(edge + (1 << shift) > highest ?? edge)
      highest = max(edge, highest ?? edge)
      return true
    }
    pair.run(for: .seconds(3))
    #expect(exchange.received[1] == 0)
    #expect(sawZero)
    let id = try #require(exchange.ids[1])
    #expect(pair.endpoints[1].readableByteCount(id) >= 90_000)
    #expect(pair.endpoints[1].readableByteCount(id) <= 101_000)
    // Reads of 10,000 bytes, each a second after the other, then all.
    for _ in 0..<5 {
      exchange.readBudget = 10_000
      pair.run(for: .seconds(1))
    }
    #expect(exchange.received[1] == 50_000)
    exchange.readBudget = nil
    exchange.step()
    exchange.expectWhole(isMultipath: true)
    // Nothing that the window allowed was dropped, so nothing had to be sent twice.
    #expect(pair.endpoints[0].statistics.reinjectedByteCount == 0)
  }

  @Test func aLostWindowUpdateIsMadeUpForByAProbe() throws {
    let pair = Pair([quick])
    var options = ConnectionOptions()
    options.receiveBufferByteCount = 50_000
    let exchange = try Exchange(pair, clientSends: 300_000, serverSends: 0, options: options)
    exchange.readBudget = 0
    pair.run(for: .seconds(2))
    pair.middlebox { side, _ in side == 0 }
    exchange.readBudget = nil
    exchange.step()
    pair.run(for: .milliseconds(100))
    pair.middlebox { _, _ in true }
    exchange.expectWhole(within: .seconds(20), isMultipath: true)
  }

  // Requirement 8684-3.3.2-05, 8684-3.3.4-02
  // Requirement 8684-3.3.5-04
  @Test func aWindowWithoutADataAckDoesNotCount() throws {
    let script = Script()
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: lonely))
    connection.initial.window = 1000
    connection.send(octets(1), at: 1, ack: 1)
    _ = script.takeAll()
    let second = try #require(connection.join())
    // 60,000 on the subflows, yet the connection was never given more than the SYN's window of octets.
    second.window = 60_000
    second.send(.ack, [.priority(MPPriority(backup: false))])
    var sent = 0
    _ = try script.endpoint.write(ByteSlice(octets(200_000)), to: connection.id, at: script.now)
    for _ in 0..<60 {
      for packet in script.takeAll() {
        sent += packet.payload.count
        (packet.path == 0 ? connection.initial : second).note(packet)
      }
      connection.initial.window = 60_000
      connection.initial.send(.ack, [.priority(MPPriority(backup: true))])
      second.send(.ack, [.priority(MPPriority(backup: false))])
      script.pass(.milliseconds(1))
    }
    #expect(sent <= 60_001, "\(sent)")
    connection.initial.send(.ack, [connection.dataAck(1 + min(sent, 60_000))])
    script.pass(.milliseconds(20))
    #expect(script.takeAll().contains { !$0.payload.isEmpty })
  }

  // Requirement 8684-3.3.4-01, 8684-5-06
  @Test func memoryOfAReceiverIsBoundedBesideManySubflows() throws {
    let script = Script()
    var options = lonely
    options.receiveBufferByteCount = 100_000
    let connection = try #require(try ScriptedConnection.accepted(by: script, options: options))
    connection.send(octets(1), at: 1)
    var subflows: [ScriptedSubflow] = []
    for index in 0..<8 {
      if let subflow = connection.join(port: Port(UInt16(4100 + index))) { subflows.append(subflow) }
    }
    #expect(subflows.count == 8)
    // Each sends holes as far as its window goes.
    for subflow in subflows {
      var offset = 3
      while offset < 99_000 {
        subflow.send(
          .ack, at: offset, [connection.mapping(at: offset, subflowOffset: offset, octets(1000))], payload: octets(1000)
        )
        offset += 1001
      }
    }
    #expect(script.takeAll().allSatisfy { connection.acknowledged(by: $0).map { $0 <= 2 } ?? true })
    // The same bytes again and again are not all kept.
    let held = try #require(script.endpoint.connection(connection.id)).pendingByteCount
    #expect(held <= 210_000, "\(held)")
    connection.send(octets(10, from: 1), at: 2)
    #expect(script.endpoint.description(of: connection.id)?.receivedByteCount == 11)
  }
}
