import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct EphemeralPortsTests {
  private let local = IPAddress(v4: 0x0A00_0001)
  private let remote = TransportAddress(IPAddress(v4: 0x0A00_0002), 443)

  // Requirement 6056-3.3.4-01
  @Test func `towards one destination every port comes once before any comes again`() {
    var ports = EphemeralPorts(secret: (1, 2))
    var seen: [Port] = []
    for _ in 0..<200 {
      guard let port = ports.next(from: local, to: remote, in: 40_000...40_099, isFree: { _ in true }) else { continue }
      seen.append(port)
    }
    #expect(Set(seen.prefix(100)).count == 100)
    #expect(Array(seen.prefix(100)) == Array(seen.suffix(100)))
    #expect(seen.allSatisfy { (40_000...40_099).contains($0.rawValue) })
  }

  @Test func `ports in use are passed over, and without a free one there is none`() {
    var ports = EphemeralPorts(secret: (1, 2))
    for _ in 0..<3 {
      #expect(ports.next(from: local, to: remote, in: 40_000...40_099, isFree: { $0 == 40_007 }) == 40_007)
    }
    var tries = 0
    let port = ports.next(from: local, to: remote, in: 40_000...40_099) { _ in
      tries += 1
      return false
    }
    #expect(port == nil)
    #expect(tries == 100)
    #expect(ports.next(from: local, to: remote, in: 0...65_535, isFree: { $0 == 65_535 }) == 65_535)
  }

  @Test func `the first port depends on both addresses, the remote port and the secret`() {
    func first(_ secret: (UInt64, UInt64), _ local: IPAddress, _ remote: TransportAddress) -> Port? {
      var ports = EphemeralPorts(secret: secret)
      return ports.next(from: local, to: remote, in: 0...65_535, isFree: { _ in true })
    }
    let other = IPAddress(v4: 0x0A00_0003)
    let all = [
      first((1, 2), local, remote), first((1, 3), local, remote), first((1, 2), other, remote),
      first((1, 2), local, TransportAddress(other, 443)), first((1, 2), local, TransportAddress(remote.address, 444)),
    ]
    #expect(Set(all).count == 5)
    #expect(first((1, 2), local, remote) == all[0])
  }
}

@Suite struct TimestampOffsetsTests {
  // Requirement 7323-5-04
  @Test func `offsets depend on the tuple and on the secret, and stay`() {
    let tuple = FourTuple(
      local: TransportAddress(IPAddress(v4: 0x0A00_0001), 443),
      remote: TransportAddress(IPAddress(v4: 0x0A00_0002), 50_000))
    var other = tuple
    other.remote.port = 50_001
    let offsets = TimestampOffsets(secret: (1, 2))
    #expect(offsets.offset(for: tuple) != offsets.offset(for: other))
    #expect(offsets.offset(for: tuple) != TimestampOffsets(secret: (1, 3)).offset(for: tuple))
    #expect(offsets.offset(for: tuple) == TimestampOffsets(secret: (1, 2)).offset(for: tuple))
  }
}
