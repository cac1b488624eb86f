import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// README and its companions, held to their word: every command that they show is run, or, where that would take
  /// minutes, its target and its options are looked up.
  @Suite("Documents", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct DocumentTests {
    // MARK: What exists

    @Test("Every command that is shown exists, with its targets and options", .timeLimit(.minutes(5)))
    func existence() async throws {
      var count = 0
      for file in Documents.files {
        for passage in try Documents.blocks(in: file) {
          for command in passage.commands { count += try await check(command, passage) }
        }
        for span in try Documents.spans(in: file) { count += try await check(span.text, span) }
      }
      #expect(count >= 15, "only \(count) commands were recognised")
    }

    /// Looks a command up; 1 if it is one of those that can be looked up.
    private func check(_ command: String, _ passage: Documents.Passage) async throws -> Int {
      let words = command.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)[0]
        .split(separator: " ").map(String.init)
      guard var first = words.first else { return 0 }
      if first == ".build/release/mptcp" { first = "mptcp" }
      switch first {
      case "make":
        let outcome = try await ChildProcess(["make", "-C", Machine.root.path, "--dry-run"] + words.dropFirst())
          .finish(within: 10)
        #expect(outcome.status == 0, "\(passage): \(outcome.summary)")
      case "mptcp":
        guard words.count > 1 else { return 0 }
        let tool = words[1] == "help" ? words.last ?? "" : words[1] == "lab" ? "lab run" : words[1]
        let help = try await help(tool)
        #expect(help.contains("USAGE: mptcp \(tool)"), "\(passage)")
        // Behind "--" there are another program's.
        let own = words.prefix { $0 != "--" }
        for option in own.dropFirst(2) where option.hasPrefix("-") { expect(option, in: help, passage) }
      case _ where first.hasPrefix("-") && words.count <= 2:
        // An option in running text.
        let first = first.prefix { $0 != "=" }
        expect(String(first), in: try await help("nc") + help("demo") + help("lab run") + help("sim"), passage)
      case _ where first.hasPrefix("scripts/"):
        let script = Machine.root.appending(path: first).path
        #expect(access(script, X_OK) == 0, "\(passage)")
        let text = try String(contentsOfFile: script, encoding: .utf8)
        for option in words.dropFirst() where option.hasPrefix("-") { expect(option, in: text, passage) }
      case "swift":
        guard let flag = words.firstIndex(of: "--package-path"), words.count > flag + 2 else { return 0 }
        let manifest = Machine.root.appending(path: words[flag + 1]).appending(path: "Package.swift")
        #expect(try String(contentsOf: manifest, encoding: .utf8).contains("\"\(words[flag + 2])\""), "\(passage)")
      case _:
        return 0
      }
      return 1
    }

    private func expect(_ option: String, in text: String, _ passage: Documents.Passage) {
      let found = text.ranges(of: option).contains { range in
        let next = text[range.upperBound...].first
        return next.map { !$0.isLetter && $0 != "-" } ?? true
      }
      #expect(found, "\(passage): no option \(option)")
    }

    private func help(_ tool: String) async throws -> String {
      try await run([Machine.mptcp, "help"] + tool.split(separator: " ").map(String.init))
    }

    @Test("No block of commands is left without a test that runs it", .timeLimit(.minutes(5)))
    func coverage() throws {
      for file in Documents.files {
        for block in try Documents.blocks(in: file) {
          switch file {
          case "README.md", "CONTRIBUTING.md":
            #expect(
              block.commands.allSatisfy { $0.hasPrefix("make ") } || isNetcat(block) || isLab(block)
                || isSimulation(block) || isExploration(block), "\(block)")
          case "docs/real-networks.md", "docs/permissions.md", "docs/lab.md", "docs/scenarios.md": continue
          case _: Issue.record("no test runs \(block)")
          }
        }
      }
    }

    private func isNetcat(_ block: Documents.Passage) -> Bool {
      block.commands.count == 1 && block.text.hasPrefix(".build/release/mptcp nc ")
    }

    private func isLab(_ block: Documents.Passage) -> Bool {
      block.commands.count == 1 && block.text.hasPrefix(".build/release/mptcp lab run docs/labs/")
    }

    private func isSimulation(_ block: Documents.Passage) -> Bool {
      block.commands.count == 1 && block.text.hasPrefix(".build/release/mptcp sim Scenarios/")
    }

    private func isExploration(_ block: Documents.Passage) -> Bool {
      block.commands.count == 1 && block.text.hasPrefix(".build/release/mptcp sim --explore ")
    }

    // MARK: What works

    @Test("The README's random scenarios break no rule", .timeLimit(.minutes(5)))
    func explorations() async throws {
      let blocks = try Documents.blocks(in: "README.md").filter(isExploration)
      #expect(blocks.count == 1)
      for block in blocks {
        // The whole of it takes a while where nothing is optimised.
        let command = block.text.replacing(".build/release/mptcp", with: Machine.mptcp)
          .replacing("--explore 1000", with: "--explore 40")
        let outcome = try await ChildProcess(["sh", "-c", command]).finish(within: 120)
        #expect(outcome.status == 0, "\(block): \(outcome.summary)")
        #expect(outcome.output.contains("40 schedules") && outcome.output.contains("no rule was broken"))
        #expect(outcome.output.contains("schedules a second on one core"), "\(outcome.summary)")
        #expect(outcome.output.contains("subflow: synSent → established"), "\(outcome.summary)")
      }
    }

    @Test("The scenarios of docs/scenarios.md run, each command of them", .timeLimit(.minutes(5)))
    func scenarios() async throws {
      let blocks = try Documents.blocks(in: "docs/scenarios.md")
      #expect(blocks.count == 2)
      for block in blocks {
        let scratch = try Scratch()
        let commands = block.text.replacing(".build/release/mptcp", with: Machine.mptcp)
          .replacing("Scenarios/", with: "\(Machine.root.path)/Scenarios/")
        let outcome = try await ChildProcess(["sh", "-ec", "cd '\(scratch.folder)'; \(commands)"]).finish(within: 120)
        #expect(outcome.status == 0, "\(block): \(outcome.summary)")
        #expect(outcome.output.contains("complete"), "\(outcome.summary)")
      }
    }

    @Test("The README's simulation runs and draws its picture", .timeLimit(.minutes(5)))
    func simulations() async throws {
      let blocks = try Documents.blocks(in: "README.md").filter(isSimulation)
      #expect(blocks.count == 1)
      for block in blocks {
        let scratch = try Scratch()
        let command = block.text.replacing(".build/release/mptcp", with: Machine.mptcp)
          .replacing("Scenarios/", with: "\(Machine.root.path)/Scenarios/")
        let outcome = try await ChildProcess(["sh", "-c", "cd '\(scratch.folder)'; \(command)"]).finish(within: 60)
        #expect(outcome.status == 0, "\(block): \(outcome.summary)")
        #expect(outcome.output.contains("complete") && outcome.output.contains("wifi"), "\(outcome.summary)")
        let picture = try String(contentsOfFile: "\(scratch.folder)/wifi-lte.svg", encoding: .utf8)
        #expect(picture.hasPrefix("<svg ") && picture.contains("</svg>"))
      }
    }

    @Test("The README's netcats listen, connect, and use both paths", .timeLimit(.minutes(10)))
    func netcats() async throws {
      let examples = try Documents.blocks(in: "README.md").filter(isNetcat)
      #expect(examples.count >= 3)
      for example in examples {
        let usesTUN = example.text.contains(" --tun ")
        if usesTUN && !Machine.hasTUN { continue }
        let kernel = try await NetworkNamespace()
        let ours = usesTUN ? kernel : try await NetworkNamespace(sharingUserNamespaceOf: kernel)
        try await kernel.run(script: "ip mptcp limits set subflow 8 add_addr_accepted 8")
        if !usesTUN { try await addInterfaces(of: example, ours, kernel) }
        let scratch = try Scratch()
        let folder = scratch.folder
        try await run("bash", "-c", "\(Machine.peer) pattern 3m 1 > \(folder)/file")
        let command = example.commands[0].replacing(".build/release/mptcp", with: Machine.mptcp)
          .replacing("HOST PORT", with: "192.0.2.1 5000 < file")
        let before = try kernel.counters()
        if command.contains(" -l ") {
          let listener = try ours.start(script: "cd \(folder); \(command)")
          try await listener.waits(for: "listening")
          let client = try await kernel.start([Machine.peer, "client", "--send", "3m", "10.9.0.1:5000"]).finish()
          #expect(client.status == 0, "\(client.summary)")
          let outcome = try await listener.finish(within: 20)
          #expect(outcome.status == 0, "\(example): \(outcome.summary)")
          try await run("cmp", "\(folder)/file", "\(folder)/received")
        } else {
          let server = try kernel.start([
            Machine.peer, "server", "--connections", "1", "--receive", "3m", "0.0.0.0:5000",
          ])
          try await server.waits(for: "listening")
          let outcome = try await ours.start(script: "cd \(folder); \(command)").finish(within: 30)
          #expect(outcome.status == 0, "\(example): \(outcome.summary)")
          let report = try await server.finish(within: 20)
          #expect(report.status == 0, "\(report.summary)")
          #expect(try kernel.counters().since(before)["MPTcpExtMPJoinAckRx"] == 1, "\(example)")
        }
      }
    }

    /// The interfaces that an example's packet sockets are on, the kernel behind them with the gateways' addresses.
    private func addInterfaces(
      of example: Documents.Passage, _ ours: NetworkNamespace, _ kernel: NetworkNamespace
    ) async throws {
      for option in example.text.split(separator: "--packet ").dropFirst() {
        let fields = option.split(whereSeparator: { "=/, ".contains($0) }).map(String.init)
        let (interface, gateway) = (fields[0], fields[4])
        try #require(fields[3] == "gateway")
        try await ours.run("ip", "link", "add", interface, "type", "veth", "peer", "name", "k\(interface)")
        try await ours.run("ip", "link", "set", interface, "up")
        try await ours.move("k\(interface)", to: kernel)
        try await kernel.run(script: "ip address add \(gateway)/24 dev k\(interface); ip link set k\(interface) up")
      }
    }

    @Test(
      "The recipe for Wi-Fi and LTE uses both uplinks, and leaves nothing behind",
      .enabled(if: Machine.hasTUN && Machine.hasNFTables), .timeLimit(.minutes(5)))
    func realNetworks() async throws {
      let network = try await Routed()
      // As strict as a distribution may have it, with a default route as a laptop has one.
      try await network.router.run(
        script: """
          ip route add default via 10.2.1.1 dev w1
          sysctl -q net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.w1.rp_filter=1 net.ipv4.conf.w2.rp_filter=1
          sysctl -q net.ipv4.ip_forward=0
          """)
      let blocks = try Documents.blocks(in: "docs/real-networks.md")
      let names = ["wifi", "wifi_gateway", "lte", "lte_gateway"]
      let first = try #require(blocks.first)
      #expect(
        first.commands.joined(separator: " ").split(separator: " ").map { $0.prefix { $0 != "=" } }
          == names.map { $0[...] })
      let scratch = try Scratch()
      let folder = scratch.folder
      let commands = blocks.dropFirst().map(\.text).joined()
        .replacing(".build/release/mptcp", with: Machine.mptcp).replacing("HOST PORT", with: "10.1.1.1 5000")
      let server = try network.peer.start([
        Machine.peer, "server", "--connections", "1", "--receive", "16m", "0.0.0.0:5000",
      ])
      try await server.waits(for: "listening")
      let outcome = try await network.router.start(
        script: """
          set -eu
          cd \(folder)
          state() {
            ip rule; ip route show table all; ip -br address; nft list ruleset
            sysctl net.ipv4.ip_forward net.ipv4.conf.w1.rp_filter net.ipv4.conf.w2.rp_filter
          }
          state > before
          \(Machine.peer) pattern 16m 1 > file
          exec < file
          wifi=w1 wifi_gateway=10.2.1.1
          lte=w2 lte_gateway=10.2.2.1
          \(commands)
          state > after
          diff before after
          """
      ).finish(within: 40)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      #expect(
        outcome.errors.contains("on mp1, 10.9.1.2") && outcome.errors.contains("on mp2, 10.9.2.2"), "\(outcome.errors)")
      for device in ["w1", "w2"] {
        let carried = try await network.router.byteCount(of: device).sent
        // Much more than a handshake; how much is the scheduler's choice, on links without a limit.
        #expect(carried > 50_000, "\(device)")
      }
    }

    @Test("Each lab that is shown runs as printed", .timeLimit(.minutes(5)))
    func labs() async throws {
      let blocks = try Documents.blocks(in: "docs/lab.md") + Documents.blocks(in: "README.md").filter(isLab)
      #expect(blocks.count == 6)
      for block in blocks {
        let outcome = try await ChildProcess(
          ["sh", "-c", "cd '\(Machine.root.path)'; exec 2>&1; \(block.text)"]
        ).finish(within: 60)
        // 75: it worked, on a machine that was too busy to measure anything.
        #expect([0, 75].contains(outcome.status), "\(block): \(outcome.summary)")
        #expect(outcome.output.contains("client → "), "\(block): \(outcome.summary)")
      }
    }

    @Test(
      "Each way to the permissions leads there",
      .enabled(if: geteuid() == 0 && Machine.hasTUN, "needs root and /dev/net/tun"), .timeLimit(.minutes(5)))
    func permissions() async throws {
      let scratch = try Scratch()
      let copy = try scratch.copyForOthers(of: Machine.mptcp)
      let blocks = try Documents.blocks(in: "docs/permissions.md")
      #expect(blocks.count == 2)
      for block in blocks {
        let commands = block.commands.map { command in
          let command = command.replacing(".build/release/mptcp", with: copy).replacing("$USER", with: "nobody")
          return command.hasPrefix("sudo ") ? String(command.dropFirst(5)) : "ordinary \(command)"
        }
        let kernel = try await NetworkNamespace()
        let server = try kernel.start([Machine.peer, "server", "--connections", "1", "--receive", "0", "0.0.0.0:5000"])
        try await server.waits(for: "listening")
        // A device file of the usual mode, for nobody but these processes.
        let script = """
          mount -t tmpfs none /dev/net; mknod /dev/net/tun c 10 200; chmod 666 /dev/net/tun
          ordinary() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
          \(commands.joined(separator: "\n"))
          """
        let outcome = try await kernel.start(["unshare", "-m", "bash", "-euc", script]).finish(within: 20)
        #expect(outcome.status == 0 && outcome.errors.contains("Multipath TCP"), "\(block): \(outcome.summary)")
        #expect(try await kernel.run("ip", "-br", "link").contains("mp0") == false)
      }
    }
  }
}
