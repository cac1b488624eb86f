import ArgumentParser
import Glibc
import MPTCPTools
import Multipath

/// `stack-peer`: our stack's side of the interop tests and benchmarks, with the options and reports of `mptcp-peer`,
/// the kernel's side. It uses the public API only.
@main
struct StackPeer: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stack-peer", abstract: "Our stack's side of the interop tests and benchmarks.",
    subcommands: [Client.self, Server.self])

  struct Client: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Opens connections.")
    @OptionGroup var workload: Workload
    @Argument(help: "ADDRESS:PORT of the servers, used in turn.") var servers: [String]

    func run() async throws {
      let addresses = try servers.map { text in
        guard let address = TransportAddress(text) else { throw ValidationError("'\(text)' is no ADDRESS:PORT") }
        return address
      }
      try await finish(PeerRun(workload, isServer: false).connect(to: addresses))
    }
  }

  struct Server: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Accepts connections.")
    @OptionGroup var workload: Workload
    @Argument(help: "The port.") var port: UInt16

    func run() async throws {
      try await finish(PeerRun(workload, isServer: true).serve(Port(port)))
    }
  }

  private static func finish(_ hasSucceeded: Bool) throws {
    if !hasSucceeded { throw ExitCode(1) }
  }
}

/// What each connection does.
struct Workload: ParsableArguments {
  @Option var tun: [String] = []
  @Option var packet: [String] = []
  /// The pattern each way; -1: without end.
  @Option(transform: byteCount) var send = 0
  @Option(transform: byteCount) var receive = -1
  @Option var sendSeed: UInt64?
  @Option var receiveSeed: UInt64?
  /// Client, against an echo: so many bytes each way.
  @Option(transform: byteCount) var bytes = -1
  /// Client: how many in all; server: leave after so many (0: never).
  @Option var connections = 1
  @Option var inFlight = 1
  @Option(transform: byteCount) var writeSize = 256 << 10
  @Option(transform: byteCount) var readSize = 1 << 20
  @Option var readDelayUs = 0
  @Option var readPauseUs = 0
  @Option var writePauseUs = 0
  @Option(transform: byteCount) var abortAfter = -1
  @Option(transform: byteCount) var reportEvery = 0
  /// Client: opens all, holds them so long, and reports the memory they take.
  @Option var holdSeconds = 0.0
  @Option var congestion = "cubic"
  @Option var sourcePort: UInt16?
  @Option var deadline = 600.0
  @Option var pcap: String?
  @Flag var tcp = false
  @Flag var echo = false
  /// The same bytes again and again, not checked.
  @Flag var raw = false
  @Flag var noDelay = false
  @Flag var checksum = false
  @Flag var refuseJoins = false
  /// Server: takes the data of SYNs. Client: may send its first data on the SYN.
  @Flag var fastOpen = false
  @Flag var sendAfterEof = false
  @Flag var keepWritingOpen = false
  @Flag var expectReset = false
  @Flag var each = false

  var options: ConnectionOptions {
    get throws {
      var options = ConnectionOptions()
      options.multipath = tcp ? .disabled : .enabled
      options.noDelay = noDelay
      options.checksum = checksum
      options.refusesJoinsToInitialAddress = refuseJoins
      options.fastOpen = fastOpen
      options.localPort = sourcePort.map { Port($0) }
      guard let algorithm = CongestionAlgorithm(name: congestion) else {
        let names = CongestionAlgorithm.allNames.joined(separator: ", ")
        throw ValidationError("--congestion \(congestion): one of \(names)")
      }
      options.congestionControl = algorithm
      return options
    }
  }

  var paths: [PathOption] {
    get throws {
      var paths: [PathOption] = []
      for text in tun { paths.append(try PathOption(.tun, parsing: text)) }
      for text in packet { paths.append(try PathOption(.packet, parsing: text)) }
      return try PathOption.joined(paths)
    }
  }
}

/// A count of bytes, with k, m or g for powers of 1,024.
@Sendable private func byteCount(_ text: String) throws -> Int {
  let units: [Character: Int] = ["k": 10, "m": 20, "g": 30]
  let shift = text.last.flatMap { units[$0] }
  guard let count = Int(shift == nil ? text[...] : text.dropLast()), count >= -1, count < 1 << 32 || shift == nil else {
    throw ValidationError("'\(text)' is no count of bytes")
  }
  return count << (shift ?? 0)
}
