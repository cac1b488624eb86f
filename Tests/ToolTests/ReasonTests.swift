#if os(Linux)
  import MPTCPTools
  import Multipath
  import Testing

  @Suite("Reasons in words")
  struct ReasonTests {
    @Test(
      "Each code of a reset has its words, also one that nobody has defined",
      arguments: [
        (0, "reset by the peer"), (1, "reset by the peer (Multipath TCP error)"),
        (2, "reset by the peer (lack of resources)"), (3, "reset by the peer (administratively prohibited)"),
        (4, "reset by the peer (too much outstanding data)"), (5, "reset by the peer (unacceptable performance)"),
        (6, "reset by the peer (middlebox interference)"), (77, "reset by the peer (reason 77)"),
      ] as [(UInt8, String)])
    func resets(code: UInt8, words: String) {
      #expect(SubflowCloseReason.resetByPeer(ResetReasonCode(code), isTransient: false).words == words)
      let ours = SubflowCloseReason.reset(ResetReasonCode(code), isTransient: false).words
      #expect(ours == words.replacing("the peer", with: "us"))
    }

    @Test("No reason is told as Swift spells it")
    func plainWords() {
      let ends: [SubflowCloseReason] = [
        .finished, .resetByPeer(nil, isTransient: true), .timedOut, .connectTimedOut, .refused, .pathRemoved,
        .closedByPolicy, .connectionClosed,
      ]
      let fallbacks: [FallbackReason] = [
        .peerWithoutMultipath, .unacceptableCapability, .optionMissingOnThirdAck, .optionMissingOnData,
        .checksumFailed, .infiniteMapping, .peerSignalledFailure, .synsLost,
      ]
      let lines = ends.map(\.words) + fallbacks.map(\.words)
      #expect(Set(lines).count == lines.count)
      for line in lines {
        #expect(!line.isEmpty && !line.contains { $0 == "(" || $0 == "." }, "\(line)")
        #expect(!line.split(separator: " ").dropFirst().isEmpty || line == "finished", "\(line)")
      }
    }
  }
#endif
