/// What `mptcp demo` found out; `--json` prints it as one object.
public struct DemonstrationReport: Codable, Sendable, Hashable {
  /// A path of the demonstration and how it was shaped.
  public struct Path: Codable, Sendable, Hashable {
    /// Its name.
    public var name: String
    /// The rate it was shaped to, in bits per second.
    public var bitsPerSecond: Int
    /// The delay in each direction, in seconds.
    public var delay: Double

    /// Makes a path; see the properties.
    public init(name: String, bitsPerSecond: Int, delay: Double) {
      self.name = name
      self.bitsPerSecond = bitsPerSecond
      self.delay = delay
    }
  }

  /// Payload that each path had carried at one moment of a transfer.
  public struct Sample: Codable, Sendable, Hashable {
    /// Seconds since the transfer began.
    public var time: Double
    /// By path, in the order of ``DemonstrationReport/paths``.
    public var byteCounts: [Int]

    /// Makes a sample; see the properties.
    public init(time: Double, byteCounts: [Int]) {
      self.time = time
      self.byteCounts = byteCounts
    }
  }

  /// The time for which a path was down, in seconds since the transfer began.
  public struct Outage: Codable, Sendable, Hashable {
    /// The path's index.
    public var path: Int
    /// When it went down.
    public var start: Double
    /// When it came back; `nil` if the transfer ended first.
    public var end: Double?

    /// Makes an outage; see the properties.
    public init(path: Int, start: Double, end: Double?) {
      self.path = path
      self.start = start
      self.end = end
    }
  }

  /// One transfer.
  public struct Transfer: Codable, Sendable, Hashable {
    /// Which way the file went.
    public enum Direction: String, Codable, Sendable {
      /// From our stack to the peer.
      case upload
      /// From the peer to our stack.
      case download
    }

    /// Which way the file went.
    public var direction: Direction
    /// Multipath TCP over all paths, or plain TCP over the first.
    public var isMultipath: Bool
    /// Bytes of the file.
    public var byteCount: Int
    /// From the connection's beginning to the last byte's arrival.
    public var seconds: Double
    /// Payload by path, in the order of ``DemonstrationReport/paths``.
    public var byteCounts: [Int]
    /// The longest pause between two arrivals, in seconds.
    public var longestStall: Double
    /// SHA-256 at our end.
    public var digest: String
    /// SHA-256 at the peer's end.
    public var peerDigest: String
    /// When a path was down.
    public var outage: Outage?
    /// How the bytes came to be there.
    public var samples: [Sample]
    /// Payload bits per second over the whole transfer.
    public private(set) var goodput: Double

    /// Makes a transfer; see the properties.
    public init(
      direction: Direction, isMultipath: Bool, byteCount: Int, seconds: Double, byteCounts: [Int], longestStall: Double,
      digest: String, peerDigest: String, outage: Outage?, samples: [Sample]
    ) {
      self.direction = direction
      self.isMultipath = isMultipath
      self.byteCount = byteCount
      self.seconds = seconds
      self.byteCounts = byteCounts
      self.longestStall = longestStall
      self.digest = digest
      self.peerDigest = peerDigest
      self.outage = outage
      self.samples = samples
      goodput = seconds > 0 ? Double(byteCount) * 8 / seconds : 0
    }

    /// Whether both ends hold the same bytes.
    public var isIntact: Bool { digest == peerDigest && !digest.isEmpty }
  }

  /// Who was at the other end: the kernel's version, or `in-process`.
  public var peer: String
  /// Whether the peer is the kernel, whose counters are evidence.
  public var peerIsKernel: Bool
  /// The paths, the better one first.
  public var paths: [Path]
  /// The transfers, in the order in which they ran.
  public var transfers: [Transfer]
  /// The kernel's Multipath TCP counters that moved, by name.
  public var kernelCounters: [String: Int]
  /// By direction, how many times the goodput of the better path alone both reached; set by ``concluded()``.
  public private(set) var gains: [String: Double] = [:]
  /// Whether everything was shown that should be; set by ``concluded()``.
  public private(set) var isProven = false
  /// What is missing from the proof, a line for each point; set by ``concluded()``.
  public private(set) var shortcomings: [String] = []

