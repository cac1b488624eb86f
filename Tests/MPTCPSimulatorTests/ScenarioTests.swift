import Foundation
import MPTCPCore
import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPSimulator

@Suite("A scenario is plain data")
struct ScenarioTests {
  private static let whole = """
    {
      "title": "everything", "seed": 7, "duration": "5s", "sample": "50ms",
      "hosts": [
        {"name": "phone", "offload": false, "timeWait": "1s", "interfaces": [
          {"name": "wifi", "addresses": ["10.1.0.1", "fd00::1"], "mtu": 1400},
          {"name": "lte", "family": "ipv4", "backup": true}
        ]}
      ],
      "links": [{"name": "dsl", "link": "16mbit,5ms", "back": "1mbit,5ms"}],
      "paths": [
        {"between": ["phone.wifi", "server"], "link": "100mbit,1ms", "shared": ["dsl"]},
        {"between": ["phone.lte", "server"], "name": "mobile", "link": "20mbit,30ms,loss=0.5%", "back": "5mbit,30ms",
         "boxes": [{"strip": {"option": "mptcp.join", "on": ["syn"]}}, {"nat": {"rebind": ["2s"]}}]}
      ],
      "transfers": [
        {"client": "phone", "server": "server", "name": "page", "port": 80, "upload": 300, "download": "20KB",
         "rounds": 3, "start": "100ms", "connections": 2, "interval": "10ms",
         "options": {"congestionControl": "lia", "checksum": true, "sendBuffer": "64KiB", "userTimeout": "30s",
                     "fastOpen": true},
         "serverOptions": {"multipath": false, "fastOpenBacklog": 8},
         "clientApplication": {"readRate": "2mbit", "ending": "close"},
         "serverApplication": {"write": 1000, "pause": "1ms", "ending": "abort", "abortAfter": "10KB"}},
        {"client": "phone", "server": "server", "download": "20KB", "simultaneous": true,
         "clientApplication": {"ending": "abortAtEnd", "abortDelay": "3ms"}}
      ],
      "events": [
        {"at": "1s", "pathDown": "mobile"}, {"at": "2s", "pathUp": "mobile"},
        {"at": "2s", "interfaceRemoved": "phone.wifi"}, {"at": "3s", "hostPaused": "server", "for": "100ms"}
      ]
    }
    """

  @Test("What is written is what was read")
  func roundTrip() throws {
    let scenario = try SmallScenarios.parse(Self.whole)
    #expect(scenario.transfers[0].rounds == 3)
    #expect(scenario.transfers[0].clientOptions.sendBufferByteCount == 65_536)
    #expect(scenario.transfers[0].serverOptions.multipath == false)
    #expect(scenario.transfers[0].clientOptions.fastOpen && !scenario.transfers[0].serverOptions.fastOpen)
    #expect(scenario.transfers[0].serverOptions.fastOpenBacklog == 8)
    #expect(scenario.transfers[0].serverApplication.ending == .abort(afterByteCount: 10_000))
    #expect(scenario.transfers[1].isSimultaneous)
    #expect(scenario.transfers[1].clientApplication.ending == .abortAtEnd(after: .milliseconds(3)))
    #expect(scenario.paths[1].boxes.map(\.kind) == [.strip, .nat])
    #expect(scenario.paths[1].link?.back.bitsPerSecond == 5_000_000)
    #expect(scenario.events[3].change == .hostPaused("server", for: .milliseconds(100)))
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let text = try encoder.encode(scenario)
    let again = try JSONDecoder().decode(Scenario.self, from: text)
    #expect(again == scenario)
    #expect(try encoder.encode(again) == text)
    _ = try Simulation(scenario)
  }

  @Test("What is as usual is not written")
  func shortForm() throws {
    let scenario = try SmallScenarios.twoPaths()
    let text = String(decoding: try JSONEncoder().encode(scenario), as: UTF8.self)
    #expect(!text.contains("options") && !text.contains("hosts") && !text.contains("seed"))
  }

