import ArgumentParser
import Logging
import MPTCPTools
import Multipath

/// `mptcp nc`: the arguments, and what they must not be.
struct NetcatCommand: AsyncParsableCommand {
  /// The letters of the options below.
  static let letters = ShortOptions(flags: "lkdNzn46v", valued: "pwq")

  static let configuration = CommandConfiguration(
    commandName: "nc",
    abstract: "Connects or listens over our own Multipath TCP stack: input to the peer, the peer to output.",
    usage: """
      mptcp nc [options] HOST PORT
      mptcp nc -l [options] -p PORT
      """,
    discussion: """
      A path takes further words after its address, separated by commas: 'backup' uses it only when no other works; a \
      rate (40mbit, or rate=40mbit), a delay (20ms, or delay=20ms), jitter=2ms, loss=1%, dup=1%, reorder=1%:5ms, \
      queue=100p, ecn=30KB, mtu=1280, down=5s, up=8s, seed=7 put a modelled link between the stack and the device. \
      The same device given twice is one path with two addresses.

      At the end of the input our direction is closed; the peer may go on. The command stays until the peer has \
      acknowledged all that was sent. Exit status: 0 everything was sent and received, 1 no connection, 2 cut short, 3 \
      idle for longer than -w, 64 wrong arguments, 71 and 74 the system refused, 77 a permission is missing, 129 hung \
      up, 130 interrupted, 143 terminated.
      """)

  @Option(
    name: .long,
    help: ArgumentHelp(
      "A TUN device as a path, ADDRESS being ours. An existing device is left as it was; otherwise one is made that "
        + "goes with the process, whose other side gets host= and is brought up.",
      valueName: "NAME=ADDRESS/PREFIX[,host=ADDRESS]"))
  var tun: [String] = []

  @Option(
    name: .long,
    help: ArgumentHelp(
      "A packet socket on an interface as a path, ADDRESS being ours beside the kernel's own.",
      valueName: "IFACE=ADDRESS/PREFIX[,gateway=ADDRESS]"))
  var packet: [String] = []

  @Flag(name: .customShort("l"), help: "Listen, and serve the first connection.")
  var listens = false
  @Flag(name: .customShort("k"), help: "With -l: serve one connection after another.")
  var keepsListening = false
  @Option(name: .customShort("p"), help: ArgumentHelp("The port to listen on, or to connect from.", valueName: "port"))
  var port: String?
  @Option(
    name: .customShort("w"),
    help: ArgumentHelp(
      "Give up when connecting takes longer, or when nothing moves for so long; -l waits for a client without end.",
      valueName: "seconds"))
  var timeLimit: String?
  @Option(
    name: .customShort("q"),
    help: ArgumentHelp(
      "Leave so long after the end of the input, once the peer has what was sent; a negative number: never.",
      valueName: "seconds"))
  var quitDelay: String?
  @Flag(name: .customShort("d"), help: "Do not read the input; our direction closes when the peer's does.")
  var ignoresInput = false
  @Flag(name: .customShort("N"), help: "Close our direction at the end of the input. This is the default.")
  var closesAtEnd = false
  @Flag(name: .customShort("z"), help: "Only see whether something listens; PORT may be a range such as 20-30.")
  var scans = false
  @Flag(name: .customShort("n"), help: "Take HOST as an address, and look no name up.")
  var isNumeric = false
  @Flag(name: .customShort("4"), help: "Use IPv4 only.")
  var usesOnlyV4 = false
  @Flag(name: .customShort("6"), help: "Use IPv6 only.")
  var usesOnlyV6 = false
  @Flag(
    name: .customShort("v"),
    help: "Say what happens: the connection, each subflow as it comes, or goes before the others, the totals.")
  var isVerbose = false
  @Flag(
    help: ArgumentHelp(
      "With -l: give out TCP Fast Open cookies, and take the data of a SYN that brings one. Such data may come twice."))
  var fastOpen = false
  @Flag(help: "Show a live line for each path, if the standard error is a terminal.")
  var progress = false
  @Flag(help: "Plain TCP, no Multipath TCP.")
  var tcp = false
  @Option(
    help: ArgumentHelp(
      "How windows grow: \(CongestionAlgorithm.allNames.joined(separator: ", ")).", valueName: "name"))
  var congestion = "cubic"
  @Option(help: ArgumentHelp("\(Scheduler.allNames.joined(separator: ", ")).", valueName: "name"))
  var scheduler = "default"
  @Option(help: ArgumentHelp("Write what crosses each path as pcapng, an interface for each path.", valueName: "file"))
  var pcap: String?
  @Argument(help: ArgumentHelp("Where to connect, as a name or an address; with -l: our address.", valueName: "host"))
  var host: String?
  @Argument(help: ArgumentHelp("The port to connect to.", valueName: "port"))
  var destination: String?

