import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// Short connections one after the other between two endpoints that live through all of them.
///
/// `Simulation` keeps what its report says of each connection, so its memory grows with the scenario by design. This is
/// its loop without that: the same engine, the same links, the same clock that jumps from event to event.
struct ShortConnections {
  private let endpoints: [Endpoint]
  private var links: [Link]
  private var now = Instant(nanoseconds: 1_000_000_000)
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let message = ByteSlice([UInt8](repeating: 7, count: messageByteCount))
  /// The ends of the connection under way.
  private var ends = [End(), End()]
  private var openedCount = 0
  private(set) var packetCount = 0

  static let messageByteCount = 1024
  private static let server = IPAddress(v4: 0x0a00_0002)

  private struct End {
    var id: ConnectionID?
    var isMultipath = false
    var receivedByteCount = 0
    var hasClosed = false
  }

  init() throws {
    var endpoints: [Endpoint] = []
    for side in 0..<2 {
      let endpoint = Endpoint(entropy: SeededEntropy(seed: UInt64(side) + 1), at: now)
      _ = endpoint.addPath(
        PathConfiguration(
          name: "path", addresses: [IPPrefix(IPAddress(v4: 0x0a00_0001 + UInt32(side)), length: 24)],
          offersChecksumOffload: true), at: now)
      endpoints.append(endpoint)
    }
    self.endpoints = endpoints
    let start = start
    links = (0..<2).map { Link(LinkConfiguration(delay: .microseconds(500), seed: UInt64($0)), at: start) }
    _ = try endpoints[1].listen(on: TransportAddress(.anyV4, 80), at: now)
  }

  /// Runs `count` connections, and says twenty times how much memory there is.
  ///
  /// - Returns: whether none failed, and memory did not grow by `bound` bytes after TIME-WAIT had filled.
  mutating func run(_ count: Int, bound: Int) throws -> Bool {
    let clock = ContinuousClock()
    let begin = clock.now
    var base: MemoryUse?
    var growth = MemoryUse(allocated: 0, resident: 0)
    say("    connections    allocated     resident   open  virtual h       s")
    for part in 1...20 {
      while openedCount < count * part / 20 { try runOne() }
      let use = MemoryUse.now
      // TIME-WAIT is full once its time has passed: from then on nothing may grow.
      if let base {
        growth = MemoryUse(
          allocated: max(growth.allocated, (use - base).allocated),
          resident: max(growth.resident, (use - base).resident))
      }
      if base == nil, now - start > .seconds(120) { base = use }
      say(
        "\(padded(openedCount, 15)) \(padded(mebibytes(use.allocated), 12)) \(padded(mebibytes(use.resident), 12)) "
          + "\(padded("\(endpoints[0].connectionCount)+\(endpoints[1].connectionCount)", 6)) "
          + "\(padded(rounded((now - start).seconds / 3600), 10)) \(padded(rounded(seconds(clock.now - begin)), 7))")
    }
    let elapsed = seconds(clock.now - begin)
    say(
      "short: \(openedCount) connections, \(rounded(elapsed / Double(openedCount) * 1e6)) µs each (both ends and the "
        + "network), \(rounded(Double(packetCount) / Double(openedCount))) packets each; growth after TIME-WAIT had filled: "
        + "\(growth.allocated) bytes allocated, \(growth.resident) resident")
    guard base != nil else {
      say("  too few connections to say whether memory grows: 40,000 at least")
      return false
    }
    return growth.allocated <= bound && growth.resident <= max(bound, 4 << 20)
  }

  /// One connection: question, answer, and the ends of both; until both applications know of its end.
  private mutating func runOne() throws {
    ends = [End(), End()]
    openedCount += 1
    ends[0].id = try endpoints[0].connect(to: TransportAddress(Self.server, 80), at: now)
    exchange()
    while !(ends[0].hasClosed && ends[1].hasClosed) {
      var next = Instant.distantFuture
      for side in 0..<2 {
        next = min(next, endpoints[side].nextDeadline ?? .distantFuture, links[side].nextDeadline ?? .distantFuture)
      }
      guard next != .distantFuture else { throw Stuck(connection: openedCount) }
      now = max(now, next)
      for side in 0..<2 {
        while let packet = links[side].receive(at: now) {
          endpoints[1 - side].receive(
            ByteSlice(packet.bytes), on: PathID(0), offload: ReceiveOffload(checksum: .valid), at: now)
        }
      }
      for side in 0..<2 { endpoints[side].advance(to: now) }
      exchange()
    }
    guard ends[0].isMultipath, ends[1].isMultipath,
      ends.allSatisfy({ $0.receivedByteCount == Self.messageByteCount })
    else { throw Stuck(connection: openedCount) }
  }

  /// A connection that did not do what it is for.
  struct Stuck: Error { var connection: Int }

  private mutating func exchange() {
    var isBusy = true
    while isBusy {
      isBusy = false
      for side in 0..<2 {
        while let packet = endpoints[side].nextPacket() {
          isBusy = true
          packetCount += 1
          links[side].send(packet.copyBytes(), at: now)
        }
        while let event = endpoints[side].nextEvent() {
          isBusy = true
          hear(event, side)
        }
      }
    }
  }

  private mutating func hear(_ event: EndpointEvent, _ side: Int) {
    if side == 1, ends[1].id == nil { ends[1].id = event.connection }
    guard event.connection == ends[side].id else { return }
    let id = event.connection
    switch event.event {
    case .established(let isMultipath):
      ends[side].isMultipath = isMultipath
      if side == 0 { speak(side, id) }
    case .readable: read(side, id)
    case .closed:
      read(side, id)
      endpoints[side].close(id, at: now)
      ends[side].hasClosed = true
    default: break
    }
  }

  private mutating func speak(_ side: Int, _ id: ConnectionID) {
    _ = try? endpoints[side].write(message, to: id, at: now)
    endpoints[side].finish(id, at: now)
  }

  private mutating func read(_ side: Int, _ id: ConnectionID) {
    while let slice = try? endpoints[side].read(from: id, upTo: .max, at: now), !slice.isEmpty {
      ends[side].receivedByteCount += slice.count
      if side == 1, ends[1].receivedByteCount == Self.messageByteCount { speak(side, id) }
    }
  }
}
