import MPTCPTools
import Multipath

/// The other end of the demonstration.
protocol DemonstrationPeer: Sendable {
  /// Who it is, for people.
  var name: String { get }
  /// Whether it is the kernel.
  var isKernel: Bool { get }
  /// Where it listens.
  var address: TransportAddress { get }
  /// Takes one connection: reads it to its end, or sends the file, and says how it went.
  func serve(_ direction: DemonstrationReport.Transfer.Direction, _ source: SourceFile) async throws -> PeerOutcome
  /// The kernel's Multipath TCP counters; empty where no kernel takes part.
  func counters() -> [String: Int]
  /// Ends it.
  func stop() async
}

/// What the peer saw of one connection.
struct PeerOutcome: Sendable {
  /// SHA-256 of what it received or sent.
  var digest: String
  /// How many bytes that were.
  var byteCount: Int
  /// When the last byte arrived, on the monotonic clock; for a sender, when it was done.
  var ended: Double
  /// The longest pause between two arrivals.
  var longestStall: Double
}

/// A peer on our own stack in this process, for systems without namespaces.
struct InProcessPeer: DemonstrationPeer {
  let stack: MultipathStack
  let listener: MultipathListener
  let address: TransportAddress

  var name: String { "our own stack" }
  var isKernel: Bool { false }
  func counters() -> [String: Int] { [:] }
  func stop() async { await stack.shutdown(within: .seconds(1)) }

  init(_ paths: [MultipathPath], address: TransportAddress) async throws {
    stack = try MultipathStack(paths: paths)
    listener = try await MultipathListener.listen(port: address.port, on: stack)
    self.address = address
  }

  func serve(_ direction: DemonstrationReport.Transfer.Direction, _ source: SourceFile) async throws -> PeerOutcome {
    guard let connection = try await listener.accept() else { throw CancellationError() }
    var digest = StreamDigest()
    var stalls = StallMeter()
    var ended = secondsNow()
    switch direction {
    case .upload:
      while let slice = try await connection.read() {
        slice.withUnsafeBytes { digest.update($0) }
        ended = secondsNow()
        stalls.arrival(at: ended, after: digest.byteCount)
      }
    case .download:
      while digest.byteCount < source.byteCount {
        let slice = try source.slice(from: digest.byteCount, upTo: 256 << 10)
        slice.withUnsafeBytes { digest.update($0) }
        try await connection.write(slice)
      }
      await connection.finish()
      while try await connection.read() != nil {}
      ended = secondsNow()
    }
    await connection.close()
    return PeerOutcome(
      digest: digest.hexadecimal, byteCount: digest.byteCount, ended: ended, longestStall: stalls.longest)
  }
}
