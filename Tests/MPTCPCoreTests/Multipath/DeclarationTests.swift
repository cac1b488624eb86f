import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// What holds for every packet of a transfer, whatever the paths do to it.
@Suite struct DeclarationTests {
  /// What one side has said on one subflow.
  private struct Flow {
    var start: SequenceNumber
    var isJoined: Bool
    /// Data sequence number less subflow sequence number, for each octet that a mapping covered.
    var distances: [Int: UInt64] = [:]
    var octets: [Int: UInt8] = [:]
    var repeatedByteCount = 0
  }

  private struct Witness {
    var flows: [[FourTuple: Flow]] = [[:], [:]]
    var nonces: [Set<UInt32>] = [[], []]
    var joinCount = [0, 0]
    var firstNumber: [UInt64?] = [nil, nil]
    var isConfirmed = [false, false]
    var faults: Set<String> = []

    mutating func see(_ packet: WirePacket, from side: Int) {
      let tuple = FourTuple(
        local: TransportAddress(packet.source, packet.tcp.sourcePort),
        remote: TransportAddress(packet.destination, packet.tcp.destinationPort))
      check(packet.join != nil && packet.capable != nil, "MP_CAPABLE beside MP_JOIN")
      if packet.isSyn || packet.isSynAck {
        let isNew = flows[side].updateValue(
          Flow(start: packet.tcp.sequenceNumber, isJoined: packet.join != nil), forKey: tuple)
        switch packet.join {
        case .syn(_, _, _, let nonce)?, .synAck(_, _, _, let nonce)?:
          if isNew == nil {
            joinCount[side] += 1
            nonces[side].insert(nonce)
          }
        case .ack?, nil: break
        }
        return
      }
      guard var flow = flows[side][tuple] else { return }
      let at = packet.tcp.sequenceNumber - flow.start
      check(flow.isJoined && packet.capable != nil, "MP_CAPABLE on a joined subflow")
      check(packet.isFin && packet.dss?.dataFin == true && flows[side].count > 1, "DATA_FIN and FIN together")
      if let mapping = packet.dss?.mapping, mapping.length > 0 { note(mapping, of: packet, at: at, side, &flow) }
      let isMapped = packet.dss?.mapping != nil || packet.capable?.dataLength != nil
      check(!packet.payload.isEmpty && !isMapped && !isConfirmed[side], "data without mapping before a DATA_ACK")
      for (index, octet) in packet.payload.enumerated() {
        if let known = flow.octets.updateValue(octet, forKey: at + index) {
          check(known != octet, "another octet at the same number")
          flow.repeatedByteCount += 1
        }
      }
      flows[side][tuple] = flow
      if case .eight(let number)? = packet.dss?.dataAck, let first = firstNumber[1 - side], number &- first < 1 << 62 {
        if number != first { isConfirmed[1 - side] = true }
      }
    }

    private mutating func note(
      _ mapping: DSSMapping, of packet: WirePacket, at: Int, _ side: Int, _ flow: inout Flow
    ) {
      guard case .eight(let number) = mapping.dsn else { return check(true, "a data sequence number of 32 bits") }
      let length = Int(mapping.length) - (packet.dss?.dataFin == true ? 1 : 0)
      guard length > 0 else {
        return check(mapping.subflowSequenceNumber != 0, "a DATA_FIN alone with a subflow sequence number")
      }
      firstNumber[side] = min(firstNumber[side] ?? number, number)
      let from = Int(mapping.subflowSequenceNumber)
      check(
        from >= at + packet.payload.count || from + length <= at, "a mapping that does not touch its segment")
      for place in from..<from + length {
        let distance = number &+ UInt64(place - from) &- UInt64(place)
        if let known = flow.distances.updateValue(distance, forKey: place) {
          check(known != distance, "a mapping that was changed")
        }
      }
    }

    private mutating func check(_ isWrong: Bool, _ fault: String) { if isWrong { faults.insert(fault) } }
  }

  /// Loss on both paths, and one of them goes silent for a second: repairs, reinjections, new joins.
  // Requirement 8684-3.1-49, 8684-3.2-04, 8684-3.3.1-03, 8684-3.3.1-21, 8684-3.3.1-25, 8684-3.3.3-04, 8684-3.3.3-07
  // Requirement 8684-3.3.6-02, 8684-3.7-03
  @Test(arguments: [1, 2, 3])
  func everyMappingAndEveryOctetStaysAsItWasDeclared(seed: UInt64) throws {
    var lossy = quick
    lossy.lossRate = .percent(2)
    let pair = Pair([lossy, lossy], seed: seed, offload: false)
    let exchange = try Exchange(pair, clientSends: 500_000, serverSends: 100_000, seed: seed)
    var witness = Witness()
    var isSilent = false
    pair.middlebox { side, packet in
      witness.see(packet, from: side)
      return !(isSilent && packet.path == 1)
    }
    pair.run(for: .milliseconds(200))
    isSilent = true
    pair.run(for: .seconds(1))
    isSilent = false
    exchange.expectWhole(within: .seconds(60), isMultipath: true)
    #expect(witness.faults.isEmpty)
    #expect(witness.joinCount[0] > 0 && witness.nonces[0].count == witness.joinCount[0])
    #expect(witness.nonces[1].count == witness.joinCount[1])
    #expect(witness.isConfirmed == [true, true])
    #expect(witness.flows[0].values.contains { $0.isJoined && $0.repeatedByteCount > 0 })
  }
}
