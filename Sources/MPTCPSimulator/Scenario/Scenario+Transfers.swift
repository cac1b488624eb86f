import MPTCPWire

extension Scenario {
  /// What a client and a server do: one connection, or many alike.
  public struct Transfer: Hashable, Sendable {
    /// The host that connects; `host.interface` chooses the interface of the initial subflow.
    public var client: String
    /// The host that listens; `host.interface` chooses the address that is connected to.
    public var server: String
    /// Its name in reports; empty: a number.
    public var name = ""
    /// The port listened on; nil: one of its own.
    public var port: UInt16?
    /// Bytes from the client to the server.
    public var uploadByteCount = 0
    /// Bytes from the server to the client.
    public var downloadByteCount = 0
    /// How often the client asks with an upload and the server answers with a download, one after the other; nil: once,
    /// both directions at the same time.
    public var rounds: Int?
    /// Whether the server does not listen and opens the connection, too, from its port to the same port of the
    /// client's, at the same time (RFC 9293 §3.5, figure 7). There can be only one such connection.
    public var isSimultaneous = false
    /// When the first connection opens.
    public var start: Nanoseconds = .zero
    /// How many connections there are.
    public var connectionCount = 1
    /// The time from one connection's opening to the next one's.
    public var interval: Nanoseconds = .zero
    /// What is said of the client's connections.
    public var clientOptions = Options()
    /// What is said of the server's connections.
    public var serverOptions = Options()
    /// How the client's application behaves.
    public var clientApplication = Application()
    /// How the server's application behaves.
    public var serverApplication = Application()

    /// A transfer of nothing between two hosts.
    public init(client: String, server: String) {
      self.client = client
      self.server = server
    }
  }

  /// How one side's application writes, reads and ends.
  public struct Application: Hashable, Sendable {
    /// The most bytes that it offers in one write.
    public var writeByteCount = 65_536
    /// How long it pauses after each write.
    public var writePause: Nanoseconds = .zero
    /// How fast it reads; nil: at once.
    public var readBitsPerSecond: Int?
    /// How it ends.
    public var ending = Ending.finish

    /// An application that does all it can.
    public init() {}
  }

  /// How an application ends a connection.
  public enum Ending: Hashable, Sendable {
    /// It ends its own direction after the last byte, reads to the end, and waits until everything is acknowledged.
    case finish
    /// The same, but it lets the connection go as soon as it has read everything.
    case close
    /// It aborts the connection once it has sent and received so many bytes together.
    case abort(afterByteCount: Int)
    /// It aborts the connection so long after it has sent and read everything.
    case abortAtEnd(after: Nanoseconds)
    /// It lets the connection go after its last byte, whether or not something comes.
    case leave
  }
}

extension Scenario.Transfer: Codable {
  private static let names = [
    "client", "server", "name", "port", "upload", "download", "rounds", "simultaneous", "start", "connections",
    "interval",
    "options", "serverOptions", "clientApplication", "serverApplication",
  ]

  /// More would take longer than anybody waits, and more memory than there is: all of a scenario's connections are
  /// planned before it begins, and its report has a line for each.
  private static let mostConnections = 20_000
  private static let mostRounds = 1_000_000
  private static let mostBytes = 1_000_000_000_000_000

