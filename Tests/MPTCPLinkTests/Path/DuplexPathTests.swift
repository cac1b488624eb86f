import Foundation
import MPTCPWire
import PacketFactory
import Testing

@testable import MPTCPLink

@Suite struct DuplexPathTests {
  private let talk = Conversation()

  private func arrivals(_ path: inout DuplexPath, at end: DuplexPath.End) -> [DuplexPath.Arrival] {
    var all: [DuplexPath.Arrival] = []
    while let deadline = path.nextDeadline {
      while let packet = path.receive(at: end, at: deadline) { all.append(packet) }
      while path.receive(at: end.opposite, at: deadline) != nil {}
    }
    return all
  }

  @Test func eachDirectionHasItsLink() {
    var path = DuplexPath(
      DuplexPathConfiguration(
        LinkConfiguration(delay: .milliseconds(10)), backward: LinkConfiguration(delay: .milliseconds(30))), at: .zero)
    path.send(talk.syn(), from: .client, tag: 1, at: .zero)
    path.send(talk.synAck(), from: .server, tag: 2, at: .zero)
    #expect(path.nextDeadline == milliseconds(10))
    // Asked late, it says when things happened.
    let there = path.receive(at: .server, at: milliseconds(100))
    let back = path.receive(at: .client, at: milliseconds(100))
    #expect(there?.bytes == talk.syn() && there?.tag == 1 && there?.time == milliseconds(10))
    #expect(back?.bytes == talk.synAck() && back?.tag == 2 && back?.time == milliseconds(30))
    #expect(path.nextDeadline == nil && path.packetCount == 0)
    #expect(path.counters(.forward).delivered.packetCount == 1)
  }

  @Test func clientBoxesActBeforeTheQueueAndServerBoxesBehindTheDelay() {
    // A packet that the client's box drops never uses the link; one that the server's box drops has.
    let drop = MiddleboxConfiguration.drop(SegmentDropping())
    for (isClient, sentCount) in [(true, 0), (false, 1)] {
      var path = DuplexPath(
        DuplexPathConfiguration(
          LinkConfiguration(delay: .milliseconds(10)), clientBoxes: isClient ? [drop] : [],
          serverBoxes: isClient ? [] : [drop]), at: .zero)
      path.send(talk.syn(), from: .client, at: .zero)
      #expect(arrivals(&path, at: .server).isEmpty)
      #expect(path.counters(.forward).sent.packetCount == sentCount)
      #expect(path.boxes[0].counters[.segmentDropped] == 1)
    }
  }

  @Test func aBoxesAnswerTravelsBackFromWhereTheBoxStands() {
    let drop = MiddleboxConfiguration.drop(SegmentDropping(answersWithReset: true))
    for (isClient, time) in [(true, 0), (false, 40)] {
      var path = DuplexPath(
        DuplexPathConfiguration(
          LinkConfiguration(delay: .milliseconds(20)), clientBoxes: isClient ? [drop] : [],
          serverBoxes: isClient ? [] : [drop]), at: .zero)
      path.send(talk.syn(), from: .client, tag: 8, at: .zero)
      let answers = arrivals(&path, at: .client)
      #expect(answers.map(\.time) == [milliseconds(Int64(time))])
      #expect(answers.first?.tag == 8)
    }
  }

