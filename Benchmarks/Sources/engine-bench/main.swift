// What the engine alone costs: two endpoints that hand each other packets in memory, with a clock that moves by what
// was sent. `engine-bench bulk [GIGABYTES] [PATHS]`, `engine-bench connections [COUNT]`. Run it under callgrind for
// figures that do not depend on what else the machine does.
import MPTCPCore
import MPTCPPolicy
import MPTCPWire

#if os(Linux)
  import CMalloc
  // Memory that is freed stays with the process, as a host arranges it: otherwise page faults are all that is measured.
  _ = mallopt(M_TRIM_THRESHOLD, 512 << 20)
  _ = mallopt(M_MMAP_THRESHOLD, 512 << 20)
#endif

struct Bench {
  var endpoints: [Endpoint] = []
  var now = Instant(nanoseconds: 1_000_000_000)
  var packets = 0

  init(paths: Int) {
    endpoints = (0..<2).map { Endpoint(entropy: SeededEntropy(seed: UInt64($0)), at: now) }
    for path in 0..<paths {
      for side in 0..<2 {
        let address = IPAddress(v4: 0x0a00_0000 | UInt32(path) << 8 | UInt32(side + 1))
        _ = endpoints[side].addPath(
          PathConfiguration(
            name: "p\(path)", addresses: [IPPrefix(address, length: 24)], offersChecksumOffload: true,
            offersSegmentationOffload: true), at: now)
      }
    }
  }

  /// Passes packets until neither side has any. A packet's bytes are put together once, as a device would.
  mutating func exchange(_ body: (Int, EndpointEvent) -> Void) {
    var isBusy = true
    while isBusy {
      isBusy = false
      for side in 0..<2 {
        while let packet = endpoints[side].nextPacket() {
          isBusy = true
          packets += 1
          let chunk = Chunk(capacity: packet.totalByteCount)
          packet.withHeader { chunk.storage.copyMemory(from: $0) }
          var offset = packet.headerByteCount
          for part in [packet.payload, packet.secondPayload] {
            part?.withUnsafeBytes { bytes in
              if let address = bytes.baseAddress {
                (chunk.base + offset).copyMemory(from: address, byteCount: bytes.count)
              }
              offset += bytes.count
            }
          }
          now = now + Nanoseconds(Int64(packet.totalByteCount) / 4 + 100)
          endpoints[1 - side].receive(
            ByteSlice(chunk, offset: 0, count: packet.totalByteCount), on: packet.path,
            offload: ReceiveOffload(checksum: .valid, segmentByteCount: packet.segmentByteCount), at: now)
        }
        while let event = endpoints[side].nextEvent() {
          isBusy = true
          body(side, event)
        }
      }
    }
    for endpoint in endpoints { endpoint.advance(to: now) }
  }
}

func bulk(byteCount: Int, paths: Int) throws {
  var bench = Bench(paths: paths)
  _ = try bench.endpoints[1].listen(on: TransportAddress(.anyV4, 80), at: bench.now)
  let client = try bench.endpoints[0].connect(
    to: TransportAddress(IPAddress(v4: 0x0a00_0002), 80), at: bench.now)
  var server: ConnectionID?
  let data = ByteSlice(Chunk(capacity: 65_536), offset: 0, count: 65_536)
  var sent = 0
  var received = 0
  var idle = 0
  let clock = ContinuousClock()
  let start = clock.now
  while received < byteCount, idle < 1_000_000 {
    idle += 1
    bench.exchange { side, event in if side == 1, case .established = event.event { server = event.connection } }
    if server != nil {
      while sent < byteCount, case let taken = try bench.endpoints[0].write(data, to: client, at: bench.now), taken > 0
      {
        sent += taken
        if taken < data.count { break }
      }
    }
    if let server {
      while let slice = try bench.endpoints[1].read(from: server, upTo: .max, at: bench.now) {
        received += slice.count
        idle = 0
      }
    }
    if idle > 0, let next = [bench.endpoints[0].nextDeadline, bench.endpoints[1].nextDeadline].compactMap({ $0 }).min()
    {
      bench.now = max(bench.now, next)
      for endpoint in bench.endpoints { endpoint.advance(to: bench.now) }
    }
  }
  let elapsed = clock.now - start
  let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
  let subflows = bench.endpoints[0].description(of: client)?.subflows.count ?? 0
  print(
    "bulk: \(received) bytes, \(subflows) subflows, \(bench.packets) packets, \(seconds) s, "
      + "\(Double(received) * 8 / seconds / 1e9) Gbit/s, \(seconds / Double(bench.packets) * 1e9) ns a packet, "
      + "retransmitted \(bench.endpoints[0].statistics.retransmittedSegments)")
}

