import MPTCPLink
import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Lab files")
struct LabFileTests {
  private static let example = """
    {
      "hosts": [{ "name": "client", "mptcp": { "endpoints": "subflow,fullmesh", "subflows": 4 } }, "server"],
      "paths": [
        { "name": "wifi", "between": ["client", "server"], "link": "40mbit,10ms,queue=100KB" },
        { "name": "lte", "between": ["client", "server"], "device": "veth", "mtu": 1400,
          "link": { "client": "5mbit,30ms", "server": "20mbit,30ms,loss=1%" } }
      ],
      "run": [{ "in": "server", "command": ["mptcp-peer", "server", "{server}:5000"], "listens": 5000 }]
    }
    """

  @Test("A file gives hosts, paths with a link for each direction, and commands")
  func example() throws {
    let lab = try LabFile(json: Array(Self.example.utf8))
    #expect(lab.hosts.map(\.name) == ["client", "server"])
    #expect(lab.hosts[0].subflowLimit == 4)
    #expect(lab.hosts[0].endpoints.map(\.path) == ["wifi", "lte"])
    #expect(lab.hosts[0].endpoints[0].uses == [.subflow, .fullmesh])
    #expect(lab.hosts[1].endpoints == [])
    #expect(lab.paths[0].first.link.bitsPerSecond == 40_000_000)
    #expect(lab.paths[0].second.link.bitsPerSecond == 40_000_000)
    #expect(lab.paths[0].first.link.queueByteCount == 100_000)
    #expect(lab.paths[0].device == .automatic)
    #expect(lab.paths[1].device == .ethernet)
    #expect(lab.paths[1].maximumTransmissionUnit == 1400)
    #expect(lab.paths[1].first.link.bitsPerSecond == 5_000_000)
    #expect(lab.paths[1].second.link.lossRate != .never)
    #expect(lab.commands[0].listeningPort == 5000)
  }