  /// Makes a report; see the properties.
  public init(peer: String, peerIsKernel: Bool, paths: [Path], transfers: [Transfer], kernelCounters: [String: Int]) {
    self.peer = peer
    self.peerIsKernel = peerIsKernel
    self.paths = paths
    self.transfers = transfers
    self.kernelCounters = kernelCounters
  }

  /// Whether something was transferred, and all of it arrived as it was sent.
  public var isIntact: Bool { !transfers.isEmpty && transfers.allSatisfy(\.isIntact) }

  private var foundShortcomings: [String] {
    var lines: [String] = peerIsKernel ? [] : ["no kernel took part that could count the joins"]
    for transfer in transfers where !transfer.isIntact {
      lines.append("the \(title(of: transfer)) did not arrive as it was sent")
    }
    if transfers.isEmpty { lines.append("nothing was transferred") }
    let multipath = transfers.filter(\.isMultipath)
    for transfer in multipath where transfer.byteCounts.contains(0) {
      lines.append("the \(title(of: transfer)) left a path unused")
    }
    // One join for each further path of each Multipath TCP connection.
    let joins = multipath.count * max(paths.count - 1, 0)
    if peerIsKernel, kernelCounters["MPJoinAckRx", default: 0] < joins {
      lines.append("the kernel counted \(kernelCounters["MPJoinAckRx", default: 0]) joins, not \(joins)")
    }
    return lines
  }

  /// The report with its verdict.
  public func concluded() -> DemonstrationReport {
    var report = self
    report.shortcomings = foundShortcomings
    report.isProven = report.shortcomings.isEmpty
    for direction in [Transfer.Direction.upload, .download] { report.gains[direction.rawValue] = gain(direction) }
    return report
  }

  private func gain(_ direction: Transfer.Direction) -> Double? {
    let both = transfers.first { $0.direction == direction && $0.isMultipath }
    let one = transfers.first { $0.direction == direction && !$0.isMultipath }
    guard let both, let one, one.goodput > 0 else { return nil }
    return both.goodput / one.goodput
  }

  /// `upload, both paths`.
  public func title(of transfer: Transfer) -> String {
    "\(transfer.direction.rawValue), "
      + (transfer.isMultipath ? "both paths" : "\(paths.first?.name ?? "") only, plain TCP")
  }

  /// The table that ends the demonstration.
  public var lines: [String] {
    var table = TextTable(
      [("transfer", .left), ("time", .right), ("goodput", .right)] + paths.map { ("by \($0.name)", .right) }
        + [("longest stall", .right), ("SHA-256, both ends", .left)])
    for transfer in transfers {
      let digests =
        transfer.isIntact
        ? "\(transfer.digest.prefix(12))… = equal"
        : "\(transfer.digest.prefix(12))… ≠ \(transfer.peerDigest.prefix(12))…"
      table.append(
        [title(of: transfer), text(seconds: transfer.seconds), text(bitsPerSecond: transfer.goodput)]
          + transfer.byteCounts.map { text(byteCount: $0) } + [text(seconds: transfer.longestStall), digests])
    }
    var lines = table.lines
    for direction in [Transfer.Direction.upload, .download] {
      if let gain = gains[direction.rawValue],
        let both = transfers.first(where: { $0.direction == direction && $0.isMultipath })
      {
        let outage = both.outage.map { outage in
          ", with \(paths[outage.path].name) down from \(text(seconds: outage.start)) to "
            + (outage.end.map { text(seconds: $0) } ?? "the end")
        }
        lines.append("\(direction.rawValue): \(decimal(gain, places: 2)) × the better path alone\(outage ?? "")")
      }
    }
    if peerIsKernel {
      let counters = kernelCounters.filter { $0.value != 0 }.sorted { $0.key < $1.key }
      lines.append("The kernel (\(peer)) counted: " + counters.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
    } else {
      lines.append("Both ends ran in this process.")
    }
    return lines + (isIntact ? ["Every byte arrived."] : []) + shortcomings.map { "Not proven: \($0)." }
  }
}
