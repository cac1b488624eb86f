import Foundation
import MPTCPWire
import Testing

@testable import MPTCPLink

@Suite struct MiddleboxConfigurationTests {
  private func read(_ json: String) throws -> MiddleboxConfiguration {
    try JSONDecoder().decode(MiddleboxConfiguration.self, from: Data(json.utf8))
  }

  @Test func aBoxIsReadableInAMinute() throws {
    #expect(
      try read(#"{"strip": {"option": "mptcp", "on": ["syn"]}}"#)
        == .strip(OptionStripping(option: .multipath, on: [.syn])))
    #expect(
      try read(#"{"drop": {"option": "mptcp.join", "answersWithReset": true}}"#)
        == .drop(SegmentDropping(option: .multipath(.join), answersWithReset: true)))
    #expect(
      try read(#"{"drop": {"option": "any", "withData": true}}"#)
        == .drop(SegmentDropping(option: nil, withData: true)))
    #expect(
      try read(#"{"nat": {"addresses": ["192.0.2.1", "2001:db8::1"], "rebind": ["5s"], "idle": "1.5s"}}"#)
        == .nat(
          AddressTranslation(
            addresses: [IPAddress(v4: 0xc000_0201), IPAddress(v6High: 0x2001_0db8_0000_0000, low: 1)],
            rebind: [.seconds(5)], idle: .milliseconds(1500))))
    #expect(
      try read(#"{"changePayload": {"chance": "1%", "after": "20KB", "direction": "backward"}}"#)
        == .changePayload(PayloadChange(after: 20_000, direction: .backward, chance: .percent(1))))
    #expect(
      try read(#"{"acknowledgeEarly": {"byteCount": 65536}}"#)
        == .acknowledgeEarly(EarlyAcknowledgment(byteCount: 65_536)))
    #expect(try read(#""rewriteSequence""#) == .rewriteSequence(SequenceRewriting()))
    #expect(try read(#"{"stripSYNData": {}}"#) == .stripSYNData)
  }

  @Test(arguments: MiddleboxRobustnessTests.eager.indices) func writingAndReadingGivesTheSame(index: Int) throws {
    let box = MiddleboxRobustnessTests.eager[index]
    let json = try JSONEncoder().encode([box])
    #expect(try JSONDecoder().decode([MiddleboxConfiguration].self, from: json) == [box])
  }

  @Test func whatIsAsUsualIsNotWritten() throws {
    let json = try JSONEncoder().encode(MiddleboxConfiguration.strip(OptionStripping(on: [.syn])))
    #expect(String(decoding: json, as: UTF8.self) == #"{"strip":{"on":["syn"]}}"#)
  }

  @Test(arguments: [
    (#"{"strip": {"option": "mptpc"}}"#, "option", "mptcp.join"),
    (#"{"strip": {"options": "mptcp"}}"#, "options", "shortensHeader"),
    (#"{"strp": {}}"#, "strp", "rewriteSequence"), (#"{"strip": {}, "nat": {}}"#, "nat, strip", "one key"),
    (#""natt""#, "natt", "firewall"), (#"{"nat": {"idle": "soon"}}"#, "idle", "20ms"),
    (#"{"nat": {"addresses": ["1.2.3"]}}"#, "1.2.3", "192.0.2.1"),
    (#"{"replay": {"chance": "2"}}"#, "chance", "0%"),
    (#"{"changePayload": {"find": "abc", "replace": "ab"}}"#, "replace", "as long as"),
    (#"{"cut": {"byteCount": 0}}"#, "byteCount", "at least 1"),
  ])
  func anErrorNamesTheKeyAndWhatIsAllowed(json: String, key: String, allowed: String) {
    #expect {
      try read(json)
    } throws: { error in
      guard case .dataCorrupted(let context) = error as? DecodingError else { return false }
      return context.debugDescription.contains(key) && context.debugDescription.contains(allowed)
    }
  }

  @Test(arguments: ["mptcp", "mptcp.dss", "timestamps", "unknown", "253", "sack"])
  func aSelectionIsItsText(text: String) { #expect(OptionSelection(text)?.description == text) }

  @Test(arguments: ["", "mptcp.", "1", "0", "256", "MPTCP"]) func otherTextsAreNoSelection(text: String) {
    #expect(OptionSelection(text) == nil)
  }
}
