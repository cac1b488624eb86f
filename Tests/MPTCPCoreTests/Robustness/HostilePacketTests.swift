import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

/// Any byte sequence as a packet gives at most a dropped packet and a counter; what an attacker on the path does to one
/// connection harms no other.
@Suite struct HostilePacketTests {
  @Test(arguments: [IPAddress.Family.v4, .v6])
  func randomOctetsAreCountedAndDropped(family: IPAddress.Family) {
    let pair = Pair([LinkConfiguration()], family: family)
    let endpoint = pair.endpoints[1]
    var random = SeededGenerator(seed: 3)
    for round in 0..<3000 {
      var bytes = (0..<random.pick(0...120)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      if round % 2 == 0, bytes.count > 40 { bytes[0] = family == .v4 ? 0x45 : 0x60 }
      endpoint.receive(ByteSlice(bytes), on: PathID(0), at: pair.now)
    }
    #expect(endpoint.statistics.receivedPackets == 3000)
    #expect(endpoint.statistics.malformedPackets > 1000)
    #expect(endpoint.nextPacket() == nil)
    #expect(endpoint.nextEvent() == nil)
  }

  @Test(arguments: Seeds.range(fast: 40))
  func spoiledPacketsHarmNoOtherConnection(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed) &+ 77)
    let family: IPAddress.Family = random.chance(50) ? .v4 : .v6
    let link = LinkConfiguration(
      bitsPerSecond: 20_000_000, delay: .milliseconds(5), queueByteCount: 100_000,
      lossRate: .percent(random.chance(30) ? 2 : 0))
    var configuration = EndpointConfiguration()
    configuration.maximumHalfOpenCount = random.chance(30) ? 0 : 16
    let pair = Pair(
      [link, link], seed: UInt64(seed), family: family, offload: random.chance(50), endpoint: configuration)
    var options = ConnectionOptions()
    options.checksum = random.chance(30)
    options.multipath = random.chance(80) ? .enabled : .disabled
    options.explicitCongestionNotification = random.chance(30)
    options.receiveBufferByteCount = 200_000
    // The innocent connection uses port 80, the victim port 81.
    let exchange = try Exchange(
      pair, clientSends: 30_000, serverSends: 30_000, options: options, serverOptions: options, family: family)
    let victim = try Victim(pair, options: options, family: family)
    var mutator = PacketMutator(seed: UInt64(seed))
    var injected = 0
    let share = random.pick(5...60)
    let replaces = random.chance(50)
    pair.onPacket = { side, path, bytes in
      guard !concernsPort80(bytes) else { return bytes }
      mutator.note(bytes)
      guard mutator.random.chance(share), injected < 3000 else { return bytes }
      for _ in 0...mutator.random.pick(0...2) {
        let spoiled = mutator.mutate(bytes)
        // What is made of one connection's packets must not be the other's by accident.
        guard !concernsPort80(spoiled) else { continue }
        injected += 1
        pair.endpoints[mutator.random.chance(80) ? 1 - side : side].receive(
          ByteSlice(spoiled), on: PathID(Int32(path)), at: pair.now)
      }
      return replaces ? nil : bytes
    }
    pair.onStep = {
      exchange.step()
      victim.step()
    }
    let done = pair.run(for: .seconds(120)) { exchange.isDone || exchange.mismatch != nil }
    #expect(done, "received \(exchange.received) of 30000, closed \(exchange.closed), spoiled \(injected)")
    #expect(exchange.mismatch == nil)
    #expect(exchange.closed == [.finished, .finished])
    for endpoint in pair.endpoints {
      #expect(endpoint.wholeViolation() == nil)
      for case let connection? in endpoint.connectionSlots {
        let held = connection.pendingByteCount + connection.receiveQueue.byteCount + connection.reassembly.byteCount
        #expect(held <= 4_000_000)
      }
    }
    pair.onPacket = { $2 }
    exchange.closeBoth()
    victim.abortAll()
    pair.run(for: .seconds(400))
    for endpoint in pair.endpoints { #expect(endpoint.leak() == nil) }
  }
}

/// Whether a packet belongs to port 80, or quotes one that does.
private func concernsPort80(_ bytes: [UInt8]) -> Bool {
  guard let first = bytes.first else { return false }
  let header = first >> 4 == 4 ? 20 : 40
  return hasPort80(bytes, at: header) || hasPort80(bytes, at: header + 8 + 20) || hasPort80(bytes, at: header + 8 + 40)
}

private func hasPort80(_ bytes: [UInt8], at offset: Int) -> Bool {
  guard bytes.count >= offset + 4 else { return false }
  return (bytes[offset] == 0 && bytes[offset + 1] == 80) || (bytes[offset + 2] == 0 && bytes[offset + 3] == 80)
}

/// Reads and writes on every connection of port 81, and lets go of those that ended.
private final class Victim {
  let pair: Pair
  private var consumed = [0, 0]
  private var known: [[ConnectionID]] = [[], []]
  private let listener: ListenerID
  private let id: ConnectionID
  private var writesLeft = 60
  private let crumb = ByteSlice([UInt8](repeating: 7, count: 3000))

  init(_ pair: Pair, options: ConnectionOptions, family: IPAddress.Family) throws {
    self.pair = pair
    var listen = ListenerOptions()
    listen.connection = options
    listener = try pair.endpoints[1].listen(
      on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 81), options: listen, at: pair.now)
    id = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, family), 81), options: options, at: pair.now)
  }

  func step() {
    for side in 0..<2 {
      while consumed[side] < pair.events[side].count {
        let event = pair.events[side][consumed[side]]
        consumed[side] += 1
        guard side == 0 ? event.connection == id : event.listener == listener else { continue }
        if case .established = event.event { known[side].append(event.connection) }
        if case .closed = event.event { pair.endpoints[side].close(event.connection, at: pair.now) }
      }
      for id in known[side] {
        if writesLeft > 0, (try? pair.endpoints[side].write(crumb, to: id, at: pair.now)) ?? 0 > 0 { writesLeft -= 1 }
        while let slice = try? pair.endpoints[side].read(from: id, upTo: 9000, at: pair.now), !slice.isEmpty {}
      }
    }
  }

  func abortAll() {
    for side in 0..<2 {
      for case let connection? in pair.endpoints[side].connectionSlots {
        pair.endpoints[side].abort(connection.id, at: pair.now)
      }
    }
  }
}