  @Test(
    "An error names the place and the way out",
    arguments: [
      (#"{"pahts": []}"#, "pahts: there is no such key; these are: title, seed"),
      (#"{"duration": "soon"}"#, "duration: 'soon': expected a time such as 20ms"),
      (#"{"duration": "1e30s"}"#, "duration: '1e30s': expected a number without an exponent"),
      (#"{"duration": "99999999999999s"}"#, "duration: '99999999999999s': expected 10000000s at most"),
      (#"{"duration": "10000001s"}"#, "duration: '10000001s': expected 10000000s at most"),
      (
        #"{"transfers": [{"client": "a", "server": "b", "upload": "99999999999999GB"}]}"#,
        "transfers[0].upload: '99999999999999GB': expected 9000000000GB at most"
      ),
      (
        #"{"transfers": [{"client": "a", "server": "b", "clientApplication": {"readRate": "0mbit"}}]}"#,
        "transfers[0].clientApplication.readRate: '0mbit': expected a rate above 0"
      ),
      (
        #"{"transfers": [{"client": "a", "server": "b", "options": {"receiveBuffer": "2GiB"}}]}"#,
        "transfers[0].options.receiveBuffer: expected 1GiB at most"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "0mbit"}]}"#,
        "paths[0].link: '0mbit': expected a rate above 0, such as 40mbit"
      ),
      (
        #"{"hosts": [{"name": "a", "maximumHalfOpen": 99999999999999999999}]}"#,
        "hosts[0].maximumHalfOpen: a number here is not whole, or too large"
      ),
      (#"{"duration": 5}"#, "duration: expected a time such as 20ms or 1.5s, in quotes"),
      (
        #"{"paths": [{"between": ["a.x"], "link": "1mbit"}]}"#, "paths[0].between: expected two ends, as host.interface"
      ),
      (#"{"paths": [{"between": ["a", "b"], "link": "fast"}]}"#, "paths[0].link: 'fast': expected a rate or a delay"),
      (#"{"paths": [{"between": ["a", "b"]}]}"#, "paths[0]: a path needs a link, its own (link) or a shared one"),
      (#"{"paths": [{"between": ["a", "a.x"], "link": "1ms"}]}"#, "paths[0].between: the two ends are on one host"),
      (
        #"{"paths": [{"between": ["a", "b"], "shared": ["dsl"]}]}"#,
        "paths[0].shared[0]: there is no link 'dsl'; name it in links"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}, {"between": ["b", "a"], "link": "1ms"}]}"#,
        "paths[1].between: there is a path between these two already"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "c"}]}"#,
        "transfers[0].server: there is no host 'c'; these are: a, b"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a.x", "server": "b"}]}"#,
        "transfers[0].client: 'a' has no interface 'x'; it has: eth0"
      ),
      (#"{"transfers": [{"server": "b"}]}"#, "transfers[0].client: is missing; it has no default"),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""options": {"scheduler": "best"}}]}"#,
        "transfers[0].options.scheduler: 'best': expected one of default, \(Scheduler.allNames.joined(separator: ", "))"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""options": {"fastOpenBacklog": -1}}]}"#,
        "transfers[0].options.fastOpenBacklog: expected no less than 0"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""port": 70000}]}"#,
        "transfers[0].port: expected 1 to 65535"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""port": 0}]}"#,
        "transfers[0].port: expected 1 to 65535"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""rounds": 100000000000000}]}"#,
        "transfers[0].rounds: expected 1 to 1000000"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""connections": 1000000000}]}"#,
        "transfers[0].connections: expected 1 to 20000"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""upload": "2000GB", "rounds": 1000}]}"#,
        "transfers[0].upload: expected 1000000 GB at most"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""options": {"keepAlive": "1ns"}}]}"#,
        "transfers[0].options.keepAlive: expected 100ms at least"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "transfers": [{"client": "a", "server": "b", "#
          + #""options": {"sendBuffer": 0}}]}"#,
        "transfers[0].options.sendBuffer: expected more than nothing"
      ),
      (#"{"sample": "1ns"}"#, "sample: expected 1ms at least"),
      (#"{"hosts": [{"name": "a", "timeWait": "601s"}]}"#, "hosts[0].timeWait: expected 600s at most"),
      (#"{"hosts": [{"name": "a", "maximumHalfOpen": -1}]}"#, "hosts[0].maximumHalfOpen: expected no less than 0"),
      (
        #"{"hosts": [{"name": "a", "interfaces": [{"name": "b.c"}]}]}"#,
        "hosts[0].interfaces[0].name: expected a name without dots"
      ),
      (
        #"{"hosts": [{"name": "a", "interfaces": [{"name": "b", "family": "ipv6", "mtu": 1279}]}]}"#,
        "hosts[0].interfaces[0].mtu: expected 1280 bytes at least"
      ),
      (#"{"links": [{"name": "", "link": "1ms"}]}"#, "links[0].name: expected a name"),
      (
        #"{"links": [{"name": "l", "link": "1ms"}], "paths": [{"between": ["a", "b"], "shared": ["l", "l"]}]}"#,
        "paths[0].shared[1]: 'l' is on this path already"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms"}], "events": [{"at": "1s", "hostPaused": "a.eth0", "#
          + #""for": "1s"}]}"#,
        "events[0].hostPaused: 'a.eth0': expected a host"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms", "boxes": [{"stripSYNData": 7}]}]}"#,
        "paths[0].boxes[0].stripSYNData: expected an object in braces"
      ),
      (
        #"{"paths": [{"between": ["a", "b"], "link": "1ms", "boxes": [{"merge": {"direction": "both"}}]}]}"#,
        "paths[0].boxes[0].merge.direction: 'both': expected one of forward, backward"
      ),
      (
        #"{"events": [{"at": "1s"}]}"#,
        "events[0]: it changes nothing; give it one of pathDown, pathUp, interfaceDown, interfaceUp, interfaceRemoved, "
          + "interfaceAdded, hostPaused"
      ),
      (
        #"{"events": [{"at": "1s", "pathDown": "a", "pathUp": "b"}]}"#,
        "events[0]: it has 2 changes of pathDown, pathUp"
      ),
      (#"{"events": [{"at": "1s", "pathDown": "lte"}]}"#, "events[0].pathDown: there is no path 'lte'"),
      (#"{"hosts": [{"name": "a.b"}]}"#, "hosts[0].name: expected a name without dots"),
      (#"{"seed": -1}"#, "seed: expected a whole number from 0 to"),
      (#"{"hosts": 5}"#, "hosts: expected a list in square brackets"),
      ("nonsense", "this is no JSON object"),
    ])
  func errorsNamePlaceAndWayOut(json: String, expected: String) throws {
    let problem = try #require(SmallScenarios.problem(json))
    #expect(problem.hasPrefix(expected), "\(problem)")
  }

  @Test("Times, sizes and rates are read and written with their units")
  func quantities() throws {
    #expect(try Quantity.time("1.5s") == .milliseconds(1500))
    #expect(try Quantity.time("2 min") == .seconds(120))
    #expect(try Quantity.time("10000000s") == Quantity.longestTime)
    #expect(throws: Quantity.Problem(expected: "a time such as 20ms or 1.5s")) { try Quantity.time("5") }
    #expect(throws: Quantity.Problem(expected: "10000000s at most")) { try Quantity.time("9999999999s") }
    #expect(throws: Quantity.Problem(expected: "10000000s at most")) { try Quantity.time("99999999999.5s") }
    #expect(throws: Quantity.Problem(expected: "a number without an exponent")) { try Quantity.time("1E+3ms") }
    #expect(try Quantity.byteCount("64KiB") == 65_536)
    #expect(try Quantity.byteCount("20kb") == 20_000)
    #expect(try Quantity.bitsPerSecond("0.5mbit") == 500_000)
    #expect(Quantity.text(.milliseconds(1500)) == "1500ms")
    #expect(Quantity.text(byteCount: 20_000) == "20KB")
    #expect(Quantity.text(byteCount: 65_536) == "65536B")
    #expect(Quantity.text(bitsPerSecond: 1_000_000_000) == "1gbit")
  }
}
