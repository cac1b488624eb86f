import ArgumentParser
import Glibc
import MPTCPTools
import Multipath

/// The root: each tool is a subcommand.
struct Command: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "mptcp",
    abstract: "Multipath TCP in user space: several network paths for one connection.",
    version: "0.1.0",
    subcommands: [NetcatCommand.self, DemonstrationCommand.self, SimulationCommand.self, LabCommand.self])
}

@main
enum Program {
  static func main() async {
    // Where a standard stream is closed, the next file to be opened would become it. To write what is asked for to a
    // closed output still is an error.
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_RDWR)
    }
    // A peer or a pipe that goes away is an error of the write that finds out, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
    // So is a file that grows beyond what the shell allows.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var arguments = Array(CommandLine.arguments.dropFirst())
      if arguments.first == NetcatCommand.configuration.commandName {
        arguments = NetcatCommand.letters.split(arguments)
      }
      try refuseUnknownTopic(arguments)
      let command = try Command.parseAsRoot(arguments)
      // A namespace is entered by the process's only thread: before anything is awaited.
      if let demonstration = command as? DemonstrationCommand { try demonstration.enterNamespace() }
      if let lab = command as? LabRunCommand { try lab.enterNamespaces() }
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        var command = command
        try command.run()
      }
    } catch let status as ExitCode {
      exit(status.rawValue)
    } catch let problem as ArgumentProblem {
      StandardError.say(problem.description)
      exit(ExitStatus.usage.rawValue)
    } catch {
      let status = Command.exitCode(for: error)
      if status == .success || Command.message(for: error).isEmpty {
        // Help and version.
        do {
          try writeAll(ByteSlice(Array((Command.fullMessage(for: error) + "\n").utf8)), to: STDOUT_FILENO)
        } catch {
          StandardError.say("\(error)")
          exit(ExitStatus.inputOutput.rawValue)
        }
      } else {
        let words = Command.message(for: error).split(separator: "\n").joined(separator: " ")
        let tool = CommandLine.arguments.dropFirst().first { word in
          Command.configuration.subcommands.contains { $0.configuration.commandName == word }
        }
        StandardError.say("\(words) (see mptcp help\(tool.map { " " + $0 } ?? ""))")
      }
      exit(status.rawValue)
    }
  }

  /// Help for a tool that does not exist is a mistake, not a wish to see all of them.
  private static func refuseUnknownTopic(_ arguments: [String]) throws(ArgumentProblem) {
    guard arguments.first == "help", let topic = arguments.dropFirst().first else { return }
    guard !topic.hasPrefix("-"), topic != "help",
      !Command.configuration.subcommands.contains(where: { $0.configuration.commandName == topic })
    else { return }
    throw ArgumentProblem("help \(topic): there is no such tool (see mptcp help)")
  }
}
