import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("A simulation moves bytes as its links allow")
struct SimulationTests {
  @Test("Both directions of a two-path transfer arrive whole, over two subflows")
  func twoPaths() throws {
    let results = try run(SmallScenarios.twoPaths())
    let connection = try #require(results.connections.first)
    #expect(results.isFinished)
    #expect(connection.outcome == "complete")
    #expect(connection.uploaded == 200_000 && connection.downloaded == 300_000)
    #expect(connection.isMultipath && connection.fallback == nil)
    #expect(connection.subflowCount == 2)
    for path in results.paths { #expect(path.delivered.allSatisfy { $0.packetCount > 0 }) }
  }

  @Test("TCP on a link of 10 Mbit/s carries what headers leave of it, within 3 %")
  func goodputOfOneLink() throws {
    var scenario = try SmallScenarios.parse(
      """
      {
        "paths": [{"between": ["a", "b"], "link": "10mbit,10ms,queue=50KB"}],
        "transfers": [{"client": "a", "server": "b", "download": "10MB", "options": {"multipath": false}}]
      }
      """)
    scenario.sampleInterval = nil
    let results = try run(scenario)
    // 1,448 octets of each 1,500.
    let best = 10e6 * 1448 / 1500
    let rate = results.connections[0].downloadRate
    #expect(rate > best * 0.97 && rate <= best, "\(rate)")
    let utilisation = try #require(results.links[1].utilisation)
    #expect(utilisation > 0.95)
    #expect(results.links[1].longestQueueDelay < 0.045)
  }

  @Test("What CoDel drops was never on the line, and counts for nothing in its utilisation")
  func utilisationUnderControlledDelay() throws {
    // NewReno fills the queue and CoDel cuts it down; then there is silence.
    let scenario = try SmallScenarios.parse(
      """
      {
        "duration": "10s",
        "paths": [{"between": ["a", "b"], "link": "2mbit,10ms,queue=200KB,discipline=codel"}],
        "transfers": [
          {"client": "a", "server": "b", "download": "600KB", "options": {"multipath": false, "congestionControl": "newreno"}}
        ]
      }
      """)
    let results = try run(scenario)
    let link = results.links[1]
    let drops = try #require(link.drops["controlledDelay"])
    #expect(drops > 5)
    // Nothing else is lost, so what was delivered is what the line carried.
    #expect(link.drops.count == 1)
    let carried = Double(link.delivered.byteCount) * 8 / (2e6 * results.time)
    #expect(abs(try #require(link.utilisation) - carried) < 1e-9)
  }

  @Test("Two paths of their own add up, two paths through one bottleneck do not")
  func sharedBottleneck() throws {
    func rate(_ paths: String) throws -> Double {
      let scenario = try SmallScenarios.parse(
        """
        {
          "links": [{"name": "trunk", "link": "10mbit,5ms,queue=100KB"}], "paths": [\(paths)],
          "transfers": [{"client": "a", "server": "b", "download": "5MB"}]
        }
        """)
      return try run(scenario).connections[0].downloadRate
    }
    let shared = try rate(
      """
      {"between": ["a.x", "b"], "link": "100mbit,1ms", "shared": ["trunk"]},
      {"between": ["a.y", "b"], "link": "100mbit,2ms", "shared": ["trunk"]}
      """)
    let separate = try rate(
      """
      {"between": ["a.x", "b"], "link": "10mbit,6ms,queue=100KB"},
      {"between": ["a.y", "b"], "link": "10mbit,7ms,queue=100KB"}
      """)
    #expect(shared > 8.5e6 && shared < 9.7e6, "\(shared)")
    #expect(separate > 16e6 && separate < 19.4e6, "\(separate)")
  }

  @Test("A bottleneck is shared by the connections of several hosts")
  func severalHosts() throws {
    let results = try run(
      SmallScenarios.parse(
        """
        {
          "links": [{"name": "trunk", "link": "10mbit,5ms,queue=100KB"}],
          "paths": [
            {"between": ["a.eth0", "s"], "name": "a", "shared": ["trunk"]},
            {"between": ["b.eth0", "s"], "name": "b", "shared": ["trunk"]}
          ],
          "transfers": [
            {"client": "a", "server": "s", "download": "4MB"}, {"client": "b", "server": "s", "download": "4MB"}
          ]
        }
        """))
    let last = results.connections.compactMap(\.lastByte).max() ?? 0
    // 8 MB at 10 Mbit/s less headers.
    #expect(last > 6.6 && last < 7.4, "\(last)")
    for connection in results.connections { #expect(connection.outcome == "complete") }
  }

  @Test("Question and answer take a round trip each")
  func rounds() throws {
    var scenario = try SmallScenarios.parse(
      """
      {
        "paths": [{"between": ["a", "b"], "link": "50ms"}],
        "transfers": [{"client": "a", "server": "b", "upload": 100, "download": 1000, "rounds": 5}]
      }
      """)
    scenario.transfers[0].clientOptions.noDelay = true
    scenario.transfers[0].serverOptions.noDelay = true
    let connection = try run(scenario).connections[0]
    #expect(connection.outcome == "complete")
    #expect(connection.uploaded == 500 && connection.downloaded == 5000)
    // One for the handshake, five for the rounds.
    let last = try #require(connection.lastByte)
    #expect(last > 0.599 && last < 0.61, "\(last)")
  }

  @Test("A reader with a rate is read for at that rate, and pauses between writes are kept")
  func applicationRates() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].uploadByteCount = 0
    scenario.transfers[0].clientApplication.readBitsPerSecond = 2_400_000
    let slow = try #require(try run(scenario).connections[0].lastByte)
    #expect(slow > 0.95 && slow < 1.2, "\(slow)")
    scenario.transfers[0].clientApplication.readBitsPerSecond = nil
    scenario.transfers[0].serverApplication.writeByteCount = 10_000
    scenario.transfers[0].serverApplication.writePause = .milliseconds(50)
    let paused = try #require(try run(scenario).connections[0].lastByte)
    #expect(paused > 1.45 && paused < 1.7, "\(paused)")
  }

