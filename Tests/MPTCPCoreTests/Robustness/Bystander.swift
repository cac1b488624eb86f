import MPTCPCore
import MPTCPWire
import TestSupport
import Testing

/// The honest connection beside a hostile one: each call is ten octets that have to arrive and to be DATA_ACKed.
final class Bystander {
  let connection: ScriptedConnection
  private var count = 0

  init(_ script: Script) throws {
    connection = try ScriptedConnection.established(by: script)
  }

  func works(sourceLocation: SourceLocation = #_sourceLocation) throws {
    let script = connection.script
    connection.send(octets(10, from: count), at: 11 + count)
    #expect(try connection.readAll() == octets(10, from: count), sourceLocation: sourceLocation)
    count += 10
    _ = try script.endpoint.write(ByteSlice(octets(5)), to: connection.id, at: script.now)
    let data = connection.initial.take { $0.payload.count == 5 }
    #expect(data != nil, sourceLocation: sourceLocation)
    connection.initial.send(.ack, [connection.dataAck(1 + count / 2)])
    #expect(
      script.endpoint.description(of: connection.id)?.acknowledgedByteCount == count / 2,
      sourceLocation: sourceLocation)
    _ = script.takeAll()
  }
}

/// Prints what a test measured.
func report(_ text: String) { print("figure: \(text)") }
