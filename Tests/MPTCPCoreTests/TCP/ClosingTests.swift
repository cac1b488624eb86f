import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// RFC 9293 §3.6, TIME-WAIT by §3.10.7.4 and RFC 6191.
@Suite struct ClosingTests {
  private func timeWaiting(timestamps: Bool = true) throws -> Puppet {
    let puppet = try Puppet()
    puppet.usesTimestamps = timestamps
    #expect(puppet.open())
    let id = try #require(puppet.id)
    puppet.endpoint.finish(id, at: puppet.now)
    puppet.drain()
    #expect(puppet.takeData().last?.flags.contains(.fin) == true)
    #expect(puppet.state == .finWait1)
    puppet.send()
    #expect(puppet.state == .finWait2)
    puppet.sendNext([], [.fin, .ack])
    #expect(puppet.closed == .finished)
    puppet.endpoint.close(id, at: puppet.now)
    #expect(puppet.endpoint.connectionCount == 0)
    let last = try #require(puppet.take().last)
    #expect(last.tcp.acknowledgmentNumber == puppet.sequence)
    return puppet
  }

  // Requirement 9293-3.6.1-03, 9293-3.10.7-10
  @Test func aFinThatComesAgainIsAcknowledgedInTimeWait() throws {
    let puppet = try timeWaiting()
    puppet.wait(.seconds(50))
    puppet.send([.fin, .ack], offset: -1)
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.ack])
    #expect(answer.tcp.acknowledgmentNumber == puppet.sequence)
    #expect(answer.options.timestamps != nil)
    // The wait began anew.
    puppet.wait(.seconds(50))
    puppet.send([.fin, .ack], offset: -1)
    #expect(puppet.take().last?.flags == [.ack])
    puppet.wait(.seconds(61))
    puppet.send([.fin, .ack], offset: -1)
    #expect(puppet.take().last?.flags == [.rst])
  }

  @Test func bareAcknowledgementsAndResetsAreIgnoredInTimeWait() throws {
    let puppet = try timeWaiting()
    puppet.send()
    puppet.send([.rst])
    #expect(puppet.take().isEmpty)
    // RFC 1337: the reset has ended nothing.
    puppet.send([.fin, .ack], offset: -1)
    #expect(puppet.take().last?.flags == [.ack])
  }

  // Requirement 9293-3.6.1-04
  @Test(arguments: [true, false])
  func aNewSynEndsTimeWaitEarly(timestamps: Bool) throws {
    let puppet = try timeWaiting(timestamps: timestamps)
    puppet.events.removeAll()
    // An old one gets what the FIN would get.
    puppet.send([.syn], offset: -100, options: puppet.synOptions)
    #expect(puppet.take().last?.flags == [.ack])
    puppet.wait(.seconds(1))
    puppet.sequence = puppet.sequence + 10
    #expect(puppet.open())
    puppet.sendNext([5])
    #expect(puppet.read() == [5])
  }

  /// RFC 9293 §3.6.1 (MAY-2), RFC 6191 §2.
  /// Requirement 9293-3.6.1-04, 9293-3.6.1-05
  @Test func theNumbersOfANewConnectionLieBehindThoseOfTheOldOne() throws {
    let puppet = try timeWaiting()
    let last = puppet.expected
    // The same timestamp: the sequence number decides.
    puppet.send([.syn], offset: -1, options: puppet.synOptions)
    #expect(puppet.take().last?.flags == [.ack])
    puppet.send([.syn], offset: 1, options: puppet.synOptions)
    let answer = try #require(puppet.take().last)
    #expect(answer.flags == [.syn, .ack])
    #expect(answer.tcp.sequenceNumber - last >= 65_536)
    // Timestamps where there were none before.
    let other = try timeWaiting(timestamps: false)
    other.usesTimestamps = true
    other.send([.syn], offset: -100, options: other.synOptions)
    #expect(other.take().last?.flags == [.syn, .ack])
  }

  /// What has seen our FIN is an acknowledgement alone or, where our answer to the peer's was lost, on its FIN again.
  /// Requirement 9293-3.6-02
  @Test(arguments: [[.ack], [.fin, .ack]] as [TCPFlags])
  func bothSidesMayCloseAtTheSameTime(last: TCPFlags) throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let id = try #require(puppet.id)
    _ = puppet.take()
    puppet.endpoint.finish(id, at: puppet.now)
    puppet.drain()
    // The peer's FIN has not seen ours.
    puppet.sendNext([], [.fin, .ack])
    #expect(puppet.state == .closing)
    _ = puppet.takeData()
    puppet.send(last, offset: last.contains(.fin) ? -1 : 0)
    #expect(puppet.closed == .finished)
    puppet.endpoint.close(id, at: puppet.now)
    #expect(puppet.endpoint.connectionCount == 0)
    puppet.drain()
    _ = puppet.take()
    puppet.wait(.seconds(61))
    #expect(puppet.endpoint.nextDeadline == nil)
  }

  @Test func twoEndpointsInTimeWaitAreSilent() throws {
    let pair = Pair([LinkConfiguration(delay: .milliseconds(10))])
    let exchange = try Exchange(pair, clientSends: 1000, serverSends: 1000)
    #expect(pair.run(for: .seconds(5)) { exchange.isDone })
    pair.run(for: .seconds(1))
    var count = 0
    pair.onPacket = {
      count += 1
      return $2
    }
    exchange.closeBoth()
    #expect(count == 0)
    #expect(pair.endpoints.map(\.connectionCount) == [0, 0])
    #expect(pair.endpoints.map { $0.nextDeadline } == [nil, nil])
  }

  // Requirement 9293-3.6-01, 9293-3.6-03
  @Test func eachDirectionEndsByItself() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let id = try #require(puppet.id)
    puppet.sendNext([1], [.fin, .ack])
    #expect(puppet.state == .closeWait)
    #expect(puppet.read() == [1])
    #expect(try puppet.endpoint.read(from: id, upTo: 10, at: puppet.now)?.isEmpty == true)
    _ = puppet.take()
    puppet.write(3000)
    #expect(puppet.takeData().reduce(0) { $0 + $1.payload.count } == 3000)
    puppet.send()
    puppet.endpoint.finish(id, at: puppet.now)
    puppet.drain()
    #expect(puppet.takeData().last?.flags.contains(.fin) == true)
    puppet.send()
    #expect(puppet.closed == .finished)
    puppet.endpoint.close(id, at: puppet.now)
    // LAST-ACK leaves nothing behind.
    #expect(puppet.endpoint.connectionCount == 0)
    #expect(puppet.endpoint.nextDeadline == nil)
  }

  @Test func aLostFinIsSentAgain() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let id = try #require(puppet.id)
    puppet.endpoint.finish(id, at: puppet.now)
    puppet.drain()
    #expect(puppet.take().filter { $0.flags.contains(.fin) }.count == 1)
    puppet.wait(.seconds(4))
    #expect(puppet.take().filter { $0.flags.contains(.fin) }.count >= 2)
  }

  // Requirement 9293-3.6.1-01, 9293-3.6.1-02
  @Test func dataForAnApplicationThatLeftIsReset() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let id = try #require(puppet.id)
    puppet.endpoint.close(id, at: puppet.now)
    puppet.drain()
    _ = puppet.takeData()
    puppet.send()
    puppet.sendNext([1, 2])
    #expect(puppet.take().last?.flags.contains(.rst) == true)
    #expect(puppet.endpoint.connectionCount == 0)
  }

  // Requirement 9293-3.6.1-02
  @Test func unreadDataAtCloseIsReset() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    puppet.sendNext([1, 2])
    _ = puppet.take()
    puppet.endpoint.close(try #require(puppet.id), at: puppet.now)
    puppet.drain()
    #expect(puppet.take().last?.flags.contains(.rst) == true)
    #expect(puppet.endpoint.connectionCount == 0)
  }

  @Test func whatNobodyReadKeepsNoFinishedConnectionAlive() throws {
    let puppet = try Puppet()
    #expect(puppet.open())
    let id = try #require(puppet.id)
    puppet.sendNext([1, 2])
    _ = puppet.take()
    puppet.send([.rst])
    #expect(puppet.closed == .resetByPeer)
    puppet.endpoint.close(id, at: puppet.now)
    #expect(puppet.endpoint.connectionCount == 0)
  }

  @Test func shortConnectionsInSequenceLeaveNothing() throws {
    let pair = Pair([LinkConfiguration()])
    var tables: [Int] = []
    let address = TransportAddress(Pair.address(0, 1, .v4), 80)
    _ = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 80), at: pair.now)
    let count = Seeds.range(fast: 300).upperBound
    for round in 0..<count {
      let id = try pair.endpoints[0].connect(to: address, at: pair.now)
      _ = try pair.endpoints[0].write(ByteSlice([1, 2, 3]), to: id, at: pair.now)
      pair.endpoints[0].finish(id, at: pair.now)
      pair.run(for: .seconds(1)) {
        for event in pair.events[1] {
          while let slice = try? pair.endpoints[1].read(from: event.connection, upTo: 100, at: pair.now),
            !slice.isEmpty
          {}
          pair.endpoints[1].finish(event.connection, at: pair.now)
        }
        return pair.events[0].contains { $0.event == .closed(.finished) }
          && pair.events[1].contains { $0.event == .closed(.finished) }
      }
      #expect(pair.events[0].contains { $0.event == .closed(.finished) }, "round \(round)")
      for side in 0..<2 {
        for id in Set(pair.events[side].map(\.connection)) { pair.endpoints[side].close(id, at: pair.now) }
        pair.events[side].removeAll()
      }
      pair.run(for: .seconds(61))
      if round >= 10 { tables.append(pair.endpoints.reduce(0) { $0 + tableSize($1) }) }
    }
    #expect(Set(tables).count == 1, "\(Set(tables))")
    #expect(pair.endpoints.allSatisfy { $0.nextDeadline == nil && $0.connectionCount == 0 })
  }
}

/// The slots that an endpoint has ever needed, and what is in its tables.
private func tableSize(_ endpoint: Endpoint) -> Int {
  endpoint.connectionSlots.count + endpoint.subflowSlots.count + endpoint.tuples.count + endpoint.tokens.count
    + endpoint.timeWaits.count + endpoint.dirty.count + endpoint.outbox.count + endpoint.events.count
}
