import MPTCPLink
import MPTCPWire
import Testing

@Suite struct LinkTextTests {
  @Test func aLineOfTextIsAConfiguration() throws {
    let text = "40mbit, 20ms,loss=1%,queue=200KB,reorder=1%:5ms,dup=0.5%,jitter=2ms,ecn=30KB,mtu=1280,seed=42"
    let expected = LinkConfiguration(
      bitsPerSecond: 40_000_000, delay: .milliseconds(20), jitter: .milliseconds(2), queueByteCount: 200_000,
      markingByteCount: 30_000, maximumTransmissionUnit: 1280, lossRate: .percent(1), duplicationRate: .percent(0.5),
      reorderRate: .percent(1), reorderDelay: .milliseconds(5), seed: 42)
    #expect(try LinkConfiguration(parsing: text) == expected)
    #expect(LinkConfiguration("") == LinkConfiguration())
    #expect(
      LinkConfiguration("down=5s,up=8.5s")?.schedule == [
        LinkEvent(after: .seconds(5), .down), LinkEvent(after: .milliseconds(8500), .up),
      ])
    #expect(LinkConfiguration("jitter=1ms:reorder")?.jitterReorders == true)
  }

  @Test func unitsAreThoseOfTheTrade() {
    #expect(LinkConfiguration("1.5gbit")?.bitsPerSecond == 1_500_000_000)
    #expect(LinkConfiguration("rate=9600bit")?.bitsPerSecond == 9600)
    #expect(LinkConfiguration("64Kbit")?.bitsPerSecond == 64_000)
    #expect(LinkConfiguration("delay=15us")?.delay == .microseconds(15))
    #expect(LinkConfiguration("0")?.delay == .zero)
    #expect(LinkConfiguration("queue=64KiB")?.queueByteCount == 65_536)
    #expect(LinkConfiguration("queue=1500")?.queueByteCount == 1500)
    #expect(LinkConfiguration("queue=100p")?.queuePacketCount == 100)
    #expect(LinkConfiguration("queue=50ms,40mbit")?.queueByteCount == 250_000)
  }

  @Test(
    "Of a limit in bytes and one in time the last one counts, and one of packets holds beside it",
    arguments: [
      ("queue=1s,queue=20KB,1mbit", 20_000, nil), ("queue=20KB,queue=1s,1mbit", 125_000, nil),
      ("queue=20KB,queue=30KB", 30_000, nil), ("queue=2s,queue=1s,1mbit", 125_000, nil),
      ("queue=10p,queue=20KB,queue=9p", 20_000, 9), ("queue=1s,queue=10p,1mbit", 125_000, 10),
      // Without a rate a time that does not count is in nobody's way.
      ("queue=1s,queue=20KB", 20_000, nil),
    ] as [(String, Int?, Int?)])
  func queueLimits(text: String, byteCount: Int?, packetCount: Int?) throws {
    let configuration = try LinkConfiguration(parsing: text)
    #expect(configuration.queueByteCount == byteCount && configuration.queuePacketCount == packetCount)
  }

  @Test func writingAndReadingGivesTheSameConfiguration() {
    let configurations = [
      LinkConfiguration(),
      LinkConfiguration(
        bitsPerSecond: 1_234_567, delay: .microseconds(1500), jitter: Nanoseconds(77), jitterReorders: true,
        queueByteCount: 150_500, queuePacketCount: 9, markingByteCount: 1, maximumTransmissionUnit: 1400,
        lossRate: Probability(1e-9), duplicationRate: .percent(33.333), reorderRate: .always, reorderDelay: .seconds(1),
        schedule: [LinkEvent(after: .zero, .down), LinkEvent(after: .milliseconds(1), .up)], seed: .max),
    ]
    for configuration in configurations { #expect(LinkConfiguration("\(configuration)") == configuration) }
    for percent in [0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 99.9, 100] {
      #expect("\(Probability.percent(percent))" == (percent.rounded() == percent ? "\(Int(percent))%" : "\(percent)%"))
    }
  }

  @Test(arguments: [
    "40", "40mbps", "0mbit", "-1ms", "loss=1", "loss=101%", "loss=-1%", "loss=nan%", "queue=x", "reorder=1%",
    "reorder=1%:2",
    "dup=", "speed=1", "40mbit,,20ms", "seed=-1", "queue=50ms", "99999999999999999999mbit", "1e3ms", "down=soon", "=",
    "mtu=1.5p", "mtu=67B",
  ])
  func aWrongPartIsNamed(text: String) {
    #expect(LinkConfiguration(text) == nil)
    #expect { try LinkConfiguration(parsing: text) } throws: { error in
      guard let error = error as? LinkTextError else { return false }
      return (error.part.isEmpty || text.contains(error.part)) && !error.expected.isEmpty
    }
  }

  @Test func probabilitiesOutsideTheirRangeAreBroughtInside() {
    #expect(Probability(-1) == .never)
    #expect(Probability(.nan) == .never)
    #expect(Probability(7) == .always)
    #expect(Probability(.infinity) == .always)
    #expect(Probability(0.25).share == 0.25)
  }

  @Test(
    "A number that cannot be is told why",
    arguments: [
      ("0mbit", "a rate above 0, such as 40mbit"), ("99999999999gbit", "9000000000gbit at most"),
      ("99999999999.5gbit/s", "9000000000gbit at most"), ("1e3mbit", "a number without an exponent"),
      ("rate=0bit", "a rate above 0, such as 40mbit"), ("99999999999999s", "10000000s at most"),
      ("10000001s", "10000000s at most"), ("1e30s", "a number without an exponent"),
      ("jitter=1e-3ms", "a number without an exponent"), ("1mbit,queue=99999999999999s", "10000000s at most"),
      ("queue=99999999999999999MB", "9000000000000MB at most"), ("40mbits", "a rate or a delay"),
      ("change=1s rate 0mbit", "a rate above 0, such as 40mbit"),
    ])
  func impossibleNumbers(text: String, expected: String) {
    let error = #expect(throws: LinkTextError.self) { try LinkConfiguration(parsing: text) }
    #expect(error?.expected == expected)
  }
}
