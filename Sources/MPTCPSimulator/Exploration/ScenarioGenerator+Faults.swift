import MPTCPLink
import MPTCPWire

// What goes wrong in a random scenario.
extension ScenarioGenerator {
  /// The faults that are drawn from; an address that is added was taken away before. Boxes are drawn apart.
  static let drawnFaults = FaultKind.allCases.filter {
    $0 != .addressAdded && $0.rawValue <= FaultKind.hostPause.rawValue
  }

  func addFaults(to scenario: inout Scenario, _ dice: inout Dice) {
    let count = dice.number(Self.leastFaultCount...6)
    for kind in dice.pick(count, of: Self.drawnFaults) {
      let path = dice.number(0...scenario.paths.count - 1)
      if addEvent(kind, path, to: &scenario, &dice) { continue }
      guard var link = scenario.paths[path].link else { continue }
      let sides = dice.number(0...2)
      if sides != 1 { add(kind, to: &link.there, &dice) }
      if sides != 0 { add(kind, to: &link.back, &dice) }
      scenario.paths[path].link = link
      if kind == .congestionMark {
        for index in scenario.transfers.indices {
          scenario.transfers[index].clientOptions.explicitCongestionNotification = true
          scenario.transfers[index].serverOptions.explicitCongestionNotification = true
        }
      }
    }
    addBoxes(to: &scenario, &dice)
    addKeepAlive(to: &scenario, &dice)
  }

  /// A host whose peer has lost its connection, and could not say so, learns of it only by asking (RFC 9293 §3.8.4):
  /// where every packet may get lost, so may all those that tell it.
  private func addKeepAlive(to scenario: inout Scenario, _ dice: inout Dice) {
    for index in scenario.transfers.indices {
      scenario.transfers[index].clientOptions.keepAlive = .seconds(Int64(dice.number(1...20)))
      scenario.transfers[index].serverOptions.keepAlive = .seconds(Int64(dice.number(1...20)))
    }
  }

  /// The kinds of fault that a scenario asks for.
  static func faults(of scenario: Scenario) -> Set<FaultKind> {
    var kinds: Set<FaultKind> = []
    for path in scenario.paths {
      for box in path.boxes { if let kind = FaultKind(box) { kinds.insert(kind) } }
      for link in [path.link?.there, path.link?.back].compactMap({ $0 }) {
        if link.lossRate != .never { kinds.insert(.loss) }
        if link.burstLoss != nil { kinds.insert(.burstLoss) }
        if let limit = link.queueByteCount, limit < usualQueueByteCount { kinds.insert(.queueFull) }
        if link.queueDiscipline != .tailDrop { kinds.insert(.controlledDelay) }
        if link.markingByteCount != nil { kinds.insert(.congestionMark) }
        if link.jitter > .zero { kinds.insert(.jitter) }
        if link.reorderRate != .never { kinds.insert(.reordering) }
        if link.duplicationRate != .never { kinds.insert(.duplication) }
        if link.corruptionRate != .never { kinds.insert(.corruption) }
        for event in link.schedule {
          switch event.change {
          case .down: kinds.insert(.linkDown)
          case .rate: kinds.insert(.rateChange)
          case .delay: kinds.insert(.delayChange)
          case .loss: kinds.insert(.lossChange)
          case .maximumTransmissionUnit: kinds.insert(.tooLarge)
          case .up: break
          }
        }
      }
    }
    for event in scenario.events {
      switch event.change {
      case .pathDown: kinds.insert(.pathDown)
      case .interfaceDown: kinds.insert(.interfaceDown)
      case .interfaceRemoved: kinds.insert(.addressRemoved)
      case .interfaceAdded: kinds.insert(.addressAdded)
      case .hostPaused: kinds.insert(.hostPause)
      case .pathUp, .interfaceUp: break
      }
    }
    return kinds
  }

  /// Queues with less room than this are made so that they overflow.
  private static let usualQueueByteCount = 20_000

  /// A time at which most transfers are under way.
  func moment(_ dice: inout Dice) -> Nanoseconds { .milliseconds(Int64(dice.number(1...250))) }