  @Test("One link for both directions is the same in each, in the text's words")
  func bothDirections() throws {
    let lab = try LabFile(json: Array(#"{"paths":[{"name":"p","between":["a","b"],"link":"loss=1%,seed=7"}]}"#.utf8))
    #expect(lab.paths[0].ends.map(\.link.description) == ["loss=1%,seed=7", "loss=1%,seed=7"])
  }

  @Test("Boxes stand beside the first host, or beside those that they are given for")
  func boxes() throws {
    let lab = try LabFile(
      json: Array(
        #"""
        {"paths":[
          {"name":"p","between":["a","b"],"boxes":[{"strip":{"option":"mptcp.join"}},"nat"]},
          {"name":"q","between":["a","b"],"boxes":{"b":["rewriteSequence"]}}]}
        """#.utf8))
    #expect(lab.paths[0].first.boxes.map(\.kind) == [.strip, .nat])
    #expect(lab.paths[0].second.boxes.isEmpty)
    #expect(lab.paths[1].first.boxes.isEmpty)
    #expect(lab.paths[1].second.boxes.map(\.kind) == [.rewriteSequence])
  }

  @Test(
    "What is wrong with a box is told with its place",
    arguments: [
      (#"["stripp"]"#, "paths[0].boxes[0]"), (#"{"c":["nat"]}"#, "paths[0].boxes.c"),
      (#"[{"cut":{"byteCount":0}}]"#, "paths[0].boxes[0].cut"), (#""nat""#, "paths[0].boxes"),
    ])
  func wrongBoxes(text: String, place: String) {
    let error = #expect(throws: LabFileError.self) {
      try LabFile(json: Array(#"{"paths":[{"name":"p","between":["a","b"],"boxes":\#(text)}]}"#.utf8))
    }
    #expect(error?.place.hasPrefix(place) == true, "\(String(describing: error))")
  }

  @Test("Hosts that only paths name exist too, in the order of the paths")
  func impliedHosts() throws {
    let text = #"{"hosts":["z"],"paths":[{"name":"p","between":["b","a"]},{"name":"q","between":["a","z"]}]}"#
    #expect(try LabFile(json: Array(text.utf8)).hosts.map(\.name) == ["z", "b", "a"])
  }

  @Test(
    "A line with a rate and no queue gets one of 100 ms at its highest rate, and of 30 KB at least",
    arguments: [
      ("80mbit", 1_000_000), ("1mbit", 30_000), ("change=0s rate 80mbit", 1_000_000), ("change=0s rate 1mbit", 30_000),
      ("80mbit,change=1s rate 1mbit", 1_000_000), ("1mbit,change=1s rate 80mbit,change=2s rate unlimited", 1_000_000),
      ("80mbit,queue=5KB", 5000), ("change=1s rate 1mbit,queue=9p", nil), ("20ms,change=1s rate unlimited", nil),
    ] as [(String, Int?)])
  func defaultQueue(link: String, byteCount: Int?) throws {
    let lab = try LabFile(json: Array(#"{"paths":[{"name":"p","between":["a","b"],"link":"\#(link)"}]}"#.utf8))
    #expect(lab.paths[0].first.link.queueByteCount == byteCount)
  }

  @Test("Kernel settings are texts or numbers, below net.")
  func settings() throws {
    let text = """
      {"hosts":[{"name":"a","sysctl":{"net.mptcp.scheduler":"default","net.ipv4.tcp_sack":0}}],
       "paths":[{"name":"p","between":["a","b"]}]}
      """
    let settings = try LabFile(json: Array(text.utf8)).hosts[0].settings
    #expect(settings.map(\.name) == ["net.ipv4.tcp_sack", "net.mptcp.scheduler"])
    #expect(settings.map(\.value) == ["0", "default"])
  }

  /// A wrong file, the place that the error must name, and what else it must say.
  static let wrong: [(String, String, String)] = [
    ("", "", "no JSON"), ("[]", "", "an object"), ("{}", "paths", "missing"),
    (#"{"paths":[]}"#, "paths", "at least one"),
    (#"{"paths":[{"name":"p"}]}"#, "paths[0].between", "missing"),
    (#"{"path":[]}"#, "path", "hosts, paths, run"),
    (#"{"paths":[{"name":"p","between":["a"]}]}"#, "paths[0].between", "two ends"),
    (#"{"paths":[{"name":"p","between":["a","a"]}]}"#, "paths[0].between", "another host"),
    (#"{"paths":[{"name":"p","between":"a"}]}"#, "paths[0].between", "a list"),
    (#"{"paths":[{"name":"p q","between":["a","b"]}]}"#, "paths[0].name", "letters"),
    (#"{"paths":[{"name":"lo","between":["a","b"]}]}"#, "paths[0].name", "loopback"),
    (#"{"paths":[{"name":"p","between":["a","b"]},{"name":"p","between":["a","b"]}]}"#, "paths[1].name", "already"),
    (#"{"paths":[{"name":"p","between":["a","b"],"link":"40mbits"}]}"#, "paths[0].link", "'40mbits'"),
    (#"{"paths":[{"name":"p","between":["a","b"],"link":{"c":"1ms"}}]}"#, "paths[0].link.c", "a and b"),
    (#"{"paths":[{"name":"p","between":["a","b"],"link":{"a":"x"}}]}"#, "paths[0].link.a", "'x'"),
    (#"{"paths":[{"name":"p","between":["a","b"],"link":7}]}"#, "paths[0].link", "an object"),
    (#"{"paths":[{"name":"p","between":["a","b"],"mtu":"big"}]}"#, "paths[0].mtu", "a whole number"),
    (#"{"paths":[{"name":"p","between":["a","b"],"mtu":1400.5}]}"#, "paths[0].mtu", "not whole"),
    (#"{"paths":[{"name":"p","between":["a","b"],"mtu":99999999999999999999}]}"#, "paths[0].mtu", "too large"),
    (#"{"paths":[{"name":"p","between":["a","b"],"mtu":9}]}"#, "paths[0].mtu", "68 to 65535"),
    (#"{"paths":[{"name":"p","between":["a","b"],"mtu":null}]}"#, "paths[0].mtu", "leave the key out"),
    (#"{"paths":[{"name":"p","between":["a","b"],"device":"tap"}]}"#, "paths[0].device", "auto, tun, veth"),
    (#"{"paths":[{"name":"p","between":["a","b"],"rate":"1mbit"}]}"#, "paths[0].rate", "name, between"),
    (
      #"{"paths":[{"name":"p","between":["a","b"],"addresses":{"a":["10.0.0.1"]}}]}"#, "paths[0].addresses.a[0]",
      "10.0.1.1/24"
    ),
    (
      #"{"paths":[{"name":"p","between":["a","b"],"addresses":{"a":["10.0.0.1/24"]}}]}"#, "paths[0].addresses.a",
      "no address of its family"
    ),
    (#"{"hosts":["a","a"],"paths":[{"name":"p","between":["a","b"]}]}"#, "hosts[1].name", "already"),
    (#"{"hosts":[{"name":"a","x":1}],"paths":[{"name":"p","between":["a","b"]}]}"#, "hosts[0].x", "sysctl"),
    (
      #"{"hosts":[{"name":"a","sysctl":{"kernel.hostname":"x"}}],"paths":[{"name":"p","between":["a","b"]}]}"#,
      "hosts[0].sysctl.kernel.hostname", "below net."
    ),
    (
      #"{"hosts":[{"name":"a","mptcp":{"endpoints":"sub"}}],"paths":[{"name":"p","between":["a","b"]}]}"#,
      "hosts[0].mptcp.endpoints", "signal, subflow, backup, fullmesh"
    ),
    (
      #"{"hosts":[{"name":"a","mptcp":{"endpoints":[{"path":"q","use":"signal"}]}}],"paths":[{"name":"p","between":["a","b"]}]}"#,
      "hosts[0].mptcp.endpoints", "'q'"
    ),
    (
      #"{"hosts":[{"name":"a","mptcp":{"subflows":9}}],"paths":[{"name":"p","between":["a","b"]}]}"#,
      "hosts[0].mptcp.subflows", "0 to 8"
    ),
    (
      #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"c","command":["true"]}]}"#, "run[0].in",
      "the hosts are a, b"
    ),
    (#"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"a","command":[]}]}"#, "run[0].command", "a program"),
    (
      #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"a","command":["x"],"listens":70000}]}"#,
      "run[0].listens", "1 to 65535"
    ),
    (
      #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"a","command":["x","{b}:{b.p/6}:{b.q/6}"]}]}"#,
      "run[0].command", "'{b.q/6}': b has no path 'q'; its paths are p"
    ),
  ]

  @Test("Braces that name no path mean something to somebody else")
  func otherBraces() throws {
    let program = "setTimeout(() => {b.close()}, 9)"
    let text =
      #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"a","command":["node","-e",""# + program + #""]}]}"#
    #expect(try LabFile(json: Array(text.utf8)).commands[0].arguments.last == program)
  }

  @Test(
    "A word in braces that is almost a host's name is remarked on",
    arguments: [
      ("{servr}", "{server}"), ("http://{sevrer}:80/", "{server}"), ("{Server}", "{server}"),
      ("{serverr.lte/6}", "{server.lte/6}"), ("-c{ip}{clent}", "{client}"),
    ])
  func misspelled(argument: String, meant: String) throws {
    let text = #"{"paths":[{"name":"lte","between":["client","server"]}]}"#
    let remark = try LabFile(json: Array(text.utf8)).misspelledPlaceholder(in: argument)
    #expect(remark?.hasSuffix("is '\(meant)' meant?") == true, "\(remark ?? "none")")
  }

  @Test(
    "Other braces are not remarked on",
    arguments: [
      "{server}", "{server.lte/6}", "{print}", "{print $1}", "${servr}", "{\"servr\":1}", "{ servr }", "{}", "{servr",
      "servr}", "x{1,2}", "{serve()}", "a b {{}} {.servr}",
    ])
  func unremarkable(argument: String) throws {
    let text = #"{"paths":[{"name":"lte","between":["client","server"]}]}"#
    #expect(try LabFile(json: Array(text.utf8)).misspelledPlaceholder(in: argument) == nil)
  }

  @Test("What is wrong with a file is named with its place", arguments: wrong)
  func errors(text: String, place: String, words: String) throws {
    let error = #expect(throws: LabFileError.self) { try LabFile(json: Array(text.utf8)) }
    #expect(error?.place == place, "\(String(describing: error))")
    #expect(error?.problem.contains(words) == true, "\(String(describing: error))")
  }

  @Test(
    "A syntax error says where it is, and what is expected there",
    arguments: [
      ("{\n  \"paths\": [,]\n}", "line 2, column 13: a value"), ("{\"a\": 1,}", "line 1, column 9: a key in quotes"),
      ("{\"a\" 1}", "line 1, column 6: ':'"), ("[1 2]", "line 1, column 4: ',' or ']'"), ("[\"a\n\"]", "closing quote"),
      ("[\"a\\\"]", "closing quote"), ("[1] 2", "line 1, column 5: nothing more"),
      ("[nul]", "line 1, column 2: a value"),
      ("[1e]", "a value"), ("{", "a key"), (String(repeating: "[", count: 501), "less nesting"),
    ])
  func syntax(text: String, words: String) {
    let error = #expect(throws: LabFileError.self) { try LabFile(json: Array(text.utf8)) }
    #expect(error?.description.contains("no JSON: ") == true)
    #expect(error?.description.contains(words) == true, "\(String(describing: error))")
  }

  @Test(
    "A text that the decoder would refuse without a place has one",
    arguments: [
      ([0x22, 0x61, 0xFF, 0x22], "column 3: UTF-8"), ([0xFF, 0xFE, 0x7B, 0x00], "UTF-8, and not UTF-16"),
      (Array(#"["\x"]"#.utf8), "column 3: an escape"), (Array(#"["a\ud800"]"#.utf8), "column 4: an escape"),
      (Array("[0x5]".utf8), "column 2: a value"), (Array("[01]".utf8), "column 2: a value"),
      (Array("[1.]".utf8), "column 2: a value"), (Array("[\"\\".utf8), "column 4: the text's closing quote"),
    ] as [([UInt8], String)])
  func strictness(text: [UInt8], words: String) {
    let fault = JSONSyntax.fault(in: text)
    #expect(fault?.hasPrefix("no JSON: line 1, ") == true && fault?.contains(words) == true, "\(fault ?? "none")")
  }

  @Test("A key that is there twice is refused, with both places, however it is written")
  func duplicateKeys() {
    let text = """
      {"paths": [{"name": "p", "between": ["a", "b"],
        "link": "1mbit", "mtu": 1400, "\\u006cink": "2mbit"}]}
      """
    let error = #expect(throws: LabFileError.self) { try LabFile(json: Array(text.utf8)) }
    #expect(
      error?.description == "line 2, column 33: 'link' is there twice, first in line 2, column 3; leave one out")
    #expect(JSONSyntax.fault(in: Array(#"[{"a":1,"b":{"a":2}},{"a":3}]"#.utf8)) == nil)
  }

  @Test("A byte order mark in front means nothing")
  func byteOrderMark() throws {
    let text = [0xEF, 0xBB, 0xBF] + Array(#"{"paths":[{"name":"p","between":["a","b"]}]}"#.utf8)
    #expect(try LabFile(json: text).paths.count == 1)
  }

  @Test(
    "What JSON allows has no fault",
    arguments: [
      "{}", " [ ] ", "[1,-2.5e3,0,-0.5E+7,true,false,null,\"\\\"\"]", #"["é\u00e9\ud83d\ude00\/"]"#,
      "{\"a\":{\"b\":[]}}",
    ])
  func noFault(text: String) { #expect(JSONSyntax.fault(in: Array(text.utf8)) == nil) }
}
