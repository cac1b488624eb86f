import MPTCPCore
import MPTCPWire
import TestSupport
import Testing

extension ScriptedConnection {
  /// The engine accepted it, and ten octets have come and been read: both sides may join, and nothing is left to take.
  static func established(
    by script: Script, checksum: Bool = false, options: ConnectionOptions = lonely, version: MPTCPVersion = .v1
  ) throws -> ScriptedConnection {
    let connection = try #require(
      try accepted(
        by: script, options: options, flags: checksum ? [.hmac, .checksumRequired] : .hmac, version: version))
    connection.send(octets(10), at: 1)
    _ = try script.endpoint.read(from: connection.id, upTo: 100, at: script.now)
    _ = script.takeAll()
    return connection
  }

  /// Everything that the application can read now.
  func readAll() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let slice = try script.endpoint.read(from: id, upTo: 1 << 20, at: script.now), !slice.isEmpty {
      bytes += slice.array
    }
    return bytes
  }
}
