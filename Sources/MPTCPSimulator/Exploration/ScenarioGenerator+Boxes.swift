import MPTCPLink
import MPTCPWire

// The boxes on the paths of a random scenario.
extension ScenarioGenerator {
  /// How often each kind of box is drawn among all. One that changes the length of data is rare, because the DSS
  /// checksum finds it in all but one of 65,535 cases.
  private static let weights: [(kind: MiddleboxConfiguration.Kind, weight: Int)] = [
    (.strip, 8), (.rewriteSequence, 3), (.cut, 3), (.merge, 2), (.clampSegmentSize, 3), (.changePayload, 3),
    (.resizePayload, 1), (.drop, 6), (.acknowledgeEarly, 3), (.nat, 8), (.firewall, 5), (.reset, 4), (.replay, 3),
  ]

  /// Most scenarios have none, so that most connections have both paths to themselves.
  func addBoxes(to scenario: inout Scenario, _ dice: inout Dice) {
    addHandshakeBox(to: &scenario, &dice)
    guard dice.happens(40) else { return }
    let first = dice.number(0...scenario.paths.count - 1)
    let isTogether = dice.happens(40)
    for index in 0..<(dice.happens(20) ? 2 : 1) {
      var place = dice.number(1...Self.weights.reduce(0) { $0 + $1.weight })
      guard
        let kind = Self.weights.first(where: {
          place -= $0.weight
          return place <= 0
        })?.kind
      else { return }
      // Two on one path may hide from both ends what each alone would show: one acknowledges what the other makes
      // unusable.
      let path = (first + (isTogether ? 0 : index)) % scenario.paths.count
      let neighbours = scenario.paths[path].boxes.map(\.kind)
      guard neighbours.isEmpty || kind != .acknowledgeEarly && !neighbours.contains(.acknowledgeEarly) else { return }
      scenario.paths[path].boxes.append(box(kind, &dice))
      guard kind == .changePayload || kind == .resizePayload else { continue }
      for index in scenario.transfers.indices {
        // Nothing but the checksum tells (RFC 8684 §3.7).
        scenario.transfers[index].clientOptions.checksum = true
        // Where a question became shorter, both sides would wait for the other for ever.
        let rounds = scenario.transfers[index].rounds ?? 1
        scenario.transfers[index].rounds = nil
        scenario.transfers[index].uploadByteCount *= rounds
        scenario.transfers[index].downloadByteCount *= rounds
      }
    }
  }

  /// Where connections open with data, a box on the path on which they do may take that away, or what confirms it.
  private func addHandshakeBox(to scenario: inout Scenario, _ dice: inout Dice) {
    guard scenario.transfers.contains(where: \.clientOptions.fastOpen), dice.happens(15) else { return }
    let choices: [MiddleboxConfiguration] = [
      .stripSYNData, .strip(OptionStripping(option: .multipath, on: [.thirdAck])),
      .strip(OptionStripping(option: .multipath, on: [.thirdAck, .data, .ack, .fin])),
    ]
    scenario.paths[0].boxes.append(dice.pick(choices))
  }