  @Test("A connection that an application aborts ends on the other side too")
  func abort() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].downloadByteCount = 5_000_000
    scenario.transfers[0].clientApplication.ending = .abort(afterByteCount: 300_000)
    let results = try run(scenario)
    #expect(results.connections[0].outcome == "server: resetByPeer")
    #expect(results.isFinished)
    #expect(results.connections[0].downloaded < 5_000_000)
  }

  @Test("An application that lets go when it has read everything ends in peace")
  func close() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].clientApplication.ending = .close
    scenario.transfers[0].serverApplication.ending = .close
    #expect(try run(scenario).connections[0].outcome == "complete")
  }

  @Test("A path that dies takes nothing with it")
  func pathDeath() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].downloadByteCount = 3_000_000
    scenario.events = [Scenario.Event(at: .milliseconds(300), .pathDown("wifi"))]
    let results = try run(scenario)
    #expect(results.connections[0].outcome == "complete")
    #expect(results.paths[0].dropped.packetCount > 0)
    #expect(results.connections[0].longestStall > 0.01)
  }

  @Test("An interface that is taken away and comes back, and a host that is off its processor, cost no byte")
  func interfacesAndPauses() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.transfers[0].downloadByteCount = 6_000_000
    scenario.events = [
      Scenario.Event(at: .milliseconds(300), .interfaceRemoved("phone.lte")),
      Scenario.Event(at: .milliseconds(500), .hostPaused("server", for: .milliseconds(150))),
      Scenario.Event(at: .milliseconds(800), .interfaceAdded("phone.lte")),
      Scenario.Event(at: .milliseconds(900), .interfaceDown("phone.wifi")),
      Scenario.Event(at: .milliseconds(1200), .interfaceUp("phone.wifi")),
    ]
    let results = try run(scenario)
    #expect(results.connections[0].outcome == "complete")
    #expect(results.connections[0].subflowCount > 2)
  }

  @Test("A thousand connections of a hundred hosts come and go")
  func manyHosts() throws {
    var scenario = Scenario()
    scenario.sampleInterval = nil
    for host in 0..<100 {
      scenario.paths.append(
        Scenario.Path(
          between: "h\(host).wifi", "server", link: .init(LinkConfiguration(delay: .milliseconds(Int64(host % 20 + 1))))
        ))
      scenario.paths.append(
        Scenario.Path(between: "h\(host).lte", "server", link: .init(LinkConfiguration(delay: .milliseconds(30)))))
      var transfer = Scenario.Transfer(client: "h\(host)", server: "server")
      transfer.uploadByteCount = 1000
      transfer.downloadByteCount = 3000
      transfer.connectionCount = 10
      transfer.interval = .milliseconds(3)
      scenario.transfers.append(transfer)
    }
    let results = try run(scenario)
    #expect(results.connections.count == 1000)
    #expect(results.connections.allSatisfy { $0.outcome == "complete" })
  }

  @Test("IPv6 is as good as IPv4")
  func ipv6() throws {
    var scenario = try SmallScenarios.twoPaths()
    scenario.hosts = ["phone", "server"].map { name in
      var host = Scenario.Host(name: name)
      host.interfaces = (name == "phone" ? ["wifi", "lte"] : ["eth0"]).map { name in
        var interface = Scenario.Interface(name: name)
        interface.family = .v6
        return interface
      }
      return host
    }
    let results = try run(scenario)
    #expect(results.connections[0].outcome == "complete")
    #expect(results.connections[0].subflowCount == 2)
  }

  @Test("Stepping by hand gives the same as running, and the observer sees each step")
  func stepping() throws {
    let scenario = try SmallScenarios.twoPaths()
    let ran = try Simulation(scenario)
    ran.run()
    let stepped = try Simulation(scenario)
    var seen = 0
    var last = Simulation.start
    stepped.observer = { simulation in
      seen += 1
      #expect(simulation.now >= last)
      last = simulation.now
    }
    while stepped.step() {}
    #expect(seen == stepped.stepCount)
    #expect(stepped.results == ran.results)
  }

  @Test("A byte that is not the sender's is found, and where")
  func patternFindsWrongBytes() {
    let pattern = StreamPattern.shared
    let position = StreamPattern.period - 100
    let right = pattern.slice(at: position, count: 5000)
    #expect(pattern.agreement(right, at: position) == 5000)
    #expect(pattern.agreement(right, at: position + StreamPattern.period) == 5000)
    for place in [0, 63, 64, 1000, 4999] {
      var bytes = right.array
      bytes[place] ^= 1
      #expect(pattern.agreement(.init(bytes), at: position) == place)
    }
    #expect(pattern.agreement(right, at: position + 1) < 10)
  }
}
