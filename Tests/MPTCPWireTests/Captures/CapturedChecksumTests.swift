import PacketFactory
import Testing

@testable import MPTCPWire

/// Checksums of captures that hold whole payloads.
@Suite(.enabled(if: Captures.folder != nil, "no captures: set MPTCP_CAPTURES"))
struct CapturedChecksumTests {
  /// One direction of a subflow: what was captured of its stream, from subflow sequence number 1 on.
  struct Stream {
    var start: SequenceNumber
    var octets: [UInt8] = []
    /// The runs of `octets` that were captured, in order and apart from each other.
    var present: [Range<Int>] = []
    var mappings: [(frame: Int, mapping: DSSMapping, dataFin: Bool)] = []

    mutating func store(_ payload: ArraySlice<UInt8>, at number: SequenceNumber) {
      let start = number - start - 1
      guard start >= 0, !payload.isEmpty else { return }
      let run = start..<start + payload.count
      if octets.count < run.upperBound { octets += [UInt8](repeating: 0, count: run.upperBound - octets.count) }
      // Of octets that came twice the first copy counts, as in a receiver.
      var position = run.lowerBound
      for known in present.filter({ $0.overlaps(run) }) + [run.upperBound..<run.upperBound] {
        if position < known.lowerBound {
          let offset = payload.startIndex + position - run.lowerBound
          octets.replaceSubrange(
            position..<known.lowerBound, with: payload[offset..<offset + known.lowerBound - position])
        }
        position = max(position, known.upperBound)
      }
      let near = present.filter { $0.upperBound >= run.lowerBound && $0.lowerBound <= run.upperBound }
      let union =
        min(
          near.first?.lowerBound ?? run.lowerBound, run.lowerBound)..<max(
          near.last?.upperBound ?? run.upperBound, run.upperBound)
      present.removeAll { $0.upperBound >= run.lowerBound && $0.lowerBound <= run.upperBound }
      present.insert(union, at: present.firstIndex { $0.lowerBound > union.lowerBound } ?? present.count)
    }

    func holds(_ range: Range<Int>) -> Bool {
      range.isEmpty || present.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
    }
  }

  static func streams(_ segments: [CapturedSegment]) -> [FourTuple: Stream] {
    var streams: [FourTuple: Stream] = [:]
    for segment in segments {
      if segment.header.flags.contains(.syn) {
        streams[segment.tuple] = Stream(start: segment.header.sequenceNumber)
        continue
      }
      streams[segment.tuple]?.store(segment.payload, at: segment.header.sequenceNumber)
      for case .dss(let dss) in segment.options {
        guard let mapping = dss.mapping, mapping.checksum != nil else { continue }
        streams[segment.tuple]?.mappings.append((segment.frame, mapping, dss.dataFin))
      }
    }
    return streams
  }

  /// Counts of right and wrong checksums over all mappings whose data is there.
  static func verdicts(_ name: String) throws -> (right: Int, wrong: [Int]) {
    let streams = streams(try CaptureFile(path: Captures.path(name)).segments())
    var right = 0
    var wrong: [Int] = []
    for stream in streams.values {
      for (frame, mapping, dataFin) in stream.mappings {
        guard let checksum = mapping.checksum, case .eight(let dsn) = mapping.dsn, mapping.length > 0 else { continue }
        let count = Int(mapping.length) - (dataFin ? 1 : 0)
        let start = count == 0 ? 0 : Int(mapping.subflowSequenceNumber) - 1
        guard start >= 0, stream.holds(start..<start + count) else { continue }
        var sum = DSSChecksum()
        sum.add(stream.octets.span.bytes.extracting(start..<start + count))
        let verifies = sum.verifies(
          checksum, dsn: DataSequenceNumber(dsn), subflowSequenceNumber: mapping.subflowSequenceNumber,
          length: mapping.length)
        if verifies { right += 1 } else { wrong.append(frame) }
      }
    }
    return (right, wrong.sorted())
  }

  // Requirement 8684-3.3.1-07, 8684-3.3.1-09
  @Test(.timeLimit(.minutes(5)), arguments: ["kernel/csum_2path_fullsnap.pcap", "kernel/csum_20conn.pcap"])
  func everyDSSChecksumOfTheKernelVerifies(name: String) throws {
    let verdicts = try Self.verdicts(name)
    #expect(verdicts.right > 100)
    #expect(verdicts.wrong.isEmpty)
  }

  @Test func theChecksumThatMadeTheKernelFailIsWrongForUsToo() throws {
    let sent = try Self.verdicts("kernel/mpfail_single_client.pcap")
    let received = try Self.verdicts("kernel/mpfail_single_server.pcap")
    #expect(sent.wrong.isEmpty && sent.right > 50)
    #expect(received.wrong.first == 101)
  }

  @Test(.timeLimit(.minutes(5)), arguments: Captures.names)
  func writingWhatWasReadGivesTheSameOptions(name: String) throws {
    for segment in try CaptureFile(path: Captures.path(name)).segments() {
      for option in segment.options {
        var block = TCPOptionBlock()
        guard block.append(option) else {
          if case .experimental = option { continue }
          Issue.record("\(name) frame \(segment.frame): \(option) is not written")
          continue
        }
        let bytes = block.withBytes { Array($0) }
        var found: [TCPOption] = []
        try TCPOption.forEach(in: bytes.span.bytes) { option, _ in
          if option != .noOperation { found.append(option) }
        }
        #expect(found == [.multipath(option)])
      }
    }
  }
}