  private func box(_ kind: MiddleboxConfiguration.Kind, _ dice: inout Dice) -> MiddleboxConfiguration {
    let direction = dice.pick([PathDirection?.none, .forward, .backward])
    switch kind {
    case .strip: return .strip(stripping(&dice))
    case .rewriteSequence: return .rewriteSequence(SequenceRewriting(translatesSACK: dice.happens(60)))
    case .cut:
      return .cut(
        SegmentCutting(
          byteCount: dice.number(200...1200), copiesOptions: dice.happens(70), direction: direction,
          chance: .percent(Double(dice.number(1...100)))))
    case .merge:
      return .merge(
        SegmentMerging(
          byteCount: dice.number(1500...6000), hold: .microseconds(Int64(dice.number(1...50) * 100)),
          direction: direction))
    case .clampSegmentSize:
      return .clampSegmentSize(SegmentSizeClamping(byteCount: dice.number(500...1400), direction: direction))
    case .changePayload:
      return .changePayload(
        PayloadChange(
          after: dice.number(0...100) * 1000, direction: direction, chance: .percent(Double(dice.number(1...40)) / 10)))
    case .resizePayload:
      let size = dice.number(1...200)
      // An even number of octets that goes at the front of a mapping comes behind it when the mapping is repeated, and
      // the sum of all words is what it was: no checksum tells.
      return .resizePayload(
        PayloadResizing(
          at: dice.number(0...100) * 1000, by: dice.happens(50) ? size : -(size | 1),
          direction: dice.pick([.forward, .backward])))
    case .drop: return .drop(dropping(&dice))
    case .stripSYNData: return .stripSYNData
    case .acknowledgeEarly:
      // One that keeps no copies destroys plain TCP: both ends believe for ever that nothing is missing.
      return .acknowledgeEarly(
        EarlyAcknowledgment(
          byteCount: dice.number(8...256) * 1024, direction: dice.pick([.forward, .backward])))
    case .nat:
      let rebindings = dice.happens(70) ? (0..<dice.number(1...3)).map { _ in moment(&dice) } : []
      return .nat(
        AddressTranslation(rebind: rebindings, idle: dice.happens(15) ? .seconds(Int64(dice.number(1...60))) : nil))
    case .firewall:
      return .firewall(
        Firewalling(
          checksWindow: dice.happens(80), allowsBackwardOpening: dice.happens(60), answersWithReset: dice.happens(50),
          idle: dice.happens(30) ? .milliseconds(Int64(dice.number(50...2000))) : nil))
    case .reset:
      let ends = dice.pick([(true, true), (true, false), (false, true)])
      return .reset(
        dice.happens(50)
          ? ResetInjection(at: [moment(&dice)], toClient: ends.0, toServer: ends.1)
          : ResetInjection(afterByteCount: dice.number(1...150) * 1000, toClient: ends.0, toServer: ends.1))
    case .replay:
      return .replay(
        SegmentReplay(
          chance: .percent(Double(dice.number(1...30)) / 10), after: .milliseconds(Int64(dice.number(1...3000))),
          direction: direction))
    }
  }

  /// Of the ways in which boxes are known to take out options, those that leave what RFC 8684 §3.7 has an answer to.
  private func stripping(_ dice: inout Dice) -> OptionStripping {
    let afterHandshake: [SegmentKind] = [.data, .ack, .fin]
    let choices: [(option: OptionSelection, on: [SegmentKind])] = [
      (.multipath, [.syn]), (.multipath, [.synAck]), (.multipath, [.syn, .synAck]), (.multipath, [.thirdAck]),
      (.multipath, [.data]), (.multipath, afterHandshake), (.multipath, SegmentKind.allCases),
      (.multipath(.join), [.syn]), (.multipath(.join), [.synAck]), (.multipath(.join), [.thirdAck]),
      (.multipath(.addAddress), SegmentKind.allCases), (.multipath(.removeAddress), SegmentKind.allCases),
      (.multipath(.capable), [.data]), (.multipath(.priority), SegmentKind.allCases),
      (.kind(TCPOptionKind.timestamps), [.syn, .synAck]), (.kind(TCPOptionKind.sackPermitted), [.syn, .synAck]),
      (.kind(TCPOptionKind.sack), SegmentKind.allCases), (.kind(TCPOptionKind.windowScale), [.syn, .synAck]),
      (.unknown, [.syn]),
    ]
    let choice = dice.pick(choices)
    return OptionStripping(option: choice.option, on: choice.on, shortensHeader: dice.happens(50))
  }

  private func dropping(_ dice: inout Dice) -> SegmentDropping {
    let choices: [(option: OptionSelection?, on: [SegmentKind])] = [
      (.multipath, [.syn]), (.unknown, [.syn]), (.multipath(.join), [.syn]), (.multipath(.join), [.synAck]),
      (.multipath(.join), [.thirdAck]), (.multipath, [.data]), (.multipath, [.synAck]), (nil, [.fin]), (nil, [.reset]),
    ]
    let choice = dice.pick(choices)
    // On some segments only, it is a path that works and does not; data still has to come through in the end.
    let most = choice.on == [.data] ? 30 : 90
    return SegmentDropping(
      option: choice.option, on: choice.on, answersWithReset: dice.happens(30),
      chance: dice.happens(70) ? .always : .percent(Double(dice.number(10...most))))
  }
}
