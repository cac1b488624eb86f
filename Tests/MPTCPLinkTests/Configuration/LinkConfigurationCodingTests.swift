import Foundation
import MPTCPLink
import MPTCPWire
import Testing

@Suite struct LinkConfigurationCodingTests {
  private func read(_ json: String) throws -> LinkConfiguration {
    try JSONDecoder().decode(LinkConfiguration.self, from: Data(json.utf8))
  }

  @Test func anObjectSaysWhatTheTextSays() throws {
    let json = """
      {"rate": "10Mbit/s", "delay": "20ms", "loss": "0.5%", "queue": "50ms", "discipline": "codel:ecn",
       "burst": "1%:25%", "corrupt": "0.01%", "mtu": 1280, "down": ["5s", "9s"], "up": "6s",
       "change": ["3s rate 2Mbit/s", "4s delay 80ms", "7s loss 3%", "8s rate unlimited"], "seed": 7}
      """
    let expected = LinkConfiguration(
      bitsPerSecond: 10_000_000, delay: .milliseconds(20), queueByteCount: 62_500, maximumTransmissionUnit: 1280,
      lossRate: .percent(0.5),
      schedule: [
        LinkEvent(after: .seconds(3), .rate(2_000_000)), LinkEvent(after: .seconds(4), .delay(.milliseconds(80))),
        LinkEvent(after: .seconds(7), .loss(.percent(3))), LinkEvent(after: .seconds(8), .rate(nil)),
        LinkEvent(after: .seconds(5), .down), LinkEvent(after: .seconds(9), .down), LinkEvent(after: .seconds(6), .up),
      ], seed: 7, queueDiscipline: .controlledDelay(ControlledDelayConfiguration(marks: true)),
      burstLoss: BurstLoss(enters: .percent(1), leaves: .percent(25)), corruptionRate: .percent(0.01))
    #expect(try read(json) == expected)
    #expect(try read(#""10mbit,20ms,loss=0.5%""#) == LinkConfiguration("10mbit,20ms,loss=0.5%"))
    #expect(try read("{}") == LinkConfiguration())
  }

  @Test func writingAndReadingGivesTheSameInBothForms() throws {
    for text in [
      "", "10mbit,20ms,queue=200KB,queue=100p,discipline=codel:3ms:70ms:ecn,burst=1%:25%:80%:0.1%,corrupt=1%",
      "change=3s rate 2mbit,down=5s,up=6s,change=7s loss 1%,change=8s delay 3ms,change=9s rate unlimited,change=9s mtu 1280,"
        + "change=10s mtu unlimited,seed=3",
      "burst=1%:25%,discipline=codel,jitter=2ms:reorder,reorder=1%:5ms,ecn=30KB,mtu=1400,dup=2%",
    ] {
      let configuration = try LinkConfiguration(parsing: text)
      #expect(LinkConfiguration("\(configuration)") == configuration)
      let json = try JSONEncoder().encode([configuration])
      var again = try #require(try JSONDecoder().decode([LinkConfiguration].self, from: json).first)
      // In an object, what happens at one time is in the order of its keys; the times themselves are what they were.
      #expect(Set(again.schedule) == Set(configuration.schedule))
      again.schedule = configuration.schedule
      #expect(again == configuration)
    }
  }

  @Test(arguments: [
    (#"{"loss": "2"}"#, "loss", "0% to 100%"), (#"{"rate": "fast"}"#, "rate", "40mbit"),
    (#"{"speed": "1mbit"}"#, "speed", "discipline="), (#"{"delay": true}"#, "delay", "string"),
    (#"{"queue": "50ms"}"#, "queue", "a rate too"), (#"{"discipline": "red"}"#, "discipline", "codel"),
    (#"{"burst": "1%"}"#, "burst", "25%"), (#"{"change": ["3s colour red"]}"#, "change", "3s rate 2mbit"),
    (#"{"change": "3s down now"}"#, "change", "3s rate 2mbit"), (#""1mbit,loss=x""#, "loss", "0% to 100%"),
  ])
  func anErrorNamesTheKeyAndTheForm(json: String, key: String, form: String) {
    #expect {
      try read(json)
    } throws: { error in
      guard case .dataCorrupted(let context) = error as? DecodingError else { return false }
      return context.debugDescription.contains(key) && context.debugDescription.contains(form)
    }
  }

  @Test func timesAndSharesAreStringsEverywhere() throws {
    let json = try JSONEncoder().encode([Nanoseconds.milliseconds(20), Nanoseconds(1_500_000_001)])
    #expect(String(decoding: json, as: UTF8.self) == #"["20ms","1500000001ns"]"#)
    #expect(
      try JSONDecoder().decode([Nanoseconds].self, from: json) == [.milliseconds(20), Nanoseconds(1_500_000_001)])
    #expect(try JSONDecoder().decode([Probability].self, from: Data(#"["0.5%"]"#.utf8)) == [.percent(0.5)])
  }
}