  @Test func boxesStandInTheOrderOfTheirListForBothDirections() throws {
    // The NAT stands behind the box that rewrites numbers: what the server sees is translated twice, and back twice.
    var path = DuplexPath(
      DuplexPathConfiguration(
        clientBoxes: [.rewriteSequence(SequenceRewriting()), .nat(AddressTranslation())],
        serverBoxes: [.clampSegmentSize(SegmentSizeClamping(byteCount: 1000))], seed: 3), at: .zero)
    path.send(talk.syn(), from: .client, at: .zero)
    let syn = try #require(arrivals(&path, at: .server).first)
    let seen = MiddleboxPacket(syn.bytes, .forward)
    #expect(seen.isIntact && seen.options?.maximumSegmentSize == 1000)
    let segment = try #require(seen.segment)
    #expect(segment.source.port != 40_000)
    var template = SegmentTemplate()
    (template.source, template.destination) = (segment.destination, segment.source)
    template.flags = [.syn, .ack]
    template.acknowledgmentNumber = segment.end
    path.send(template.packet(), from: .server, at: .zero)
    let answer = MiddleboxPacket(try #require(arrivals(&path, at: .client).first).bytes, .backward)
    #expect(answer.isIntact && answer.acknowledged == 0)
    #expect(answer.segment?.destination.port == 40_000)
    #expect(path.boxes.map(\.configuration.kind) == [.rewriteSequence, .nat, .clampSegmentSize])
  }

  @Test func boxesThatWaitAreServedAtTheirTimes() {
    var path = DuplexPath(
      DuplexPathConfiguration(
        LinkConfiguration(delay: .milliseconds(10)), clientBoxes: [.merge(SegmentMerging(hold: .milliseconds(5)))],
        serverBoxes: [.replay(SegmentReplay(chance: .always, after: .milliseconds(7)))]), at: .zero)
    path.send(talk.data(stream(0..<100), at: 0), from: .client, at: .zero)
    #expect(path.nextDeadline == milliseconds(5))
    let all = arrivals(&path, at: .server)
    #expect(all.map(\.time) == [milliseconds(15), milliseconds(22)])
  }

  @Test func aSuperSegmentIsCutFirst() {
    var path = DuplexPath(DuplexPathConfiguration(), at: .zero)
    let packet = SegmentTemplate(payloadByteCount: 3000).partialPacket()
    path.send(superSegment: packet.span.bytes, segmentByteCount: 1000, from: .client, tag: 4, at: .zero)
    let all = arrivals(&path, at: .server)
    #expect(all.count == 3 && all.allSatisfy { $0.tag == 4 && MiddleboxPacket($0.bytes, .forward).isIntact })
  }

  @Test func bothLinksAreCutAndComeBack() {
    var path = DuplexPath(DuplexPathConfiguration(), at: .zero)
    path.set(isUp: false, at: .zero)
    path.send(talk.syn(), from: .client, at: .zero)
    #expect(path.nextDeadline == nil)
    path.set(isUp: true, at: milliseconds(1))
    path.send(talk.syn(), from: .client, at: milliseconds(1))
    #expect(path.receive(at: .server, at: milliseconds(1)) != nil)
  }

  /// A conversation in which much goes wrong, as what each end gets and when.
  private func trace(_ configuration: DuplexPathConfiguration, asksOften: Bool) -> [[DuplexPath.Arrival]] {
    var path = DuplexPath(configuration, at: .zero)
    var all: [[DuplexPath.Arrival]] = [[], []]
    func take(at time: Instant) {
      for (index, end) in DuplexPath.End.allCases.enumerated() {
        while let packet = path.receive(at: end, at: time) { all[index].append(packet) }
      }
    }
    path.send(talk.syn(), from: .client, at: .zero)
    path.send(talk.synAck(), from: .server, at: .zero)
    for number in 0..<3000 {
      let time = Instant(nanoseconds: Int64(number) * 300_000)
      if asksOften {
        while let deadline = path.nextDeadline, deadline <= time { take(at: deadline) }
      }
      path.send(
        talk.data(stream(number * 100..<number * 100 + 100), at: number * 100), from: .client, tag: UInt64(number),
        at: time)
      if number % 2 == 0 { path.send(talk.ack(number * 90), from: .server, at: time) }
    }
    take(at: milliseconds(100_000))
    return all
  }

  @Test func theTraceComesFromTheSeedAndNotFromWhenTheHostAsks() throws {
    let json = """
      {"forward": {"rate": "5Mbit/s", "delay": "12ms", "loss": "2%", "dup": "1%", "reorder": "1%:3ms",
                   "discipline": "codel", "queue": "50KB", "corrupt": "0.5%", "burst": "0.1%:20%"},
       "backward": "1mbit,30ms",
       "boxes": [{"replay": {"chance": "5%"}}, {"merge": {"hold": "2ms"}}, "acknowledgeEarly"],
       "serverBoxes": ["rewriteSequence", {"cut": {"byteCount": 60, "chance": "50%"}}], "seed": 12}
      """
    var configuration = try JSONDecoder().decode(DuplexPathConfiguration.self, from: Data(json.utf8))
    let first = trace(configuration, asksOften: false)
    #expect(first == trace(configuration, asksOften: true))
    #expect(first.allSatisfy { $0.count > 100 })
    configuration.seed = 13
    #expect(first != trace(configuration, asksOften: false))
    let again = try JSONDecoder().decode(
      DuplexPathConfiguration.self, from: JSONEncoder().encode(configuration))
    #expect(again == configuration)
  }
}
