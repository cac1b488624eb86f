import CLinux
import Glibc
import MPTCPLink
import MPTCPStack
import MPTCPWire

/// One command in a lab, from the building of the hosts to the report.
package struct LabRun {
  private let file: LabFile
  private let host: String
  private let arguments: [String]

  /// What the commands get, and who hears of the run.
  package var environment: [String: String] = [:]
  /// Where a pcapng file for each path goes.
  package var captureFolder: String?
  /// Takes the lines that background commands write, with the host that each ran in; nil throws them away.
  package var showLine: (@Sendable (_ host: String, _ line: String) -> Void)?
  /// Takes what people want to know while the command does not end that was told to.
  package var showRemark: ((_ remark: String) -> Void)?
  /// Whether the command stays in this process's group, which a terminal's signals reach. If not, it leads its own, so
  /// that signals to the lab reach all of it.
  package var isInForeground = false
  /// Called four times a second, with what was measured so far.
  package var showProgress: ((_ measured: [(path: String, directions: [DirectionAccount])]) -> Void)?

  /// Describes a run of `arguments` in `host`.
  package init(_ file: LabFile, in host: String, arguments: [String]) {
    (self.file, self.host, self.arguments) = (file, host, arguments)
  }

  /// Why no report came about.
  package enum Failure: Error, CustomStringConvertible {
    /// A program could not be started.
    case command(SystemError)
    /// A background command did not do what the file says of it.
    case background(String)
    /// A signal came before the command was started.
    case interrupted(signal: Int32)
    /// This is not the first process of namespaces of its own.
    case notInside

    package var description: String {
      switch self {
      case .command(let error): "\(error)"
      case .background(let words): words
      case .interrupted(let signal): "interrupted by signal \(signal)"
      case .notInside: "not inside namespaces of its own"
      }
    }
  }

  /// How long a listener may take to appear, and background commands to end.
  private static let listenerTime = Nanoseconds.seconds(20)
  private static let ownEndTime = Nanoseconds.milliseconds(500)
  private static let endTime = Nanoseconds.seconds(2)
  /// How long a command that was told to end may take before people are told.
  private static let remarkTime = Nanoseconds.seconds(1)

  /// Does all of it. Blocks.
  ///
  /// - Throws: ``Failure``, or ``SystemError`` for what could not be built.
  package func run() throws -> LabReport {
    // Only there does everything go with this process, and only it is told of orphans.
    guard getpid() == 1 else { throw Failure.notInside }
    let lab = try Lab(file, captureFolder: captureFolder)
    var processes = Processes()
    var background: [(command: LabFile.BackgroundCommand, process: Int32)] = []
    for command in file.commands { background.append((command, try start(command, lab, &processes))) }
    let begin = MonotonicClock.now
    lab.beginSchedules()
    let command = Processes.Command(process: try start(arguments, in: host, lab), leadsGroup: !isInForeground)
    let status = waitForEnd(of: command, &processes, lab)
    let seconds = Double(MonotonicClock.now - begin) / 1e9
    end(background, &processes)
    var report = LabReport(paths: lab.finish(), seconds: seconds, exitStatus: status)
    report.uncapturedPacketCount = try lab.finishCaptures()
    return report
  }

  /// Gives its status.
  private func waitForEnd(of command: Processes.Command, _ processes: inout Processes, _ lab: Lab) -> Int32 {
    var remarkedAt: Int64?
    while true {
      processes.wait(.milliseconds(250), command: command)
      showProgress?(lab.measured)
      if let status = processes.status(of: command.process) {
        // A command that was asked to end and did so in peace has not done what it was run for.
        if status == 0, let signal = processes.signal { return 128 + signal }
        return status
      }
      guard let last = processes.ending.last, last.at != remarkedAt,
        MonotonicClock.now - last.at > Self.remarkTime.count
      else { continue }
      remarkedAt = last.at
      if let remark = processes.ending.remark(on: "'\(arguments[0])' in \(host)") { showRemark?(remark) }
    }
  }

  private func start(_ arguments: [String], in host: String, _ lab: Lab) throws -> Int32 {
    do throws(SystemError) {
      return try lab.start(arguments, in: host, environment: environment, ownGroup: !isInForeground)
    } catch {
      throw Failure.command(error)
    }
  }

  private func start(_ command: LabFile.BackgroundCommand, _ lab: Lab, _ processes: inout Processes) throws -> Int32 {
    let show = showLine
    let output = try LineReader.descriptor { line in show?(command.host, line) }
    let process: Int32
    let nothing = Descriptor(try check(open("/dev/null", O_RDONLY | O_CLOEXEC), "open /dev/null"))
    do throws(SystemError) {
      process = try lab.start(
        command.arguments, in: command.host, environment: environment, ownGroup: true, output: output.number,
        errors: output.number, input: nothing.number)
    } catch {
      throw Failure.command(error)
    }
    guard let port = command.listeningPort else { return process }
    let name = "'\(command.arguments[0])' in \(command.host)"
    let deadline = MonotonicClock.now + Self.listenerTime.count
    while !lab.hasListener(on: port, in: command.host) {
      processes.wait(.milliseconds(10))
      if let signal = processes.signal { throw Failure.interrupted(signal: signal) }
      if let status = processes.status(of: process) {
        // What it had to say is on its way.
        usleep(50_000)
        throw Failure.background("\(name) ended with status \(status) before it listened on port \(port)")
      }
      if MonotonicClock.now > deadline {
        throw Failure.background(
          "\(name) does not listen on port \(port) after \(Self.listenerTime.seconds) s; is \"listens\" right?")
      }
    }
    return process
  }

  /// Lets background commands end by themselves, then asks them to; what still runs then goes with this process.
  private func end(
    _ background: [(command: LabFile.BackgroundCommand, process: Int32)], _ processes: inout Processes
  ) {
    func wait(_ time: Nanoseconds) {
      let deadline = MonotonicClock.now + time.count
      while background.contains(where: { processes.status(of: $0.process) == nil }), MonotonicClock.now < deadline {
        processes.wait(.milliseconds(20))
      }
    }
    wait(Self.ownEndTime)
    let failed = background.compactMap { command, process in
      processes.status(of: process).flatMap { $0 == 0 ? nil : (command, $0) }
    }
    for (_, process) in background where processes.status(of: process) == nil { kill(-process, SIGTERM) }
    wait(Self.endTime)
    // The last lines of theirs are still in their pipes.
    usleep(20_000)
    for (command, status) in failed { showLine?(command.host, "'\(command.arguments[0])' ended with status \(status)") }
  }
}
