import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// Two endpoints joined by links, in virtual time: the clock jumps from one thing that happens to the next.
///
/// Side 0 opens, side 1 listens on port 80. Path `n` joins 10.0.n.1 and 10.0.n.2 (or their IPv6 likes).
package final class Pair {
  /// One path's two directions: [0] from side 0, [1] from side 1.
  package var links: [[Link]] = []
  package let endpoints: [Endpoint]
  package var now = Instant(nanoseconds: 1_000_000_000)
  package var events: [[EndpointEvent]] = [[], []]
  /// Until when each side takes no packets: its host is off the processor.
  package var awayUntil = [Instant.zero, Instant.zero]
  /// Called for each wire packet before it enters a link; nil drops it.
  package var onPacket: (_ side: Int, _ path: Int, _ bytes: [UInt8]) -> [UInt8]? = { $2 }
  /// Called after each step with the side that may have something to do.
  package var onStep: () -> Void = {}
  package private(set) var steps = 0
  /// Paths that were added later, and the links that they use.
  package var aliases: [PathID: Int] = [:]
  /// Prints each packet, for a person who wants to know why a test failed.
  package var traces = false

  package static func address(_ path: Int, _ side: Int, _ family: IPAddress.Family) -> IPAddress {
    switch family {
    case .v4: IPAddress(v4: 0x0a00_0000 | UInt32(path) << 8 | UInt32(side + 1))
    case .v6: IPAddress(v6High: 0xfd00_0000_0000_0000 | UInt64(path), low: UInt64(side + 1))
    }
  }

  /// - Parameter areApart: each path leads to its own network alone, so that a full mesh has one subflow on each.
  package init(
    _ configurations: [LinkConfiguration], backward: [LinkConfiguration]? = nil, seed: UInt64 = 1,
    family: IPAddress.Family = .v4, mtu: Int = 1500, offload: Bool = true,
    endpoint configuration: EndpointConfiguration = EndpointConfiguration(), serverPaths: Int? = nil,
    areApart: Bool = false
  ) {
    endpoints = (0..<2).map {
      Endpoint(
        configuration: configuration, entropy: SeededEntropy(seed: seed &* 2 &+ UInt64($0)),
        at: Instant(nanoseconds: 1_000_000_000))
    }
    for (index, configuration) in configurations.enumerated() {
      for side in 0..<2 {
        let prefix = IPPrefix(Self.address(index, side, family), length: family == .v4 ? 24 : 64)
        let path = PathConfiguration(
          name: "path\(index)", addresses: [prefix], maximumTransmissionUnit: mtu, offersChecksumOffload: offload,
          offersSegmentationOffload: offload, reach: areApart ? [prefix] : nil)
        _ = endpoints[side].addPath(path, at: now)
      }
      var there = configuration
      there.seed = seed &* 1000 &+ UInt64(index) &* 2
      var back = backward?[index] ?? configuration
      back.seed = there.seed &+ 1
      links.append([Link(there, at: now), Link(back, at: now)])
    }
  }

  /// Hands out what the endpoints have to say.
  package func drain() {
    var isBusy = true
    while isBusy {
      isBusy = false
      for side in 0..<2 {
        while let packet = endpoints[side].nextPacket() {
          isBusy = true
          let path = aliases[packet.path] ?? Int(packet.path.rawValue)
          guard let bytes = onPacket(side, path, packet.copyBytes()) else { continue }
          if traces {
            print(
              "\((now - Instant(nanoseconds: 1_000_000_000)).milliseconds) \(side) path \(path) \(packetLine(bytes))")
          }
          links[path][side].send(
            superSegment: bytes.span.bytes, segmentByteCount: packet.segmentByteCount, at: now)
        }
        while let event = endpoints[side].nextEvent() {
          isBusy = true
          events[side].append(event)
        }
      }
      onStep()
    }
  }

  /// The next moment at which something happens.
  package var nextDeadline: Instant? {
    var next: Instant?
    for endpoint in endpoints { if let deadline = endpoint.nextDeadline { next = min(next ?? deadline, deadline) } }
    for pair in links {
      for side in 0..<2 {
        guard let deadline = pair[side].nextDeadline else { continue }
        // A host that is off its processor takes its packets when it is back.
        let taken = max(deadline, awayUntil[1 - side])
        next = min(next ?? taken, taken)
      }
    }
    return next
  }

  /// Runs until `condition` holds or nothing is left to happen before `limit`; true if the condition held.
  @discardableResult
  package func run(for limit: Nanoseconds, until condition: () -> Bool = { false }) -> Bool {
    let end = now + limit
    drain()
    while !condition() {
      guard let next = nextDeadline, next <= end else {
        now = end
        for endpoint in endpoints { endpoint.advance(to: now) }
        drain()
        return condition()
      }
      now = max(now, next)
      steps += 1
      for path in links.indices {
        for side in 0..<2 where now >= awayUntil[1 - side] {
          while let packet = links[path][side].receive(at: now) {
            endpoints[1 - side].receive(
              ByteSlice(packet.bytes), on: PathID(Int32(path)), offload: .none, at: now)
          }
        }
      }
      for endpoint in endpoints { endpoint.advance(to: now) }
      drain()
    }
    return true
  }
}