  func run() async throws {
    let plan = try NetcatPlan(self)
    if let pcap { try checkWritable(pcap, "--pcap") }
    let status = await Netcat(plan).run()
    throw ExitCode(status.rawValue)
  }
}

/// What `mptcp nc` is to do: the arguments, checked.
struct NetcatPlan: Sendable {
  enum Role: Sendable {
    case connect(host: String, ports: ClosedRange<UInt16>)
    case listen(address: IPAddress?, port: Port)
  }

  var role: Role
  var paths: [PathOption]
  var options = ConnectionOptions()
  var keepsListening: Bool
  var acceptsFastOpen: Bool
  var timeLimit: Duration?
  var quitDelay: Duration?
  var ignoresInput: Bool
  var scans: Bool
  var isNumeric: Bool
  var family: IPAddress.Family?
  /// What `-v` shows goes here.
  var log: Logger
  var showsProgress: Bool
  var capture: String?

  init(_ command: NetcatCommand) throws(ArgumentProblem) {
    var options: [PathOption] = []
    for text in command.tun { options.append(try PathOption(.tun, parsing: text)) }
    for text in command.packet { options.append(try PathOption(.packet, parsing: text)) }
    paths = try PathOption.joined(options)
    guard !paths.isEmpty else {
      throw ArgumentProblem(
        "no path: give at least one, such as --tun tun0=10.0.1.2/24,host=10.0.1.1 or --packet eth0=192.0.2.7/24")
    }
    guard !(command.usesOnlyV4 && command.usesOnlyV6) else { throw ArgumentProblem("-4 and -6: only one of them") }
    family = command.usesOnlyV4 ? .v4 : command.usesOnlyV6 ? .v6 : nil
    role = try Self.role(command)
    if command.keepsListening && !command.listens { throw ArgumentProblem("-k: only with -l") }
    if command.fastOpen && !command.listens {
      throw ArgumentProblem(
        "--fast-open: only with -l; a client needs the cookie of an earlier connection, and nc keeps none")
    }
    acceptsFastOpen = command.fastOpen
    if command.scans && command.listens { throw ArgumentProblem("-z: only for connecting, not with -l") }
    keepsListening = command.keepsListening
    timeLimit = try Self.duration(command.timeLimit, "-w", or: "leave -w out for no limit")
    quitDelay = try Self.quitDelay(command.quitDelay)
    isNumeric = command.isNumeric
    ignoresInput = command.ignoresInput
    scans = command.scans
    log = LineLog.logger(isVerbose: command.isVerbose)
    showsProgress = command.progress && StandardError.isTerminal
    capture = command.pcap
    self.options.multipath = command.tcp ? .disabled : .enabled
    guard let algorithm = CongestionAlgorithm(name: command.congestion) else {
      let names = CongestionAlgorithm.allNames.joined(separator: ", ")
      throw ArgumentProblem("--congestion \(command.congestion): one of \(names)")
    }
    self.options.congestionControl = algorithm
    guard let scheduler = Scheduler(name: command.scheduler.lowercased()) else {
      let names = Scheduler.allNames.joined(separator: ", ")
      throw ArgumentProblem("--scheduler \(command.scheduler): one of \(names)")
    }
    self.options.scheduler = scheduler
    // Nobody who waits before a terminal waits for the three minutes of RFC 9293 §3.8.3.
    self.options.connectTimeout = timeLimit.map { .milliseconds(Int64($0 / .milliseconds(1))) } ?? .seconds(60)
    switch role {
    case .connect:
      if let port = command.port { self.options.localPort = Port(try Self.port(port, "-p \(port)")) }
    case .listen(let address?, _):
      if let family, address.family != family { throw ArgumentProblem.otherFamily("\(address)", family) }
      let ours = paths.flatMap { $0.addresses.map(\.local.address) }
      guard address.isUnspecified || ours.contains(address) else {
        let list = ours.map { "\($0)" }.joined(separator: ", ")
        throw ArgumentProblem("-l: \(address) is none of our addresses (\(list)); give none to listen on all")
      }
    case .listen: break
    }
  }