  /// Reads a transfer; only `client` and `server` are needed. `options` are both sides', unless there are
  /// `serverOptions`.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, Self.names)
    self.init(client: try reader.value("client"), server: try reader.value("server"))
    try reader.read("name", into: &name)
    if let number: Int = try reader.optional("port") {
      guard let wanted = UInt16(exactly: number), wanted > 0 else { throw reader.error("port", "expected 1 to 65535") }
      port = wanted
    }
    try reader.readByteCount("upload", into: &uploadByteCount)
    try reader.readByteCount("download", into: &downloadByteCount)
    rounds = try reader.optional("rounds")
    if let rounds, !(1...Self.mostRounds).contains(rounds) {
      throw reader.error("rounds", "expected 1 to \(Self.mostRounds)")
    }
    let most = max(uploadByteCount, downloadByteCount)
    guard most <= Self.mostBytes / (rounds ?? 1) else {
      let name = uploadByteCount == most ? "upload" : "download"
      throw reader.error(name, "expected 1000000 GB at most, all rounds together")
    }
    try reader.read("simultaneous", into: &isSimultaneous)
    try reader.readTime("start", into: &start)
    try reader.read("connections", into: &connectionCount)
    guard (1...Self.mostConnections).contains(connectionCount) else {
      throw reader.error("connections", "expected 1 to \(Self.mostConnections)")
    }
    if isSimultaneous, connectionCount > 1 { throw reader.error("connections", "expected 1 that is simultaneous") }
    try reader.readTime("interval", into: &interval)
    try reader.read("options", into: &clientOptions)
    serverOptions = clientOptions
    try reader.read("serverOptions", into: &serverOptions)
    try reader.read("clientApplication", into: &clientApplication)
    try reader.read("serverApplication", into: &serverApplication)
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self(client: client, server: server)
    var writer = ObjectWriter(encoder)
    try writer.write("client", client)
    try writer.write("server", server)
    try writer.write("name", name, unless: "")
    try writer.write("port", port)
    try writer.write("upload", byteCount: uploadByteCount, unless: 0)
    try writer.write("download", byteCount: downloadByteCount, unless: 0)
    try writer.write("rounds", rounds)
    try writer.write("simultaneous", isSimultaneous, unless: false)
    try writer.write("start", start, unless: usual.start)
    try writer.write("connections", connectionCount, unless: usual.connectionCount)
    try writer.write("interval", interval, unless: usual.interval)
    try writer.write("options", clientOptions, unless: usual.clientOptions)
    try writer.write("serverOptions", serverOptions, unless: clientOptions)
    try writer.write("clientApplication", clientApplication, unless: usual.clientApplication)
    try writer.write("serverApplication", serverApplication, unless: usual.serverApplication)
  }
}

extension Scenario.Application: Codable {
  /// Reads an application; every key has a default.
  public init(from decoder: any Decoder) throws {
    let reader = try ObjectReader(decoder, ["write", "pause", "readRate", "ending", "abortAfter", "abortDelay"])
    try reader.readByteCount("write", into: &writeByteCount)
    guard writeByteCount > 0 else { throw reader.error("write", "expected 1 byte or more") }
    try reader.readTime("pause", into: &writePause)
    readBitsPerSecond = try reader.optionalRate("readRate")
    let abortAfter = try reader.optionalByteCount("abortAfter")
    let abortDelay = try reader.optionalTime("abortDelay")
    let endings: [(String, Scenario.Ending)] = [
      ("finish", .finish), ("close", .close), ("abort", .abort(afterByteCount: abortAfter ?? 0)),
      ("abortAtEnd", .abortAtEnd(after: abortDelay ?? .zero)), ("leave", .leave),
    ]
    if let choice = try reader.choice("ending", endings) { ending = choice }
    if abortAfter != nil {
      guard case .abort = ending else { throw reader.error("abortAfter", "goes with \"ending\": \"abort\"") }
    }
    if abortDelay != nil {
      guard case .abortAtEnd = ending else {
        throw reader.error("abortDelay", "goes with \"ending\": \"abortAtEnd\"")
      }
    }
  }

  /// Writes what differs from the defaults.
  public func encode(to encoder: any Encoder) throws {
    let usual = Self()
    var writer = ObjectWriter(encoder)
    try writer.write("write", byteCount: writeByteCount, unless: usual.writeByteCount)
    try writer.write("pause", writePause, unless: usual.writePause)
    try writer.write("readRate", bitsPerSecond: readBitsPerSecond)
    switch ending {
    case .finish: break
    case .close: try writer.write("ending", "close")
    case .leave: try writer.write("ending", "leave")
    case .abort(let byteCount):
      try writer.write("ending", "abort")
      try writer.write("abortAfter", byteCount: byteCount, unless: 0)
    case .abortAtEnd(let delay):
      try writer.write("ending", "abortAtEnd")
      try writer.write("abortDelay", delay, unless: .zero)
    }
  }
}
