import Foundation
import Glibc
import Testing

extension InteropSuite {
  /// Wrong arguments, each answered by one line that names the argument and a way out, and by the documented status.
  @Suite("Arguments", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct ArgumentTests {
    /// A command line, what its error must name, and what it must offer.
    struct Case: CustomStringConvertible, Sendable {
      var arguments: String
      var named: String
      var wayOut: String

      var description: String { arguments }

      init(_ arguments: String, _ named: String, _ wayOut: String) {
        (self.arguments, self.named, self.wayOut) = (arguments, named, wayOut)
      }
    }

    private static let tun = "--tun t0=10.0.0.2/24,host=10.0.0.1"
    private static let peer = "10.0.0.1 5000"
    private static let seeHelp = "see mptcp help nc"

    static let wrong: [Case] = [
      Case("frobnicate", "frobnicate", "see mptcp help"), Case("help frobnicate", "frobnicate", "see mptcp help"),
      // What is missing
      Case("nc", "no path", "--tun tun0=10.0.1.2/24"), Case("nc --frobnicate", "--frobnicate", seeHelp),
      Case("nc \(tun)", "no HOST", "mptcp nc [options] HOST PORT"),
      Case("nc \(tun) 10.0.0.1", "no PORT", "10.0.0.1 PORT"),
      Case("nc \(tun) \(peer) more", "'more'", seeHelp), Case("nc \(tun) -l", "no port", "-p 5000"),
      Case("nc --tun", "--tun", seeHelp), Case("nc --packet", "--packet", seeHelp), Case("nc \(tun) -p", "-p", seeHelp),
      Case("nc \(tun) -w", "-w", seeHelp), Case("nc \(tun) -q", "-q", seeHelp),
      Case("nc \(tun) --pcap", "--pcap", seeHelp), Case("nc \(tun) --congestion", "--congestion", seeHelp),
      // Ports
      Case("nc \(tun) 10.0.0.1 0", "PORT '0'", "1 to 65535"),
      Case("nc \(tun) 10.0.0.1 65536", "PORT '65536'", "1 to 65535"),
      Case("nc \(tun) 10.0.0.1 http", "PORT 'http'", "1 to 65535"),
      Case("nc \(tun) 10.0.0.1 20-30", "PORT '20-30'", "1 to 65535"),
      Case("nc \(tun) -z 10.0.0.1 30-20", "PORT '30-20'", "FIRST-LAST"),
      Case("nc \(tun) -z 10.0.0.1 20-", "PORT '20-'", "FIRST-LAST"),
      Case("nc \(tun) -p 0 \(peer)", "-p 0", "1 to 65535"),
      Case("nc \(tun) -l -p http", "-p http", "1 to 65535"), Case("nc \(tun) -l -p 70000", "-p 70000", "1 to 65535"),
      Case("nc \(tun) -l 0", "PORT '0'", "1 to 65535"),
      // Times and names
      Case("nc \(tun) -w soon \(peer)", "-w soon", "seconds"), Case("nc \(tun) -w=-1 \(peer)", "-w -1", "seconds"),
      Case("nc \(tun) -w -1 \(peer)", "-w -1", "leave -w out"), Case("nc \(tun) -zvx \(peer)", "-x", seeHelp),
      Case("nc \(tun) -vp0 \(peer)", "-p 0", "1 to 65535"), Case("nc \(tun) -w2", "no HOST", "HOST PORT"),
      Case("nc \(tun) -w nan \(peer)", "-w nan", "seconds"), Case("nc \(tun) -q never \(peer)", "-q never", "seconds"),
      Case("nc \(tun) -q 1e9 \(peer)", "-q 1e9", "seconds"),
      Case("nc \(tun) -q x \(peer)", "-q x: a number of seconds", "leave -q out, to stay until the peer is done"),
      Case("nc \(tun) -q -x \(peer)", "-q -x", "seconds"),
      Case("nc \(tun) --congestion vegas \(peer)", "--congestion vegas", "newreno, cubic, lia"),
      Case("nc \(tun) --scheduler best \(peer)", "--scheduler best", "lowest-rtt"),
      // What does not go together
      Case("nc \(tun) -k \(peer)", "-k", "-l"), Case("nc \(tun) --fast-open \(peer)", "--fast-open", "-l"),
      Case("nc \(tun) -l -z -p 5000", "-z", "not with -l"),
      Case("nc \(tun) -4 -6 \(peer)", "-4 and -6", "one of them"),
      Case("nc \(tun) -6 -l 10.0.0.2 5000", "-6: 10.0.0.2", "leave -6 out"),
      Case("nc \(tun) -n host.invalid 5000", "-n: 'host.invalid'", "leave -n out"),
      Case("nc \(tun) fe80::1%eth0 5000", "'fe80::1%eth0'", "'%'"),
      Case("nc \(tun) --pcap - \(peer)", "--pcap -", "FIFO"), Case("demo --picture -", "--picture -", "give a file"),
      Case("nc \(tun) -l 10.9.9.9 5000", "10.9.9.9", "10.0.0.2"), Case("nc \(tun) -l here 5000", "'here'", "none"),
      // Paths
      Case("nc --tun t0 \(peer)", "--tun t0", "--tun tun0=10.0.1.2/24"),
      Case("nc --tun =10.0.0.2/24 \(peer)", "''", "such as tun0"),
      Case("nc --tun t0=10.0.0.2 \(peer)", "'10.0.0.2'", "10.0.1.2/24"),
      Case("nc --tun t0=10.0.0.2/33 \(peer)", "'10.0.0.2/33'", "10.0.1.2/24"),
      Case("nc --tun t0=10.0.0.0/24 \(peer)", "10.0.0.0", "10.0.1.2/24"),
      Case("nc --tun t0=10.0.0.2/24,host=10.0.9.1 \(peer)", "'host=10.0.9.1'", "another address in"),
      Case("nc --tun t0=10.0.0.2/24,host=10.0.0.1,host=10.0.0.3 \(peer)", "'host=10.0.0.3'", "twice"),
      Case("nc --tun t0=10.0.0.2/24,1ms --tun t0=fd00::2/64,2ms \(peer)", "--tun t0", "once"),
      Case("nc --tun t0=10.0.0.2/24,host=me \(peer)", "'me'", "IP address"),
      Case("nc --tun t0=10.0.0.2/24,gateway=10.0.0.1 \(peer)", "'gateway=10.0.0.1'", "host=ADDRESS"),
      Case("nc --tun t0=10.0.0.2/24,40mbits \(peer)", "'40mbits'", "a rate or a delay"),
      Case("nc --tun t0=10.0.0.2/24, \(peer)", "commas", "commas"),
      Case("nc --packet eth0 \(peer)", "--packet eth0", "--packet eth0=192.0.2.7/24"),
      Case("nc --packet eth0=10.0.0.2/24,host=10.0.0.1 \(peer)", "'host=10.0.0.1'", "gateway=ADDRESS"),
      Case("nc --tun t0=10.0.0.2/24 --tun t1=10.0.0.2/24 \(peer)", "10.0.0.2", "one of its own"),
      Case("nc --tun t0=10.0.0.2/24 --packet t0=10.0.0.3/24 \(peer)", "--packet t0", "--tun"),
      // The demonstration
      Case("demo more", "'more'", "see mptcp help demo"),
      Case("demo --frobnicate", "--frobnicate", "see mptcp help demo"),
      Case("demo --file", "--file", "see mptcp help demo"), Case("demo --pcap", "--pcap", "see mptcp help demo"),
      Case("demo --picture", "--picture", "see mptcp help demo"),
      Case("demo --json=1", "--json", "see mptcp help demo"),
      // Simulations
      Case("sim", "no scenario", "--explore 1000"), Case("sim --frobnicate", "--frobnicate", "see mptcp help sim"),
      Case("sim --explore 0", "--explore 0", "1000"), Case("sim --explore many", "--explore", "see mptcp help sim"),
      Case("sim --explore 1 --from=-1", "--from -1", "0 or more"),
      Case("sim --explore 1 --from -1", "--from -1", "0 or more"), Case("sim --explore -1", "--explore -1", "1000"),
      Case("sim --explore 1 --jobs -1", "--jobs -1", "leave --jobs out"),
      Case("sim x.json --seed -1", "'-1' is invalid for '--seed", "a whole number from 0 to 18446744073709551615"),
      Case("sim x.json --seed 1.5", "'1.5' is invalid for '--seed", "a whole number from 0 to 18446744073709551615"),
      Case("sim --explore 1 --jobs 0", "--jobs 0", "leave --jobs out"),
      Case("sim --explore 1 --output /nonexistent", "'/nonexistent'", "one that exists"),
      Case("sim --explore 1 x.json", "the scenario", "leave one of them out"),
      Case("sim --explore 1 --plot x.svg", "--plot", "leave one of them out"),
      Case("sim x.json --from 3", "--from", "--explore 1000"), Case("sim x.json --jobs 3", "--jobs", "--explore 1000"),
    ]

    @Test("A wrong argument is one line that names it and a way out, and status 64", .timeLimit(.minutes(10)))
    func wrongArguments() async throws {
      for wrong in Self.wrong { try await expect(64, wrong) }
    }

    @Test(
      "A file that cannot be used is one line that names it, and status 74, before any work", .timeLimit(.minutes(5)))
    func files() async throws {
      for command in [
        "nc \(Self.tun) --pcap /nonexistent/x \(Self.peer)", "nc \(Self.tun) --pcap /tmp \(Self.peer)",
        "demo --pcap /nonexistent/x", "demo --picture /nonexistent/x",
      ] {
        try await expect(74, Case(command, command.contains("/tmp") ? "'/tmp'" : "'/nonexistent/x'", "another file"))
      }
      for file in ["/nonexistent", "/tmp", "/dev/null"] {
        try await expect(74, Case("demo --file \(file)", file, "file"))
      }
      let scratch = try Scratch()
      let file = scratch.file("only")
      try "precious".write(toFile: file, atomically: true, encoding: .utf8)
      try await expect(64, Case("sim \(file)", "line 1, column 1", "no JSON"))
      try await expect(74, Case("sim /nonexistent", "'/nonexistent': No such file", "give a scenario"))
      try await expect(74, Case("sim /tmp", "'/tmp': Is a directory", "give a scenario"))
      try await expect(74, Case("lab run /nonexistent -- true", "'/nonexistent': No such file", "give a lab file"))
      // A pipe is as good as a file.
      let scenario = Machine.root.appending(path: "Scenarios/path-death.json").path
      let piped = try await run("bash", "-c", "\(Machine.mptcp) sim <(cat \(scenario))")
      let direct = try await run(Machine.mptcp, "sim", scenario)
      #expect(piped.contains("complete") && piped == direct)
      for option in ["--pcap", "--picture"] {
        try await expect(64, Case("demo --file \(file) \(option) \(file)", option, "--file"))
      }
      try await expect(64, Case("demo --pcap \(file)2 --picture \(file)2", "--picture", "--pcap"))
      #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
    }

    @Test("Where results cannot be written, the reason is said, and the status is 74", .timeLimit(.minutes(5)))
    func unwritableResults() async throws {
      let scenario = Machine.root.appending(path: "Scenarios/path-death.json").path
      for option in ["--trace", "--plot", "--pcapng"] {
        try await expect(
          74, Case("sim \(scenario) \(option) /dev/full", "\(option) '/dev/full': cannot", "No space left on device"))
      }
      for command in ["sim \(scenario)", "sim \(scenario) --json", "--version", "help sim"] {
        for (output, reason) in [("&-", "it is closed"), ("/dev/full", "No space left on device")] {
          let script = "exec \(Machine.mptcp) \(command) >\(output)"
          let outcome = try await ChildProcess(["bash", "-c", script]).finish(within: 20)
          #expect(outcome.status == 74, "\(outcome.summary)")
          #expect(outcome.errors == "mptcp: cannot write the output: \(reason)\n", "\(outcome.summary)")
        }
      }
    }

    @Test(
      "A device that cannot be used is one line that names it and a way out, and status 71",
      .enabled(if: Machine.hasTUN), .timeLimit(.minutes(5)))
    func devices() async throws {
      let namespace = try await NetworkNamespace()
      for device in [
        Case("nc --tun lo=10.0.0.2/24 \(Self.peer)", "lo", "not a TUN device"),
        Case("nc --tun lo=10.0.0.2/24,host=10.0.0.1 \(Self.peer)", "lo", "leave host= out"),
        Case("nc --packet eth9=10.0.0.2/24 \(Self.peer)", "'eth9'", "'ip link'"),
        Case("nc --packet lo=10.0.0.2/24 \(Self.peer)", "lo", "--tun"),
      ] { try await expect(71, device, in: namespace) }
    }

    @Test(
      "A host that cannot be reached is one line that names it, and status 1", .enabled(if: Machine.hasTUN),
      .timeLimit(.minutes(5)))
    func hosts() async throws {
      let namespace = try await NetworkNamespace()
      for host in [
        Case("nc \(Self.tun) host.invalid 1", "'host.invalid'", "name"),
        Case("nc \(Self.tun) fd00::1 1", "fd00::1", "add one with such an address"),
        Case("nc \(Self.tun) 10.0.0.1 1", "10.0.0.1:1", "nobody listens"),
        Case("nc \(Self.tun) 127.0.0.1 1", "127.0.0.1:1", "host="),
        Case("nc \(Self.tun) 10.0.0.2 1", "10.0.0.2:1", "host="),
        Case("nc \(Self.tun) 10.0.0.255 1", "10.0.0.255:1", "host="),
        Case("nc \(Self.tun) 0.0.0.0 1", "0.0.0.0:1", "host="),
        Case("nc \(Self.tun) 224.0.0.1 1", "224.0.0.1:1", "host="),
        Case("nc -z \(Self.tun) host.invalid 1-20", "'host.invalid'", "name"),
        Case("nc -z --tun t0=10.0.0.2/24 10.0.0.1 1", "10.0.0.1:1", "bring its device up"),
      ] { try await expect(1, host, in: namespace) }
      for family in [
        Case("nc \(Self.tun) -4 fd00::1 1", "-4: fd00::1", "leave -4 out"),
        Case("nc \(Self.tun) -6 10.0.0.1 1", "-6: 10.0.0.1", "leave -6 out"),
      ] {
        try await expect(64, family, in: namespace)
      }
    }

    private func expect(
      _ status: Int32, _ wrong: Case, in namespace: NetworkNamespace? = nil,
      location: SourceLocation = #_sourceLocation
    ) async throws {
      let arguments = [Machine.mptcp] + wrong.arguments.split(separator: " ").map(String.init)
      let process = try namespace?.start(arguments) ?? ChildProcess(arguments)
      let outcome = try await process.finish(within: 20)
      #expect(outcome.status == status, "\(outcome.summary)", sourceLocation: location)
      #expect(outcome.output.isEmpty, "\(outcome.summary)", sourceLocation: location)
      let isOneLine = outcome.errors.hasSuffix("\n") && outcome.errors.split(separator: "\n").count == 1
      #expect(
        isOneLine && outcome.errors.contains(wrong.named) && outcome.errors.contains(wrong.wayOut),
        "\(wrong): \(outcome.errors)", sourceLocation: location)
    }
  }
}
