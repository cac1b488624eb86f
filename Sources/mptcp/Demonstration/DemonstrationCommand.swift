import ArgumentParser
import FoundationEssentials
import Glibc
import MPTCPStack
import MPTCPTools
import Multipath
import Synchronization

/// `mptcp demo`: the arguments.
struct DemonstrationCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Moves a file over two paths, one of which dies on the way, and proves that every byte arrived.",
    discussion: """
      Runs in a network namespace of its own, so it needs no root and changes nothing outside. The peer is the \
      kernel's Multipath TCP; where namespaces are forbidden, both ends run in this process. The paths are shaped to \
      40 Mbit/s with 20 ms and 20 Mbit/s with 60 ms of round-trip time. Exit status: 0 every byte matched and the \
      kernel counted the joins, 4 not so, 5 every byte matched but no kernel took part, 64 wrong arguments, 74 a file \
      could not be read or written, 129 hung up, 130 interrupted, 143 terminated.
      """)

  @Flag(help: "Print the result as one JSON object; byteCounts are in the order of paths.")
  var json = false
  @Option(help: ArgumentHelp("Write what crosses each path as pcapng, an interface for each path.", valueName: "file"))
  var pcap: String?
  @Option(help: ArgumentHelp("Write the result as a picture in SVG.", valueName: "file"))
  var picture: String?
  @Option(help: ArgumentHelp("Move this file instead of one made for the purpose.", valueName: "file"))
  var file: String?
  @Flag(help: "Let both ends run in this process, without namespaces or the kernel's stack.")
  var inProcess = false

  /// Set in the environment of the process that runs inside the namespace.
  private static let mark = "MPTCP_DEMONSTRATION_INSIDE"

  /// Replaces this process by itself in a namespace of its own, unless it is inside already or may not.
  func enterNamespace() throws {
    guard !inProcess, getenv(Self.mark) == nil else { return }
    var environment = ProcessInfo.processInfo.environment
    environment[Self.mark] = "1"
    do throws(SystemError) {
      try NetworkNamespace.reenter(arguments: CommandLine.arguments, environment: environment)
    } catch {
      StandardError.say("\(error). Until then, both ends run in this process.")
    }
  }

  func run() async throws {
    let isInside = !inProcess && getenv(Self.mark) != nil
    try refuseSameFiles([("--file", file), ("--pcap", pcap), ("--picture", picture)])
    if let pcap { try checkWritable(pcap, "--pcap") }
    if let picture { try checkWritable(picture, "--picture") }
    let source: SourceFile
    do {
      source = try file.map { try SourceFile(path: $0) } ?? SourceFile(temporaryOf: Demonstration.byteCount)
    } catch {
      StandardError.say("\(error)")
      throw ExitCode(ExitStatus.inputOutput.rawValue)
    }
    let report: DemonstrationReport
    let captureFailure: (any Error)?
    let isInterrupted = Atomic(false)
    do {
      let demonstration = Demonstration(
        source: source, isTemporary: file == nil, usesKernel: isInside, capture: pcap,
        // With JSON on the standard output, progress still is for people.
        isQuiet: json && !StandardError.isTerminal)
      let interruption = Interruption()
      let watch = Task {
        guard let status = await interruption.status() else { return }
        isInterrupted.store(true, ordering: .releasing)
        await demonstration.interrupt()
        Glibc.exit(status.rawValue)
      }
      (report, captureFailure) = try await demonstration.run()
      watch.cancel()
    } catch {
      // What a signal ends fails; the process ends once the stack is down, with the signal's status.
      while isInterrupted.load(ordering: .acquiring) { try await Task.sleep(for: .seconds(1)) }
      StandardError.say("\(error)")
      throw ExitCode((error is SourceFile.Changed ? ExitStatus.inputOutput : .unproven).rawValue)
    }
    if let picture { try RecordingFile.write(Array(DemonstrationPicture(report).svg.utf8), to: picture, "--picture") }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys]
      try show([UInt8](encoder.encode(report)) + [UInt8(ascii: "\n")])
    } else {
      try show(report.lines.flatMap { Array(($0 + "\n").utf8) })
    }
    if let captureFailure {
      StandardError.say("\(captureFailure)")
      throw ExitCode(ExitStatus.inputOutput.rawValue)
    }
    if !report.isProven {
      throw ExitCode((report.isIntact && !report.peerIsKernel ? ExitStatus.withoutKernel : .unproven).rawValue)
    }
  }

  private func show(_ text: [UInt8]) throws {
    do {
      try writeAll(ByteSlice(text), to: STDOUT_FILENO)
    } catch {
      StandardError.say("\(error)")
      throw ExitCode(ExitStatus.inputOutput.rawValue)
    }
  }
}
