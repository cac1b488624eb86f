import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

@testable import MPTCPCore

#if canImport(Glibc)
  import Glibc

  /// What connections cost. Memory is the process's, so these tests run alone and when asked for:
  /// `MEMORY_TESTS=1`, with a filter.
  @Suite(.serialized, .enabled(if: getenv("MEMORY_TESTS") != nil, "make test-fast runs it in a process of its own"))
  struct MemoryTests {
    /// The process's resident memory.
    private func inUse() -> Int {
      guard let file = fopen("/proc/self/statm", "r") else { return 0 }
      defer { fclose(file) }
      var line = [CChar](repeating: 0, count: 256)
      guard fgets(&line, 256, file) != nil else { return 0 }
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      return (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    @Test func anIdleConnectionCostsAtMostFourKibibytes() throws {
      let pair = Pair([LinkConfiguration()])
      let options = ConnectionOptions()
      var listen = ListenerOptions()
      listen.backlog = 1 << 20
      _ = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 80), options: listen, at: pair.now)
      var ids: [[ConnectionID]] = [[], []]
      func open(_ count: Int) throws {
        for _ in 0..<count {
          let id = try pair.endpoints[0].connect(
            to: TransportAddress(Pair.address(0, 1, .v4), 80), options: options, at: pair.now)
          pair.run(for: .milliseconds(5))
          _ = try pair.endpoints[0].write(ByteSlice([UInt8](repeating: 1, count: 1024)), to: id, at: pair.now)
          ids[0].append(id)
          pair.run(for: .milliseconds(5))
          for event in pair.events[1] { if case .established = event.event { ids[1].append(event.connection) } }
          if let server = ids[1].last {
            while let slice = try pair.endpoints[1].read(from: server, upTo: .max, at: pair.now) {
              _ = try pair.endpoints[1].write(slice, to: server, at: pair.now)
            }
          }
          pair.run(for: .milliseconds(5))
          while let slice = try pair.endpoints[0].read(from: id, upTo: .max, at: pair.now), !slice.isEmpty {}
          pair.events = [[], []]
        }
        pair.run(for: .seconds(5))
        pair.events = [[], []]
      }
      try open(1000)
      let before = inUse()
      let count = 8000
      try open(count)
      let each = (inUse() - before) / (2 * count)
      print("an idle connection with one subflow costs \(each) bytes")
      #expect(each <= 4096)
      #expect(pair.endpoints[0].connectionCount == 9000)
    }
  }
#endif