/// The stream that tests send: position and seed give each byte, so any loss, repetition or swap shows. Its period is
/// a prime, so that no segment size divides it.
package struct Pattern: Sendable {
  package static let period = 1_048_573
  private let bytes: ByteSlice

  package init(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let chunk = Chunk(capacity: Self.period * 2)
    var offset = 0
    while offset + 8 <= Self.period {
      chunk.storage.storeBytes(of: generator.next(), toByteOffset: offset, as: UInt64.self)
      offset += 8
    }
    while offset < Self.period {
      chunk.storage[offset] = UInt8(truncatingIfNeeded: generator.next())
      offset += 1
    }
    (chunk.base + Self.period).copyMemory(from: chunk.base, byteCount: Self.period)
    bytes = ByteSlice(chunk, offset: 0, count: Self.period * 2)
  }

  /// Up to a period of the stream from `position` on.
  package func slice(at position: Int, count: Int) -> ByteSlice {
    bytes.dropFirst(position % Self.period).prefix(min(count, Self.period))
  }

  /// The first position at which `slice`, which stands at `position`, differs; nil when it does not.
  package func mismatch(_ slice: ByteSlice, at position: Int) -> Int? {
    var offset = 0
    while offset < slice.count {
      let part = slice.dropFirst(offset).prefix(Self.period)
      let expected = self.slice(at: position + offset, count: part.count)
      let isEqual = part.withUnsafeBytes { left in
        expected.withUnsafeBytes { right in left.count == right.count && left.elementsEqual(right) }
      }
      if !isEqual {
        for (index, pair) in zip(part.array, expected.array).enumerated() where pair.0 != pair.1 {
          return position + offset + index
        }
      }
      offset += part.count
    }
    return nil
  }
}

/// One application on each side: writes a pattern, reads what comes, half-closes, and closes when it is all there.
package final class Exchange {
  package let pair: Pair
  package var toSend: [Int]
  package var sent = [0, 0]
  package var received = [0, 0]
  package var ended = [false, false]
  package var finished = [false, false]
  package var closed: [CloseReason?] = [nil, nil]
  package var ids: [ConnectionID?] = [nil, nil]
  package var mismatch: String?
  package var isMultipath: [Bool?] = [nil, nil]
  package var readLimit = Int.max
  /// How much may be read from now on, where it is limited.
  package var readBudget: Int?
  package var writeSize = 65_536
  private var consumed = [0, 0]
  private let patterns: [Pattern]
  private var mayWrite = [true, true]
  package var lastDelivery = Instant.zero
  package var longestGap = Nanoseconds.zero
  private let listener: ListenerID

  package init(
    _ pair: Pair, clientSends: Int, serverSends: Int, seed: UInt64 = 7,
    options: ConnectionOptions = ConnectionOptions(), serverOptions: ConnectionOptions? = nil,
    serverVersions: MultipathVersions = [.v0, .v1], family: IPAddress.Family = .v4
  ) throws {
    self.pair = pair
    patterns = [Pattern(seed: seed), Pattern(seed: seed &+ 1)]
    toSend = [clientSends, serverSends]
    var listen = ListenerOptions()
    listen.connection = serverOptions ?? options
    listen.versions = serverVersions
    listener = try pair.endpoints[1].listen(
      on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 80), options: listen, at: pair.now)
    ids[0] = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, family), 80), options: options, at: pair.now)
    pair.onStep = { [unowned self] in self.step() }
  }

  package var isDone: Bool { closed[0] != nil && closed[1] != nil }

  package func step() {
    for side in 0..<2 {
      while consumed[side] < pair.events[side].count {
        let event = pair.events[side][consumed[side]]
        consumed[side] += 1
        // Other connections of the pair are other people's.
        guard side == 0 ? event.connection == ids[0] : event.listener == listener else { continue }
        switch event.event {
        case .established(let isMultipath):
          ids[side] = event.connection
          self.isMultipath[side] = isMultipath
        case .closed(let reason): closed[side] = reason
        case .writable: mayWrite[side] = true
        default: break
        }
      }
      guard let id = ids[side], isMultipath[side] != nil else { continue }
      read(side, id)
      write(side, id)
    }
  }

  private func read(_ side: Int, _ id: ConnectionID) {
    while !ended[side] {
      let limit = min(readLimit, readBudget ?? .max)
      guard let slice = try? pair.endpoints[side].read(from: id, upTo: limit, at: pair.now) else { return }
      if slice.isEmpty {
        ended[side] = true
        if received[side] != toSend[1 - side] { mismatch = "side \(side) ended after \(received[side]) bytes" }
        return
      }
      if let position = patterns[1 - side].mismatch(slice, at: received[side]), mismatch == nil {
        mismatch = "side \(side) at byte \(position)"
      }
      received[side] += slice.count
      if let budget = readBudget { readBudget = budget - slice.count }
      if lastDelivery != .zero { longestGap = max(longestGap, pair.now - lastDelivery) }
      lastDelivery = pair.now
    }
  }

  private func write(_ side: Int, _ id: ConnectionID) {
    while mayWrite[side], sent[side] < toSend[side] {
      let slice = patterns[side].slice(at: sent[side], count: min(writeSize, toSend[side] - sent[side]))
      let taken = (try? pair.endpoints[side].write(slice, to: id, at: pair.now)) ?? 0
      sent[side] += taken
      if taken < slice.count { mayWrite[side] = false }
    }
    guard sent[side] == toSend[side] else { return }
    if !finished[side] {
      finished[side] = true
      pair.endpoints[side].finish(id, at: pair.now)
    }
  }

  /// Closes both sides and lets what is left come to rest.
  package func closeBoth() {
    for side in 0..<2 { if let id = ids[side] { pair.endpoints[side].close(id, at: pair.now) } }
    pair.onStep = {}
    pair.run(for: .seconds(130))
  }
}