  /// Something that happens at a time; false for what a link does by itself.
  private func addEvent(_ kind: FaultKind, _ path: Int, to scenario: inout Scenario, _ dice: inout Dice) -> Bool {
    let begin = moment(&dice)
    let end = begin + .milliseconds(Int64(dice.number(5...1500)))
    let name = scenario.paths[path].name
    let interface = dice.happens(75) ? scenario.paths[path].between[0] : scenario.paths[path].between[1]
    switch kind {
    case .pathDown:
      scenario.events += [.init(at: begin, .pathDown(name)), .init(at: end, .pathUp(name))]
    case .interfaceDown:
      scenario.events += [.init(at: begin, .interfaceDown(interface)), .init(at: end, .interfaceUp(interface))]
    case .addressRemoved, .addressAdded:
      scenario.events += [.init(at: begin, .interfaceRemoved(interface)), .init(at: end, .interfaceAdded(interface))]
    case .hostPause:
      let host = dice.pick(["client", "server"])
      scenario.events.append(.init(at: begin, .hostPaused(host, for: .milliseconds(Int64(dice.number(1...400))))))
    default: return false
    }
    return true
  }

  private func add(_ kind: FaultKind, to link: inout LinkConfiguration, _ dice: inout Dice) {
    func share(_ most: Int) -> Probability { .percent(Double(dice.number(2...most)) / 10) }
    switch kind {
    case .loss: link.lossRate = share(50)
    case .burstLoss: link.burstLoss = BurstLoss(enters: share(20), leaves: .percent(Double(dice.number(10...60))))
    case .queueFull: link.queueByteCount = dice.number(5...15) * 1000
    case .controlledDelay:
      link.queueDiscipline = .controlledDelay(
        ControlledDelayConfiguration(
          target: .milliseconds(Int64(dice.number(1...5))), interval: .milliseconds(Int64(dice.number(5...60)))))
      link.bitsPerSecond = dice.number(1...10) * 1_000_000
    case .congestionMark:
      link.markingByteCount = dice.number(2...15) * 1000
      link.bitsPerSecond = dice.number(1...10) * 1_000_000
    case .jitter:
      link.jitter = .microseconds(Int64(dice.number(1...100) * 100))
      link.jitterReorders = dice.happens(50)
    case .reordering:
      link.reorderRate = share(60)
      link.reorderDelay = .microseconds(Int64(dice.number(1...150) * 100))
    case .duplication: link.duplicationRate = share(50)
    case .corruption: link.corruptionRate = share(40)
    case .linkDown:
      let begin = moment(&dice)
      link.schedule += [
        LinkEvent(after: begin, .down), LinkEvent(after: begin + .milliseconds(Int64(dice.number(5...1000))), .up),
      ]
    case .rateChange:
      for _ in 0..<dice.number(1...3) {
        link.schedule.append(LinkEvent(after: moment(&dice), .rate(dice.number(5...500) * 100_000)))
      }
    case .delayChange:
      for _ in 0..<dice.number(1...3) {
        link.schedule.append(
          LinkEvent(after: moment(&dice), .delay(.microseconds(Int64(dice.number(1...300) * 100)))))
      }
    case .lossChange:
      // For a while: what is lost later is lost for ever where it is the last that is said.
      let begin = moment(&dice)
      link.schedule += [
        LinkEvent(after: begin, .loss(.percent(Double(dice.number(1...40))))),
        LinkEvent(after: begin + .milliseconds(Int64(dice.number(5...500))), .loss(link.lossRate)),
      ]
    case .tooLarge:
      // A tunnel on the way: from then on, or for a while.
      let begin = moment(&dice)
      link.schedule.append(LinkEvent(after: begin, .maximumTransmissionUnit(dice.number(1280...1480))))
      if dice.happens(50) {
        let end = begin + .milliseconds(Int64(dice.number(5...1500)))
        link.schedule.append(LinkEvent(after: end, .maximumTransmissionUnit(nil)))
      }
    case .pathDown, .interfaceDown, .addressRemoved, .addressAdded, .hostPause, .optionRemoved, .sequenceRewritten,
      .segmentCut, .segmentMerged, .segmentSizeClamped, .payloadChanged, .payloadResized, .segmentDropped,
      .acknowledgedEarly, .addressTranslated, .mappingForgotten, .firewalled, .resetInjected, .replayed,
      .synDataRemoved:
      break
    }
  }
}
