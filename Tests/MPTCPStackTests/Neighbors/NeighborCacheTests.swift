import MPTCPWire
import Testing

@testable import MPTCPStack

struct NeighborCacheTests {
  private let host = IPAddress(v4: 0x0A00_0001)
  private let hardware = MACAddress(0x0200_0000_0001)

  private func seconds(_ count: Int64) -> Instant { .zero + .seconds(count) }

  @Test("An unknown host is asked for once, and its packets wait in order")
  func resolves() {
    var cache = NeighborCache<Int>()
    #expect(cache.resolve(host, at: .zero) == .pending(solicit: true))
    #expect(cache.hold(1, for: host) == nil)
    #expect(cache.resolve(host, at: .zero) == .pending(solicit: false))
    #expect(cache.hold(2, for: host) == nil)
    #expect(cache.confirm(host, is: hardware, at: .zero) == [1, 2])
    #expect(cache.resolve(host, at: .zero) == .known(hardware))
  }

  @Test("More packets than may wait push out the oldest")
  func holdsFew() {
    var cache = NeighborCache<Int>()
    _ = cache.resolve(host, at: .zero)
    for packet in 0..<NeighborCache<Int>.heldLimit { #expect(cache.hold(packet, for: host) == nil) }
    #expect(cache.hold(99, for: host) == 0)
  }

  @Test("A silent host is asked three times, a second apart, and then left alone for a second")
  func givesUp() {
    var cache = NeighborCache<Int>()
    _ = cache.resolve(host, at: .zero)
    _ = cache.hold(1, for: host)
    #expect(cache.advance(to: seconds(1)).solicitations == [.init(target: host, destination: nil)])
    #expect(cache.advance(to: seconds(2)).solicitations.count == 1)
    let last = cache.advance(to: seconds(3))
    #expect(last.solicitations.isEmpty)
    #expect(last.dropped == [1])
    #expect(cache.nextDeadline == nil)
    #expect(cache.resolve(host, at: seconds(3)) == .unreachable)
    #expect(cache.resolve(host, at: seconds(4)) == .pending(solicit: true))
  }

  @Test("An address in use is probed after half a minute, and forgotten when nobody answers")
  func probes() {
    var cache = NeighborCache<Int>()
    _ = cache.resolve(host, at: .zero)
    _ = cache.confirm(host, is: hardware, at: .zero)
    #expect(cache.resolve(host, at: seconds(31)) == .known(hardware))
    #expect(cache.advance(to: seconds(35)).solicitations.isEmpty)
    for second in [36, 37, 38] as [Int64] {
      #expect(cache.advance(to: seconds(second)).solicitations == [.init(target: host, destination: hardware)])
      #expect(cache.resolve(host, at: seconds(second)) == .known(hardware))
    }
    #expect(cache.advance(to: seconds(39)).solicitations.isEmpty)
    #expect(cache.resolve(host, at: seconds(39)) == .pending(solicit: true))
  }

  @Test("A host that asked for us is remembered; one that only announces itself is not")
  func learns() {
    var cache = NeighborCache<Int>()
    _ = cache.learn(host, is: hardware, isNew: false, at: .zero)
    #expect(cache.resolve(host, at: .zero) == .pending(solicit: true))
    #expect(cache.hold(5, for: host) == nil)
    #expect(cache.learn(host, is: hardware, isNew: true, at: .zero) == [5])
    #expect(cache.resolve(host, at: .zero) == .known(hardware))
  }

  @Test("The cache forgets the host longest unused rather than grow without end")
  func isBounded() {
    var cache = NeighborCache<Int>()
    for number in 0...NeighborCache<Int>.entryLimit {
      _ = cache.learn(IPAddress(v4: UInt32(number)), is: hardware, isNew: true, at: seconds(Int64(number)))
    }
    #expect(cache.resolve(IPAddress(v4: 0), at: seconds(5_000)) == .pending(solicit: true))
    #expect(cache.resolve(IPAddress(v4: 5), at: seconds(5_000)) == .known(hardware))
  }

  @Test("However many strangers ask for us, the host in use and its packets are not forgotten")
  func keepsWhatIsUsed() {
    var cache = NeighborCache<Int>()
    let other = IPAddress(v4: 0x0A00_0002)
    _ = cache.resolve(host, at: .zero)
    _ = cache.confirm(host, is: hardware, at: .zero)
    _ = cache.resolve(other, at: .zero)
    _ = cache.hold(1, for: other)
    for number in 0..<2 * NeighborCache<Int>.entryLimit {
      _ = cache.learn(IPAddress(v4: 0x0B00_0000 + UInt32(number)), is: hardware, isNew: true, at: seconds(1))
    }
    #expect(cache.resolve(host, at: seconds(2)) == .known(hardware))
    #expect(cache.confirm(other, is: hardware, at: seconds(2)) == [1])
  }
}
