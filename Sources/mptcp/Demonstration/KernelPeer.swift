import FoundationEssentials
import Glibc
import MPTCPTools
import Multipath

/// The kernel's Multipath TCP as the other end, by ordinary blocking sockets.
final class KernelPeer: DemonstrationPeer {
  let address: TransportAddress
  let name: String
  private let listener: Int32
  private let thread = BlockingThread("kernel peer")

  /// IPPROTO_MPTCP; older C libraries do not name it.
  private static let multipathProtocol: Int32 = 262

  var isKernel: Bool { true }

  /// Listens on all addresses that the kernel has or will have; connections are for `address`.
  init(on address: TransportAddress) throws(StreamError) {
    self.address = address
    var system = utsname()
    uname(&system)
    let release = withUnsafeBytes(of: &system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    name = "Linux \(release)"
    listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), Self.multipathProtocol)
    guard listener >= 0 else { throw StreamError("open a Multipath TCP socket of the kernel's (net.mptcp.enabled=1?)") }
    // The same congestion control as ours, whatever the machine's default is.
    let congestion = "cubic"
    setsockopt(listener, Int32(IPPROTO_TCP), TCP_CONGESTION, congestion, socklen_t(congestion.utf8.count))
    var socketAddress = sockaddr_in()
    socketAddress.sin_family = sa_family_t(AF_INET)
    socketAddress.sin_port = address.port.rawValue.bigEndian
    socketAddress.sin_addr.s_addr = INADDR_ANY
    let bound = withUnsafePointer(to: &socketAddress) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0, listen(listener, 8) == 0 else {
      throw StreamError("listen on port \(address.port) with the kernel's stack")
    }
  }

  deinit { close(listener) }

  func stop() async {}

  func serve(_ direction: DemonstrationReport.Transfer.Direction, _ source: SourceFile) async throws -> PeerOutcome {
    try await withTaskCancellationHandler {
      try await Task(executorPreference: thread) { [listener] in
        let connection = accept(listener, nil, nil)
        guard connection >= 0 else { throw StreamError("accept a connection") }
        defer { close(connection) }
        return direction == .upload ? try Self.receive(connection) : try Self.send(source, connection)
      }.value
    } onCancel: {
      // Nobody is going to connect: this ends the wait for it.
      shutdown(listener, Int32(SHUT_RDWR))
    }
  }

  private static func receive(_ connection: Int32) throws(StreamError) -> PeerOutcome {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var digest = StreamDigest()
    var stalls = StallMeter()
    var ended = secondsNow()
    while true {
      let count = read(connection, buffer.baseAddress, buffer.count)
      guard count >= 0 else { throw StreamError("receive with the kernel's stack") }
      // The end of the stream may come later than the last byte.
      guard count > 0 else {
        return PeerOutcome(
          digest: digest.hexadecimal, byteCount: digest.byteCount, ended: ended, longestStall: stalls.longest)
      }
      ended = secondsNow()
      digest.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      stalls.arrival(at: ended, after: digest.byteCount)
    }
  }

  private static func send(_ source: SourceFile, _ connection: Int32) throws -> PeerOutcome {
    var digest = StreamDigest()
    while digest.byteCount < source.byteCount {
      var rest = try source.slice(from: digest.byteCount, upTo: 256 << 10)
      rest.withUnsafeBytes { digest.update($0) }
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard count > 0 else { throw StreamError("send with the kernel's stack") }
        rest = rest.dropFirst(count)
      }
    }
    shutdown(connection, Int32(SHUT_WR))
    // The peer closes once it has everything.
    var octet: UInt8 = 0
    while read(connection, &octet, 1) > 0 {}
    return PeerOutcome(
      digest: digest.hexadecimal, byteCount: digest.byteCount, ended: secondsNow(), longestStall: 0)
  }

  /// The counters named `MPTcpExt` in /proc/net/netstat, without that prefix.
  func counters() -> [String: Int] {
    guard let text = try? String(contentsOfFile: "/proc/self/net/netstat", encoding: .utf8) else { return [:] }
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("MPTcpExt:") }.map { $0.split(separator: " ") }
    guard lines.count == 2 else { return [:] }
    return Dictionary(
      zip(lines[0].dropFirst().map(String.init), lines[1].dropFirst().map { Int($0) ?? 0 }), uniquingKeysWith: { $1 })
  }
}
