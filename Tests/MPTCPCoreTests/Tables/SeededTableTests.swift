import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct SeededTableTests {
  @Test(arguments: 1...20 as ClosedRange<UInt64>)
  func `the table agrees with a dictionary`(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var table = SeededTable<Token>(seed: generator.next())
    var model: [Token: Int32] = [:]
    // The range of keys goes up and down, so that the table grows, shrinks and empties.
    for step in 0..<6_000 {
      let isGrowing = step / 1_000 % 2 == 0
      let key = Token(UInt32.random(in: 0..<400, using: &generator))
      if Int.random(in: 0..<10, using: &generator) < (isGrowing ? 7 : 2) {
        let value = Int32(step)
        agree(table.insert(key, value), model.updateValue(value, forKey: key))
      } else {
        agree(table.remove(key), model.removeValue(forKey: key))
      }
      agree(table.count, model.count)
      let probe = Token(UInt32.random(in: 0..<400, using: &generator))
      agree(table[probe], model[probe])
    }
    for value in 0..<400 as Range<UInt32> { agree(table[Token(value)], model[Token(value)]) }
  }

  @Test func `tuples that differ in one bit are different keys`() {
    let base = FourTuple(
      local: TransportAddress(IPAddress(v4: 0x0A00_0001), 443),
      remote: TransportAddress(IPAddress(v4: 0x0A00_0002), 50_000))
    var table = SeededTable<FourTuple>(seed: 7)
    table.insert(base, 0)
    for bit in 0..<16 as Range<UInt16> {
      var other = base
      other.remote.port = Port(base.remote.port.rawValue ^ 1 << bit)
      #expect(table[other] == nil)
      table.insert(other, Int32(bit) + 1)
    }
    var swapped = base
    (swapped.local, swapped.remote) = (base.remote, base.local)
    #expect(table[swapped] == nil)
    #expect(table[base] == 0)
    #expect(table.count == 17)
  }

  @Test func `hashes depend on the seed and spread over the lower bits`() {
    var buckets = [Int](repeating: 0, count: 256)
    var differing = 0
    for port in 0..<4_096 as Range<UInt16> {
      let tuple = FourTuple(
        local: TransportAddress(IPAddress(v4: 0x0A00_0001), 443),
        remote: TransportAddress(IPAddress(v4: 0x0A00_0002), Port(port)))
      buckets[Int(tuple.hash(seed: 1) & 255)] += 1
      if tuple.hash(seed: 1) & 255 != tuple.hash(seed: 2) & 255 { differing += 1 }
    }
    // 16 to a bucket on average; a bucket of 48 would be eight standard deviations out.
    #expect(buckets.allSatisfy { $0 > 0 && $0 < 48 })
    #expect(differing > 4_000)
  }
}
