import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// `mptcp lab`: real programs on emulated paths.
  ///
  /// What is measured depends on the machine's leisure. A lab that was held up says so itself, by status 75; then the
  /// test tries again, and after the third time it says that nothing was measured.
  @Suite("Lab", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct LabTests {
    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    /// Writes a lab file with paths of these links between `client` and `server`, and gives its name.
    private func lab(
      _ links: [String], device: String = "auto", boxes: String = "[]", server: [String]? = nil
    ) throws -> String {
      let paths = links.enumerated().map { index, link in
        #"{"name":"p\#(index)","between":["client","server"],"device":"\#(device)","link":"\#(link)","boxes":\#(boxes)}"#
      }
      let command =
        (server ?? [Machine.peer, "server", "--connections", "1", "--raw", "--receive", "1000g", "0.0.0.0:5000"])
        .map { "\"\($0)\"" }.joined(separator: ",")
      let text = """
        {"hosts":[{"name":"client","mptcp":{"endpoints":"subflow"}},"server"],"paths":[\(paths.joined(separator: ","))],
         "run":[{"in":"server","command":[\(command)],"listens":5000}]}
        """
      let file = scratch.file("lab.json")
      try text.write(toFile: file, atomically: true, encoding: .utf8)
      return file
    }

    /// Runs until a run is not void; nil if none is.
    private func measured(
      _ arguments: [String], within seconds: Double = 60
    ) async throws -> (outcome: ChildProcess.Outcome, report: LabReport)? {
      for _ in 0..<3 {
        let outcome = try await ChildProcess(arguments).finish(within: seconds)
        guard outcome.status == 0 || outcome.status == 75 else {
          throw ChildProcess.Failure(description: outcome.summary)
        }
        let report = try outcome.labReport()
        #expect(report.isVoid == (outcome.status == 75), "\(outcome.summary)")
        if !report.isVoid { return (outcome, report) }
        print("lab: void, \((report.lateShare ?? 0) * 100) % late")
      }
      print("lab: NOT MEASURED: \(arguments.joined(separator: " ")): the machine was too busy three times")
      return nil
    }

    @Test(
      "Two kernels use both paths, each at its rate", .timeLimit(.minutes(5)),
      arguments: Machine.hasTUN ? ["tun", "veth"] : ["veth"])
    func kernels(device: String) async throws {
      let file = try lab(["20mbit,5ms", "20mbit,10ms"], device: device)
      let command = [Machine.peer, "client", "--raw", "--send", "12m", "{server}:5000"]
      guard let (outcome, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      let connection = try outcome.connection
      #expect(connection.multipath == true && connection.extraSubflows == 1, "\(outcome.summary)")
      for path in report.paths {
        #expect(path.device == device)
        let forth = path.directions[0], back = path.directions[1]
        #expect(forth.deliveredByteCount > 3 << 20, "\(path)")
        #expect((19.8e6...20.2e6).contains(forth.busiestSecondBitsPerSecond), "\(path)")
        let least = path.name == "p0" ? 0.005 : 0.010
        #expect(try #require(back.delay).minimum >= least, "\(path)")
      }
    }

    @Test("A box that strips options makes kernels speak TCP, and says what it did", .timeLimit(.minutes(5)))
    func stripping() async throws {
      let file = try lab(["50mbit,2ms", ""], boxes: #"[{"strip":{"option":"mptcp","on":["syn"]}}]"#)
      let command = [Machine.peer, "client", "--raw", "--send", "2m", "{server}:5000"]
      guard let (outcome, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      #expect(try outcome.connection.multipath == false, "\(outcome.summary)")
      let box = try #require(try report.path("p0").boxes?.first)
      #expect(box.kind == "strip" && box.beside == "client")
      #expect(box.effects["optionRemoved"] ?? 0 >= 1, "\(box)")
      #expect(box.receivedPacketCount > 1000)
    }

    @Test("Kernels use both paths through boxes at either end", .timeLimit(.minutes(5)))
    func boxesAtBothEnds() async throws {
      let boxes =
        #"{"client":["rewriteSequence"],"server":[{"cut":{"byteCount":500}},{"strip":{"option":"timestamps"}}]}"#
      let file = try lab(["20mbit,2ms", "20mbit,5ms"], boxes: boxes)
      let command = [Machine.peer, "client", "--raw", "--send", "4m", "{server}:5000"]
      guard let (outcome, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      let connection = try outcome.connection
      #expect(connection.multipath == true && connection.extraSubflows == 1, "\(outcome.summary)")
      for path in report.paths {
        let done = try #require(path.boxes).map { ($0.beside, $0.kind, $0.effects) }
        #expect(done.map { $0.0 } == ["client", "server", "server"])
        #expect(done.map { $0.1 } == ["rewriteSequence", "cut", "strip"])
        #expect(done[0].2["sequenceTranslated"] ?? 0 > 500, "\(done)")
        #expect(done[1].2["segmentCut"] ?? 0 > 500, "\(done)")
        #expect(done[2].2["optionRemoved"] ?? 0 >= 1, "\(done)")
      }
    }

    @Test("A line's rate changes at its time after the command's start", .timeLimit(.minutes(5)))
    func changes() async throws {
      let file = try lab(["20mbit,2ms,change=1s rate 4mbit"])
      let command = [Machine.peer, "client", "--raw", "--tcp", "--send", "4m", "{server}:5000"]
      guard let (_, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      // 2.4 MB in the first second, at most, and 0.5 MB in each after it.
      #expect((3.0...6.0).contains(report.seconds), "\(report.seconds)")
      #expect(try report.path("p0").directions[0].busiestSecondBitsPerSecond > 15e6)
    }

    @Test(
      "At 100 Mbit/s the rate is within 1 %, and the delay within 0.1 ms", .timeLimit(.minutes(5)))
    func accuracy() async throws {
      let file = try lab(["100mbit,10ms,queue=50ms"])
      let command = [Machine.peer, "client", "--raw", "--tcp", "--send", "48m", "{server}:5000"]
      guard let (_, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      let direction = try report.path("p0").directions[0]
      let lateness = try #require(direction.lateness)
      print(
        "lab: \(direction.busiestSecondBitsPerSecond / 1e6) Mbit/s of 100, late: median \(lateness.median * 1e6) µs, "
          + "99 % \(lateness.percentile99 * 1e6) µs, \((report.lateShare ?? 0) * 100) % more than 0.5 ms")
      #expect((99e6...101e6).contains(direction.busiestSecondBitsPerSecond))
      #expect(lateness.median < 0.0001)
    }

    @Test("Round trips take what both directions' delays add up to", .timeLimit(.minutes(5)))
    func roundTrips() async throws {
      let file = try lab(["20ms"], server: [Machine.peer, "server", "--echo", "--tcp", "0.0.0.0:5000"])
      // One after the other, each two round trips: the handshake, and an octet there and back.
      let command = [
        Machine.peer, "client", "--tcp", "--no-delay", "--connections", "20", "--bytes", "1", "{server}:5000",
      ]
      guard let (outcome, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      let rate = try #require(outcome.totals.connectionsPerSecond), seconds = try #require(outcome.totals.seconds)
      print("lab: two round trips of 40 ms took \(1000 * seconds / 20) ms")
      // What the programs wait for a processor comes on top: of that the lab knows nothing.
      #expect((0.080...0.120).contains(seconds / 20), "\(rate) connections in a second")
      for direction in try report.path("p0").directions {
        let delay = try #require(direction.delay)
        #expect(delay.minimum >= 0.020 && delay.median < 0.0206, "\(direction)")
      }
    }

    @Test("A lossy path loses its share, and says why", .timeLimit(.minutes(5)))
    func loss() async throws {
      let file = try lab(["50mbit,5ms,loss=2%"])
      let command = [Machine.peer, "client", "--raw", "--tcp", "--send", "8m", "{server}:5000"]
      guard let (_, report) = try await measured([Machine.mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      let direction = try report.path("p0").directions[0]
      let share = Double(direction.drops["randomLoss"] ?? 0) / Double(direction.sentPacketCount)
      #expect((0.01...0.03).contains(share), "\(direction)")
    }

    @Test(
      "What a TUN device had to drop is counted, and a run that lost much of a bare wire's packets is void",
      .enabled(if: Machine.hasTUN), .timeLimit(.minutes(5)))
    func droppedFrames() async throws {
      let file = try lab([""], device: "tun")
      // A device with room for one frame drops what a sender does not leave time for.
      let script = """
        ip link set p0 txqueuelen 1; \(Machine.peer) client --raw --tcp --send 16m {server}:5000 >&2
        set -- $(grep p0: /proc/net/dev); echo ${13}
        """
      let outcome = try await ChildProcess([Machine.mptcp, "lab", "run", file, "--json", "--", "sh", "-c", script])
        .finish(within: 60)
      let report = try outcome.labReport(), direction = try report.path("p0").directions[0]
      let seen = try #require(outcome.output.split(separator: "\n").first.flatMap { Int($0) }, "\(outcome.summary)")
      #expect(seen > 0, "\(outcome.summary)")
      let counted = try #require(direction.lostBeforeLinkCount, "\(outcome.summary)")
      // The connection's last packets come behind the command's look.
      #expect((seen...seen + 10).contains(counted), "\(outcome.summary)")
      #expect(report.lateShare == nil)
      let lossShare = try #require(report.bareLossShare)
      #expect(lossShare > 0 && report.isVoid == (lossShare > 0.01) && outcome.status == (report.isVoid ? 75 : 0))
    }

    @Test(
      "A device that is deleted costs no processor, and the report says so", .timeLimit(.minutes(5)),
      arguments: Machine.hasTUN ? ["tun", "veth"] : ["veth"])
    func deletedDevice(device: String) async throws {
      let file = try lab(["1ms", "1ms"], device: device)
      // The lab's own time on processors, in hundredths of a second: of a second and a half, but little.
      let script = """
        ticks() { set -- $(cut -d ' ' -f 14,15 /proc/1/stat); echo $(($1 + $2)); }
        ip link del p0; before=$(ticks); sleep 1.5; echo $(($(ticks) - before))
        """
      let outcome = try await ChildProcess([Machine.mptcp, "lab", "run", file, "--json", "--", "sh", "-c", script])
        .finish(within: 30)
      let report = try outcome.labReport()
      let ticks = try #require(outcome.output.split(separator: "\n").first.flatMap { Int($0) }, "\(outcome.summary)")
      #expect(ticks < 50, "\(outcome.summary)")
      #expect(try report.path("p0").lostIn == ["client"])
      #expect(try report.path("p1").lostIn == nil)
      #expect(try report.path("p1").directions.allSatisfy { $0.lostBeforeLinkCount == 0 })
      // The counters of a TUN device go with it.
      #expect(try report.path("p0").directions[0].lostBeforeLinkCount == (device == "tun" ? nil : 0))
    }

    @Test("Our own stack joins over the lab's Ethernet pairs, against the other host's kernel", .timeLimit(.minutes(5)))
    func ownStack() async throws {
      let file = try lab(
        ["30mbit,5ms", "30mbit,10ms"], device: "veth",
        server: [Machine.peer, "server", "--connections", "1", "--raw", "--receive", "10000000", "0.0.0.0:5000"])
      let netcat = """
        head -c 10000000 /dev/zero | \(Machine.mptcp) nc -v --packet p0=10.0.1.9/24,gateway=10.0.1.2 \
        --packet p1=10.0.2.9/24,gateway=10.0.2.2 10.0.1.2 5000
        """
      guard
        let (outcome, report) = try await measured([
          Machine.mptcp, "lab", "run", file, "--json", "--", "sh", "-c", netcat,
        ])
      else { return }
      #expect(outcome.errors.contains("subflow 1"), "\(outcome.summary)")
      for path in report.paths { #expect(path.directions[0].deliveredByteCount > 2_000_000, "\(path)") }
    }

    @Test("An ordinary user gets a lab too", .enabled(if: geteuid() == 0), .timeLimit(.minutes(5)))
    func ordinaryUser() async throws {
      let mptcp = try scratch.copyForOthers(of: Machine.mptcp), peer = try scratch.copyForOthers(of: Machine.peer)
      let file = try lab(
        ["20mbit,5ms", "20mbit,5ms"],
        server: [peer, "server", "--connections", "1", "--raw", "--receive", "1000g", "0.0.0.0:5000"])
      let command = [peer, "client", "--raw", "--send", "6m", "{server}:5000"]
      guard
        let (outcome, report) = try await measured(
          asOrdinaryUser + [mptcp, "lab", "run", file, "--json", "--"] + command)
      else { return }
      #expect(try outcome.connection.extraSubflows == 1, "\(outcome.summary)")
      #expect(
        report.paths.allSatisfy { $0.device == (access("/dev/net/tun", R_OK) == 0 && geteuid() != 0 ? "tun" : "veth") })
    }

    @Test(
      "Captures have both ends of each path, and are whole", .enabled(if: Machine.hasTShark), .timeLimit(.minutes(5)))
    func captures() async throws {
      let file = try lab(["20mbit,5ms,loss=1%", "20mbit,5ms"])
      let command = [Machine.peer, "client", "--raw", "--send", "2m", "{server}:5000"]
      let outcome = try await ChildProcess(
        [Machine.mptcp, "lab", "run", file, "--json", "--pcapng", scratch.folder, "--"] + command
      ).finish()
      let report = try outcome.labReport()
      for path in report.paths {
        let capture = scratch.file("\(path.name).pcapng")
        func count(_ filter: String) async throws -> Int {
          try await run(["tshark", "-r", capture, "-Y", filter], within: 60).split(separator: "\n").count
        }
        let forth = path.directions[0]
        #expect(
          try await count(
            "frame.interface_name == \"client\" && ip.src == 10.0.0.0/8 && frame.packet_flags_direction == 2") > 0)
        #expect(
          try await count("frame.interface_name == \"client\" && frame.packet_flags_direction == 2")
            == forth.sentPacketCount)
        #expect(
          try await count("frame.interface_name == \"server\" && frame.packet_flags_direction == 1")
            == forth.deliveredPacketCount)
      }
    }

    @Test("The status is the command's own", .timeLimit(.minutes(5)), arguments: [("exit 7", 7), ("kill -9 $$", 137)])
    func status(script: String, status: Int32) async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let outcome = try await ChildProcess([Machine.mptcp, "lab", "run", file, "--", "sh", "-c", script]).finish(
        within: 20)
      #expect(outcome.status == status, "\(outcome.summary)")
    }

    @Test("A command that ends in peace when it is interrupted has not succeeded", .timeLimit(.minutes(5)))
    func interrupted() async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let script = "trap 'exit 0' INT; echo up >&2; sleep 30 & wait"
      let lab = try ChildProcess([Machine.mptcp, "lab", "run", file, "--", "sh", "-c", script])
      try await lab.waits(for: "up")
      kill(lab.identifier, SIGINT)
      #expect(try await lab.finish(within: 10).status == 130)
    }

    @Test(
      "One signal reaches a shell and what it waits for", .timeLimit(.minutes(5)),
      arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
    func signalToShell(signal: Int32, status: Int32) async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let lab = try ChildProcess([
        Machine.mptcp, "lab", "run", file, "--quiet", "--", "bash", "-c", "echo up >&2; sleep 50; echo x",
      ])
      try await lab.waits(for: "up")
      kill(lab.identifier, signal)
      let outcome = try await lab.finish(within: 10)
      #expect(outcome.status == status && outcome.output.isEmpty, "\(outcome.summary)")
      #expect(outcome.errors == "up\n")
    }

    @Test(
      "A command that ignores signals is waited for, which is said, until a second signal or a third ends it",
      .timeLimit(.minutes(5)), arguments: [("INT", 143), ("INT TERM", 137)] as [(String, Int32)])
    func deafCommand(ignored: String, status: Int32) async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let script = "trap '' \(ignored); echo up >&2; sleep 50; sleep 50"
      let lab = try ChildProcess([Machine.mptcp, "lab", "run", file, "--quiet", "--", "sh", "-c", script])
      try await lab.waits(for: "up")
      kill(lab.identifier, SIGINT)
      try await lab.waits(
        for: "mptcp: waiting for 'sh' in client to end after SIGINT; one more signal sends SIGTERM, a third SIGKILL")
      kill(lab.identifier, SIGINT)
      if ignored.contains("TERM") {
        try await lab.waits(
          for: "mptcp: waiting for 'sh' in client to end after SIGTERM; one more signal sends SIGKILL")
        kill(lab.identifier, SIGINT)
      }
      #expect(try await lab.finish(within: 10).status == status)
    }

    @Test("A terminal's command stays with it: it reads from it, and one interrupt ends it", .timeLimit(.minutes(5)))
    func terminal() async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let log = scratch.file("log")
      let command =
        "\(Machine.mptcp) lab run \(file) --quiet -- bash -c 'read word; echo heard $word; sleep 50; echo x'"
      let typing = "echo hello; until grep -q 'heard hello' \(log); do sleep 0.1; done; printf '\\003'; sleep 1"
      let outcome = try await ChildProcess([
        "bash", "-c", "(\(typing)) | script -qefc \"\(command.replacing("$", with: "\\$"))\" \(log)",
      ]).finish(within: 20)
      #expect(outcome.status == 130, "\(outcome.summary)")
    }

    @Test("A background command that failed is told", .timeLimit(.minutes(5)))
    func backgroundFailure() async throws {
      let file = scratch.file("fails.json")
      try #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"b","command":["sh","-c","exit 3"]}]}"#.write(
        toFile: file, atomically: true, encoding: .utf8)
      let outcome = try await ChildProcess([Machine.mptcp, "lab", "run", file, "--", "true"]).finish(within: 20)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(outcome.errors.contains("b: 'sh' ended with status 3"), "\(outcome.summary)")
    }

    @Test("Commands find each other by name", .timeLimit(.minutes(5)))
    func environment() async throws {
      let file = try lab(["1ms", "1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let script = "echo $MPTCP_LAB_HOST $MPTCP_LAB_SERVER $MPTCP_LAB_SERVER_P1 {server.p1} {client}; ps -e | wc -l"
      let outcome = try await ChildProcess(
        [Machine.mptcp, "lab", "run", file, "--in", "server", "--quiet", "--", "sh", "-c", script]
      ).finish(within: 20)
      #expect(outcome.output.hasPrefix("server 10.0.1.2 10.0.2.2 10.0.2.2 10.0.1.1\n"), "\(outcome.summary)")
    }

    @Test(
      "The lab file may come through a pipe or on the standard input", .timeLimit(.minutes(5)),
      arguments: [("-", "< FILE"), ("-", "< <(cat FILE)"), ("<(cat FILE)", "")])
    func fileFromPipe(argument: String, input: String) async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let script = "\(Machine.mptcp) lab run \(argument) --quiet -- sh -c 'echo ran; ls -l /proc/self/fd' \(input)"
      let outcome = try await ChildProcess(["bash", "-c", script.replacing("FILE", with: file)]).finish(within: 20)
      #expect(outcome.status == 0 && outcome.output.hasPrefix("ran\n"), "\(outcome.summary)")
      // What the lab handed to itself does not reach the command.
      #expect(!outcome.output.contains("memfd"), "\(outcome.summary)")
    }

    @Test("A misspelled host is remarked on once, and the command runs as it is", .timeLimit(.minutes(5)))
    func misspelledHost() async throws {
      let file = try lab(["1ms"], server: [Machine.peer, "server", "0.0.0.0:5000"])
      let outcome = try await ChildProcess([Machine.mptcp, "lab", "run", file, "--quiet", "--", "echo", "{servr}"])
        .finish(within: 20)
      #expect(outcome.status == 0 && outcome.output == "{servr}\n", "\(outcome.summary)")
      #expect(
        outcome.errors
          == "mptcp: '{servr}' stays as it is, since there is no host 'servr'; is '{server}' meant?\n")
    }

    // MARK: What is left

    /// The processes that have this text in their command line, and the namespaces that exist.
    private func traces(of mark: String) throws -> (processes: [String], namespaces: Set<String>) {
      var processes: [String] = []
      var namespaces: Set<String> = []
      for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(entry) != nil {
        if let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(entry)/ns/net") {
          namespaces.insert(link)
        }
        let line = (try? String(contentsOfFile: "/proc/\(entry)/cmdline", encoding: .utf8)) ?? ""
        if line.contains(mark) { processes.append(line.replacing("\0", with: " ")) }
      }
      return (processes, namespaces)
    }

    @Test(
      "A lab that is stopped leaves nothing: no process, no namespace, no device", .timeLimit(.minutes(5)),
      arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGKILL, 137)] as [(Int32, Int32)], [true, false])
    func cleanUp(signal: (number: Int32, status: Int32), detached: Bool) async throws {
      let mark = "86\(getpid())\(signal.number)"
      let before = try traces(of: mark)
      #expect(before.processes == [])
      let devices = try await run("ip", "-o", "link")
      let file = try lab(
        ["1ms", "1ms"], server: ["sh", "-c", "sleep \(mark) & exec \(Machine.peer) server 0.0.0.0:5000"])
      // Also what has left the session and its parents behind.
      let script =
        detached
        ? "setsid sh -c 'sleep \(mark) &' ; echo up >&2; exec sleep \(mark)" : "echo up >&2; exec sleep \(mark)"
      let lab = try ChildProcess([Machine.mptcp, "lab", "run", file, "--", "sh", "-c", script])
      try await lab.waits(for: "up")
      #expect(try traces(of: mark).processes.count >= 2)
      if signal.number == SIGKILL {
        lab.send(SIGKILL)
      } else {
        kill(lab.identifier, signal.number)
      }
      #expect(try await lab.finish(within: 10).status == signal.status)
      var after = try traces(of: mark)
      for _ in 0..<60 where !after.processes.isEmpty || !after.namespaces.isSubset(of: before.namespaces) {
        try await Task.sleep(for: .milliseconds(50))
        after = try traces(of: mark)
      }
      #expect(after.processes == [])
      #expect(try await run("ip", "-o", "link") == devices)
    }

    // MARK: What is refused

    @Test("What is wrong is one line that names it and a way out, with its status", .timeLimit(.minutes(5)))
    func refusals() async throws {
      let good = try lab(["1ms"], server: ["sleep", "9"])
      let bad = scratch.file("bad.json")
      try #"{"paths":[{"name":"p","between":["a","b"],"link":"40mbits"}]}"#.write(
        toFile: bad, atomically: true, encoding: .utf8)
      let early = scratch.file("early.json")
      try #"{"paths":[{"name":"p","between":["a","b"]}],"run":[{"in":"b","command":["false"],"listens":80}]}"#.write(
        toFile: early, atomically: true, encoding: .utf8)
      let text = try String(contentsOfFile: good, encoding: .utf8).replacing(",\"listens\":5000", with: "")
      try text.write(toFile: good, atomically: true, encoding: .utf8)
      let cases: [(arguments: [String], status: Int32, words: [String])] = [
        ([good], 64, ["no command", "-- COMMAND"]),
        ([good, "--in", "nobody", "--", "true"], 64, ["'nobody'", "client, server"]),
        ([bad, "--", "true"], 65, ["paths[0].link", "'40mbits'", "a rate or a delay"]),
        ([scratch.file("none"), "--", "true"], 74, ["none", "docs/lab.md"]),
        ([good, "--pcapng", "/nonexistent", "--", "true"], 74, ["--pcapng '/nonexistent'", "make it first"]),
        ([good, "--report", "/nonexistent/x", "--", "true"], 74, ["--report '/nonexistent/x'", "another file"]),
        ([good, "--quiet", "--", "/nonexistent"], 127, ["'/nonexistent'", "client"]),
        ([good, "--quiet", "--", "/dev/null"], 126, ["'/dev/null'", "Permission denied"]),
        ([early, "--", "true"], 1, ["'false' in b", "before it listened on port 80"]),
        ([good, "--", "echo", "{server.lte}"], 64, ["'{server.lte}'", "its paths are p0"]),
      ]
      for wrong in cases {
        let outcome = try await ChildProcess([Machine.mptcp, "lab", "run"] + wrong.arguments).finish(within: 30)
        #expect(outcome.status == wrong.status, "\(outcome.summary)")
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.summary)")
        for word in wrong.words { #expect(outcome.errors.contains(word), "\(outcome.summary)") }
      }
    }

    @Test(
      "Who may make no more namespaces is told which limit is in the way, with status 71", .timeLimit(.minutes(5)),
      arguments: ["net", "pid", "mnt"])
    func noNamespaces(kind: String) async throws {
      let file = try lab(["1ms"])
      // A limit of none, set from inside a namespace of the test's own, forbids them there.
      let script = "echo 0 > /proc/sys/user/max_\(kind)_namespaces; exec \(Machine.mptcp) lab run \(file) -- true"
      let outcome = try await ChildProcess(["unshare", "-rn", "sh", "-ec", script]).finish(within: 20)
      #expect(outcome.status == 71, "\(outcome.summary)")
      #expect(
        outcome.errors == """
          mptcp: cannot enter namespaces of our own: no more of them are allowed here; raise sysctl \
          user.max_\(kind)_namespaces; docs/permissions.md names the ways out

          """)
    }

    @Test("A lab with more hosts than there may be namespaces says so", .timeLimit(.minutes(5)))
    func tooManyHosts() async throws {
      let file = try lab(["1ms"])
      let script = "echo 2 > /proc/sys/user/max_net_namespaces; exec \(Machine.mptcp) lab run \(file) -- true"
      let outcome = try await ChildProcess(["unshare", "-rn", "sh", "-ec", script]).finish(within: 20)
      #expect(outcome.status == 71, "\(outcome.summary)")
      #expect(outcome.errors.contains("cannot make a network namespace: no more of them are allowed here; raise"))
      #expect(outcome.errors.contains("user.max_net_namespaces") && !outcome.errors.contains("No space"))
    }
  }
}
