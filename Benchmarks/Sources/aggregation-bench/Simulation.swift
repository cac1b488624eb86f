import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire

/// One bulk transfer in virtual time: side 0 writes without end, side 1 reads whatever comes.
final class Simulation {
  private var links: [[Link]] = []
  private var endpoints: [Endpoint] = []
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  private let client: ConnectionID
  private var server: ConnectionID?
  private let data = ByteSlice(Chunk(capacity: 262_144), offset: 0, count: 262_144)
  private var mayWrite = false
  /// Which path carries nothing any more.
  private var silent: Int?
  private(set) var receivedByteCount = 0
  private(set) var lastDelivery = Instant.zero
  private(set) var longestPause = Nanoseconds.zero

  /// - Parameter only: the one path to use, as plain TCP; nil for all, as Multipath TCP.
  init(_ setting: Setting, only: Int? = nil, scheduler: Scheduler, bufferByteCount: Int, seed: UInt64) throws {
    for side in 0..<2 {
      let endpoint = Endpoint(entropy: SeededEntropy(seed: seed &* 2 &+ UInt64(side)), at: now)
      for path in setting.paths.indices {
        let prefix = IPPrefix(Self.address(path, side), length: 24)
        _ = endpoint.addPath(
          PathConfiguration(
            name: "path\(path)", addresses: [prefix], offersChecksumOffload: true, offersSegmentationOffload: true,
            reach: [prefix]), at: now)
      }
      endpoints.append(endpoint)
    }
    for (index, path) in setting.paths.enumerated() {
      var there = path.forward
      there.seed = seed &* 1000 &+ UInt64(index) &* 2
      var back = path.backward
      back.seed = there.seed &+ 1
      links.append([Link(there, at: now), Link(back, at: now)])
    }
    var options = ConnectionOptions()
    options.multipath = only == nil ? .enabled : .disabled
    options.scheduler = scheduler
    options.receiveBufferByteCount = bufferByteCount
    // RFC 8684 §3.3.5: the send buffer is no smaller than the receive buffer.
    options.sendBufferByteCount = bufferByteCount * 2
    var listen = ListenerOptions()
    listen.connection = options
    _ = try endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listen, at: now)
    client = try endpoints[0].connect(
      to: TransportAddress(Self.address(only ?? 0, 1), 80), options: options, at: now)
  }

  private static func address(_ path: Int, _ side: Int) -> IPAddress {
    IPAddress(v4: 0x0a00_0000 | UInt32(path) << 8 | UInt32(side + 1))
  }

  var description: ConnectionDescription? { endpoints[0].description(of: client) }
  var statistics: [EndpointStatistics] { endpoints.map(\.statistics) }

  /// What waits for the line towards side 1, in seconds.
  func queueingDelay(_ path: Int) -> Double {
    let rate = links[path][0].configuration.bitsPerSecond ?? .max
    return Double(links[path][0].queuedByteCount) * 8 / Double(rate)
  }

  func silence(_ path: Int) {
    silent = path
    for side in 0..<2 { links[path][side].set(isUp: false, at: now) }
    lastDelivery = now
    longestPause = .zero
  }

  func run(until end: Instant, while condition: () -> Bool = { true }) {
    drain()
    while condition() {
      var next = Instant.distantFuture
      for endpoint in endpoints { if let deadline = endpoint.nextDeadline { next = min(next, deadline) } }
      for path in links.indices {
        for side in 0..<2 { if let deadline = links[path][side].nextDeadline { next = min(next, deadline) } }
      }
      guard next <= end else {
        now = end
        break
      }
      now = max(now, next)
      for path in links.indices {
        for side in 0..<2 {
          guard let deadline = links[path][side].nextDeadline, deadline <= now else { continue }
          while let packet = links[path][side].receive(at: now) {
            endpoints[1 - side].receive(ByteSlice(packet.bytes), on: PathID(Int32(path)), offload: .none, at: now)
          }
        }
      }
      for endpoint in endpoints { endpoint.advance(to: now) }
      drain()
    }
  }

  private func drain() {
    var isBusy = true
    while isBusy {
      isBusy = false
      for side in 0..<2 {
        while let packet = endpoints[side].nextPacket() {
          isBusy = true
          let bytes = packet.copyBytes()
          links[Int(packet.path.rawValue)][side].send(
            superSegment: bytes.span.bytes, segmentByteCount: packet.segmentByteCount, at: now)
        }
        while let event = endpoints[side].nextEvent() {
          isBusy = true
          switch event.event {
          case .established:
            if side == 0 { mayWrite = true } else { server = event.connection }
          case .writable: mayWrite = true
          default: break
          }
        }
      }
      read()
      write()
    }
  }

  private func read() {
    guard let server else { return }
    while let slice = try? endpoints[1].read(from: server, upTo: .max, at: now), !slice.isEmpty {
      receivedByteCount += slice.count
      longestPause = max(longestPause, now - lastDelivery)
      lastDelivery = now
    }
  }

  private func write() {
    while mayWrite {
      let taken = (try? endpoints[0].write(data, to: client, at: now)) ?? 0
      if taken < data.count { mayWrite = false }
    }
  }
}