  private static func role(_ command: NetcatCommand) throws(ArgumentProblem) -> Role {
    guard command.listens else {
      guard let host = command.host else { throw ArgumentProblem("no HOST: mptcp nc [options] HOST PORT") }
      guard let text = command.destination else { throw ArgumentProblem("no PORT: mptcp nc [options] \(host) PORT") }
      let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { UInt16($0) }
      guard let first = ends[0], let last = ends[ends.count - 1], first > 0, first <= last,
        ends.count == 1 || command.scans
      else {
        throw ArgumentProblem("PORT '\(text)': a number from 1 to 65535" + (command.scans ? ", or FIRST-LAST" : ""))
      }
      return .connect(host: host, ports: first...last)
    }
    // Port by -p, or as the only or second plain argument, as BSD's netcat has it.
    let plain = [command.host, command.destination].compactMap { $0 }
    let words = command.port == nil ? plain.dropLast() : plain[...]
    guard let text = command.port ?? plain.last else {
      throw ArgumentProblem("-l: no port; try mptcp nc -l -p 5000")
    }
    let port = try port(text, command.port == nil ? "PORT '\(text)'" : "-p \(text)")
    guard let word = words.first else { return .listen(address: nil, port: Port(port)) }
    guard words.count == 1, let address = IPAddress(word) else {
      throw ArgumentProblem("-l: '\(words.joined(separator: " "))' is no address of ours; give none to listen on all")
    }
    return .listen(address: address, port: Port(port))
  }

  private static func port(_ text: String, _ argument: String) throws(ArgumentProblem) -> UInt16 {
    guard let port = UInt16(text), port > 0 else { throw ArgumentProblem("\(argument): a number from 1 to 65535") }
    return port
  }

  /// The time after the end of the input; nil for none.
  private static func quitDelay(_ text: String?) throws(ArgumentProblem) -> Duration? {
    if let number = text.flatMap({ Double($0) }), number < 0 { return nil }
    return try duration(text, "-q", or: "give a negative number, or leave -q out, to stay until the peer is done")
  }

  private static func duration(
    _ text: String?, _ name: String, or wayOut: String
  ) throws(ArgumentProblem) -> Duration? {
    guard let text else { return nil }
    guard let seconds = Double(text), seconds >= 0, seconds <= 1e6 else {
      throw ArgumentProblem("\(name) \(text): a number of seconds from 0 to 1000000; \(wayOut)")
    }
    return .seconds(seconds)
  }
}

extension ArgumentProblem {
  /// `-4` or `-6` beside an address of the other one.
  static func otherFamily(_ address: String, _ family: IPAddress.Family) -> ArgumentProblem {
    let option = family == .v4 ? "-4" : "-6"
    return ArgumentProblem("\(option): \(address) is an address of the other family; leave \(option) out")
  }
}