func connections(_ count: Int) throws {
  var bench = Bench(paths: 1)
  _ = try bench.endpoints[1].listen(on: TransportAddress(.anyV4, 80), at: bench.now)
  let data = ByteSlice([UInt8](repeating: 7, count: 1024))
  let clock = ContinuousClock()
  let start = clock.now
  for _ in 0..<count {
    let client = try bench.endpoints[0].connect(
      to: TransportAddress(IPAddress(v4: 0x0a00_0002), 80), at: bench.now)
    var server: ConnectionID?
    var done = 0
    var got = [0, 0]
    let endpoints = bench.endpoints
    var rounds = 0
    while done < 2, rounds < 200 {
      rounds += 1
      var wakes: [(Int, ConnectionID)] = []
      bench.exchange { side, event in
        switch event.event {
        case .established:
          if side == 1 { server = event.connection }
          wakes.append((side, event.connection))
        case .readable: wakes.append((side, event.connection))
        case .closed: done += 1
        default: break
        }
      }
      for (side, id) in wakes {
        if got[side] == 0 {
          _ = try? endpoints[side].write(data, to: id, at: bench.now)
          endpoints[side].finish(id, at: bench.now)
          got[side] = 1
        }
        while let slice = try? endpoints[side].read(from: id, upTo: .max, at: bench.now), !slice.isEmpty {}
      }
      if wakes.isEmpty, let next = endpoints.compactMap(\.nextDeadline).min() {
        bench.now = max(bench.now, next)
        for endpoint in endpoints { endpoint.advance(to: bench.now) }
      }
    }
    endpoints[0].close(client, at: bench.now)
    if let server { endpoints[1].close(server, at: bench.now) }
  }
  let elapsed = clock.now - start
  let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
  print(
    "connections: \(count), \(Double(count) / seconds) a second (both sides), "
      + "\(Double(bench.packets) / Double(count)) packets each, left \(bench.endpoints.map(\.connectionCount))")
}

#if os(Linux)
  /// Memory of idle connections that are established and have exchanged a little: half of what both sides take.
  func idle(_ count: Int) throws {
    var bench = Bench(paths: 1)
    var listen = ListenerOptions()
    listen.backlog = count + 1
    _ = try bench.endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listen, at: bench.now)
    let data = ByteSlice([UInt8](repeating: 7, count: 100))
    let before = mallinfo2().uordblks
    for _ in 0..<count {
      let client = try bench.endpoints[0].connect(
        to: TransportAddress(IPAddress(v4: 0x0a00_0002), 80), at: bench.now)
      let endpoints = bench.endpoints
      var servers: [ConnectionID] = []
      bench.exchange { side, event in
        if side == 1, case .established = event.event { servers.append(event.connection) }
      }
      _ = try endpoints[0].write(data, to: client, at: bench.now)
      bench.exchange { _, _ in }
      for server in servers { _ = try endpoints[1].read(from: server, upTo: .max, at: bench.now) }
      bench.exchange { _, _ in }
    }
    let used = mallinfo2().uordblks - before
    let left = bench.endpoints.map(\.connectionCount)
    print("idle: \(count) connections, \(Double(used) / Double(2 * count)) bytes each on each side, open \(left)")
  }
#endif

let arguments = CommandLine.arguments.dropFirst()
switch arguments.first {
case "connections": try connections(arguments.dropFirst().first.flatMap { Int($0) } ?? 20_000)
#if os(Linux)
  case "idle": try idle(arguments.dropFirst().first.flatMap { Int($0) } ?? 10_000)
#endif
default:
  try bulk(
    byteCount: (arguments.dropFirst().first.flatMap { Int($0) } ?? 4) << 30,
    paths: arguments.dropFirst(2).first.flatMap { Int($0) } ?? 2)
}
