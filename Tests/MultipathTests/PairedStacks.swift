import Multipath
import Testing

/// Two stacks in this process with paths between them: the first address of each path is the client's, the second the
/// server's.
struct PairedStacks {
  let client: MultipathStack
  let server: MultipathStack

  init(pathCount: Int = 2, isVersion6: Bool = false, shaping: LinkConfiguration? = nil) throws {
    var clientPaths: [MultipathPath] = []
    var serverPaths: [MultipathPath] = []
    for number in 1...pathCount {
      let prefixes = [2, 1].compactMap { host in
        IPPrefix(isVersion6 ? "fd00:\(number)::\(host)/64" : "10.70.\(number).\(host)/24")
      }
      var (near, far) = try MultipathPath.pair(("near\(number)", [prefixes[0]]), ("far\(number)", [prefixes[1]]))
      if let shaping { near = near.shaped(outgoing: shaping, incoming: shaping) }
      clientPaths.append(near)
      serverPaths.append(far)
    }
    client = try MultipathStack(paths: clientPaths)
    server = try MultipathStack(paths: serverPaths)
  }

  /// A connection and the server's end of it.
  func connect(
    isVersion6: Bool = false, port: Port = 80, options: ConnectionOptions = ConnectionOptions()
  ) async throws -> (MultipathConnection, MultipathConnection) {
    let listener = try await MultipathListener.listen(port: port, on: server)
    let near = try await MultipathConnection.connect(
      to: isVersion6 ? "fd00:1::1" : "10.70.1.1", port: port, options: options, on: client)
    let far = try #require(try await listener.accept())
    await listener.close()
    return (near, far)
  }
}

/// Bytes that tell where in a stream they are from.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
  (start..<start + count).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8 ^ $0 >> 16 &* 31) }
}

extension MultipathConnection {
  /// Reads to the end.
  func readAll() async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let slice = try await read() { slice.withUnsafeBytes { bytes.append(contentsOf: $0) } }
    return bytes
  }
}
