import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("Boxes on a path do what they do to the engine's packets")
struct BoxTests {
  /// Two paths with boxes on the first, the second or both; checked after every step.
  private func run(_ first: [MiddleboxConfiguration], _ second: [MiddleboxConfiguration] = [], checksum: Bool = false)
    throws -> Simulation
  {
    var scenario = try SmallScenarios.twoPaths()
    scenario.paths[0].boxes = first
    scenario.paths[1].boxes = second
    scenario.transfers[0].clientOptions.checksum = checksum
    scenario.transfers[0].serverOptions.checksum = checksum
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    simulation.run()
    simulation.settle()
    simulation.checkRest()
    #expect(simulation.failure == nil)
    return simulation
  }

  private func isWhole(_ simulation: Simulation) -> Bool {
    simulation.talkers.allSatisfy { $0.received == $0.receiveByteCount && $0.closeReason == .finished }
  }

  @Test("Where options are taken out of SYNs, the connection is plain TCP")
  func strippedSYN() throws {
    let simulation = try run([.strip(OptionStripping(on: [.syn]))])
    #expect(isWhole(simulation))
    #expect(!simulation.talkers[0].isMultipath)
    #expect(simulation.paths[0].boxes.boxes[0].counters[.optionRemoved] > 0)
  }

  // Requirement 8684-3.3.1-06, 8684-6-10
  @Test("Where sequence numbers are rewritten, on one path or both, it is Multipath TCP", arguments: [1, 2])
  func rewritten(pathCount: Int) throws {
    let box = MiddleboxConfiguration.rewriteSequence(SequenceRewriting())
    let simulation = try run([box], pathCount > 1 ? [box] : [], checksum: pathCount > 1)
    #expect(isWhole(simulation))
    #expect(simulation.talkers.allSatisfy { $0.isMultipath && $0.fallback == nil && $0.subflowCount == 2 })
    for path in simulation.paths.prefix(pathCount) {
      #expect(path.boxes.boxes[0].counters[.sequenceTranslated] > 50)
    }
  }

  @Test("Behind a NAT the server knows other ports, and both subflows work")
  func translated() throws {
    let simulation = try run([.nat(AddressTranslation())], [.nat(AddressTranslation())])
    #expect(isWhole(simulation))
    #expect(simulation.talkers[0].subflowCount == 2)
  }

  @Test("A NAT's own address leads back to the client")
  func outerAddress() throws {
    let outer = try #require(IPAddress("192.0.2.1"))
    let simulation = try run([.nat(AddressTranslation(addresses: [outer]))])
    #expect(isWhole(simulation))
    #expect(simulation.paths[0].boxes.boxes[0].counters[.addressTranslated] > 100)
  }

  @Test("When a NAT forgets, the subflow ends and the connection goes on")
  func rebound() throws {
    let simulation = try run([.nat(AddressTranslation(rebind: [.milliseconds(80)]))])
    #expect(isWhole(simulation))
    #expect(simulation.paths[0].boxes.boxes[0].counters[.mappingForgotten] > 0)
  }

  @Test("What is changed on one of two paths does not arrive changed")
  func changedOnOne() throws {
    let simulation = try run([], [.changePayload(PayloadChange(direction: .forward))], checksum: true)
    #expect(isWhole(simulation))
    #expect(simulation.paths[1].boxes.boxes[0].counters[.payloadChanged] > 0)
    #expect(simulation.talkers.allSatisfy { $0.fallback == nil })
  }

  @Test("What is changed on the only path arrives once the connection is plain TCP, and all of it")
  func changedOnTheOnlyPath() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.paths.removeLast()
    scenario.paths[0].boxes = [.changePayload(PayloadChange(after: 20_000, direction: .forward))]
    scenario.transfers[0].clientOptions.checksum = true
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    simulation.run()
    #expect(simulation.failure == nil)
    #expect(isWhole(simulation))
    #expect(simulation.talkers.contains { $0.fallback != nil })
  }

  @Test("A box that acknowledges early does it with packets of its own")
  func early() throws {
    let simulation = try run([.acknowledgeEarly(EarlyAcknowledgment())])
    #expect(isWhole(simulation))
    #expect(simulation.paths[0].boxes.boxes[0].counters[.acknowledgedEarly] > 0)
  }

  @Test("A box with a set time acts at it")
  func reset() throws {
    let simulation = try run([.reset(ResetInjection(at: [.milliseconds(70)]))])
    #expect(isWhole(simulation))
    #expect(simulation.paths[0].boxes.boxes[0].counters[.resetSent] == 2)
  }

  @Test("Two hosts that open a connection to each other at the same time have one connection")
  func simultaneous() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].isSimultaneous = true
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    simulation.run()
    simulation.settle()
    simulation.checkRest()
    #expect(simulation.failure == nil)
    #expect(isWhole(simulation))
  }

  @Test("An application that aborts at the end does it so long after it has everything")
  func abortAtEnd() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].clientApplication.ending = .abortAtEnd(after: .milliseconds(3))
    let simulation = try Simulation(scenario)
    simulation.checkInvariants()
    simulation.run()
    #expect(simulation.failure == nil)
    let client = simulation.talkers[0]
    #expect(client.received == client.receiveByteCount && client.sent == client.sendByteCount)
    #expect(client.closeReason != nil || client.doneAt.map { client.overAt == $0 + .milliseconds(3) } ?? false)
  }
}
