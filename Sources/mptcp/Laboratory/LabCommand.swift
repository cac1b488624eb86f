import ArgumentParser
import CLinux
import FoundationEssentials
import Glibc
import MPTCPLab
import MPTCPStack
import MPTCPTools
import Multipath

/// `mptcp lab`: tools that build networks.
struct LabCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lab",
    abstract: "Puts real programs on emulated paths.",
    subcommands: [LabRunCommand.self])
}

/// `mptcp lab run`: the arguments.
///
/// It does not suspend: signals are asked for by the first thread, which the runtime would take away once something is
/// awaited.
struct LabRunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Builds hosts and the paths between them, runs a command there, and reports what the paths carried.",
    discussion: """
      Hosts are network namespaces that go with this process, however it ends, and so does everything that runs in \
      them; no root is needed where user namespaces are allowed. In arguments, {server} becomes the address of the host \
      of that name, {server.lte} the one on its path of that name; MPTCP_LAB_SERVER and MPTCP_LAB_SERVER_LTE in the \
      environment say the same. A signal to this process goes to the command and what it runs; a second one sends \
      SIGTERM, a third SIGKILL. Exit status: the command's own; 75 if it succeeded, but more than 1 % of the packets \
      were handed over more than 0.5 ms late, or lost by the lab; 126 or 127 if it cannot be run, 64 wrong arguments, 65 a wrong lab file, \
      71 and 77 the system or a permission forbids it, 74 a file cannot be read or written.
      """)

  @Argument(help: ArgumentHelp("What to build, as JSON; docs/lab.md says how.", valueName: "lab.json"))
  var file: String
  @Option(
    name: .customLong("in"), help: ArgumentHelp("Run the command in this host, not in the first.", valueName: "host"))
  var host: String?
  @Flag(help: "Print the report as one JSON object on the standard output, behind what the command prints.")
  var json = false
  @Option(help: ArgumentHelp("Write the report as JSON to this file.", valueName: "file"))
  var report: String?
  @Option(help: ArgumentHelp("Write a pcapng file for each path into this folder.", valueName: "folder"))
  var pcapng: String?
  @Flag(help: "Show a live line for each direction of each path.")
  var progress = false
  @Flag(help: "Print no report, and nothing of what runs in the background.")
  var quiet = false
  @Argument(parsing: .postTerminator, help: "What to run, behind '--'.")
  var command: [String] = []

  /// Set in the environment of the process that runs inside the namespaces, to whether a terminal's signals reach it,
  /// since inside, process groups from outside have no numbers; and to the descriptor with the lab file, since a pipe can
  /// be read only once: `background 3`.
  private static let mark = "MPTCP_LAB_INSIDE"

  // Both: a lab inside a lab inherits the variable, and a container's first command the number.
  private var isInside: Bool { getenv(Self.mark) != nil && getpid() == 1 }

  /// Outside: checks what can be checked there, runs this program anew inside namespaces of its own, and ends as it
  /// does. To be called while the process has one thread.
  func enterNamespaces() throws {
    guard !isInside else { return NetworkNamespace.prepareInside() }
    try checkCommand()
    let bytes = try read()
    let lab = try checked(bytes)
    for argument in lab.commands.flatMap(\.arguments) + command {
      if let remark = lab.misspelledPlaceholder(in: argument) { StandardError.say(remark) }
    }
    var environment = ProcessInfo.processInfo.environment
    // With a terminal as its input, the command has to stay in a group that may read from it.
    let place = clinux_is_foreground() || isatty(STDIN_FILENO) == 1 ? "foreground" : "background"
    let status: Int32
    do throws(SystemError) {
      let copy = try InputText.inheritable(bytes)
      defer { withExtendedLifetime(copy) {} }
      environment[Self.mark] = "\(place) \(copy.number)"
      status = try NetworkNamespace.runInside(arguments: CommandLine.arguments, environment: environment)
    } catch {
      try refuse("\(error); docs/permissions.md names the ways out", error.isPermission ? .noPermission : .system)
    }
    throw ExitCode(status)
  }

  func run() throws {
    var environment = ProcessInfo.processInfo.environment
    let mark = environment.removeValue(forKey: Self.mark)?.split(separator: " ") ?? []
    let lab = try checked(read(mark.count > 1 ? Int32(mark[1]) : nil))
    var run = LabRun(lab, in: host ?? lab.hosts[0].name, arguments: command)
    run.environment = environment
    run.isInForeground = mark.first == "foreground"
    run.showRemark = { StandardError.say($0) }
    run.captureFolder = pcapng
    if !quiet { run.showLine = { host, line in StandardError.write("\(host): \(line)\n") } }
    let display = progress && StandardError.isTerminal ? LabDisplay(lab) : nil
    run.showProgress = { measured in display?.draw(measured) }
    let result: LabReport
    do {
      result = try run.run()
    } catch let error as SystemError {
      let isFile = error.attempt.hasPrefix("write the capture")
      try refuse("\(error)", isFile ? .inputOutput : error.isPermission ? .noPermission : .system)
    } catch LabRun.Failure.command(let error) {
      try refuse("\(error)", ExitStatus(rawValue: error.number == ENOENT ? 127 : 126))
    } catch LabRun.Failure.interrupted(let signal) {
      throw ExitCode(ExitStatus(signal: signal).rawValue)
    } catch {
      try refuse("\(error)", .notConnected)
    }
    StandardError.clear()
    try publish(result)
    if result.exitStatus != 0 { throw ExitCode(result.exitStatus) }
    if result.isVoid { throw ExitCode(ExitStatus.void.rawValue) }
  }

  private func publish(_ result: LabReport) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    let bytes = try [UInt8](encoder.encode(result)) + [UInt8(ascii: "\n")]
    if let report { try RecordingFile.write(bytes, to: report, "--report") }
    if json {
      do {
        try writeAll(ByteSlice(bytes), to: STDOUT_FILENO)
      } catch {
        try refuse("\(error)", .inputOutput)
      }
    } else if !quiet {
      StandardError.write(result.lines.map { $0 + "\n" }.joined())
    }
    if result.isVoid { StandardError.say(result.verdict) }
  }

  // MARK: Checking

  private func checkCommand() throws(ArgumentProblem) {
    guard !command.isEmpty else {
      throw ArgumentProblem("no command; put it behind the options: mptcp lab run \(file) -- COMMAND")
    }
  }

  /// The lab, if all arguments are right.
  private func checked(_ bytes: [UInt8]) throws -> LabFile {
    let lab: LabFile
    do throws(LabFileError) {
      lab = try LabFile(json: bytes)
    } catch {
      try refuse("\(file): \(error)", .wrongData)
    }
    if let host, lab.host(host) == nil { throw ArgumentProblem("--in \(host): \(lab.unknownHost(host))") }
    for argument in command {
      if let problem = lab.strayPlaceholder(in: argument) { throw ArgumentProblem(problem) }
    }
    if let report { try checkWritable(report, "--report") }
    if let pcapng {
      var status = stat()
      guard stat(pcapng, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, access(pcapng, W_OK | X_OK) == 0 else {
        try refuse("--pcapng '\(pcapng)': no folder that can be written to; make it first", .inputOutput)
      }
    }
    return lab
  }

  /// The lab file, from a descriptor that was inherited with it, if there is one.
  private func read(_ descriptor: Int32? = nil) throws -> [UInt8] {
    do {
      return try descriptor.map { try InputText.read(Descriptor($0), named: file) } ?? InputText.read(file)
    } catch {
      try refuse("\(error); give a lab file (docs/lab.md)", .inputOutput)
    }
  }

  private func refuse(_ words: String, _ status: ExitStatus) throws -> Never {
    StandardError.clear()
    StandardError.say(words)
    throw ExitCode(status.rawValue)
  }
}
