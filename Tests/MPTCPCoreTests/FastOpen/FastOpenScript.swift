import MPTCPCore
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// Options of a client that may put its first data on the SYN.
var eager: ConnectionOptions {
  var options = lonely
  options.fastOpen = true
  return options
}

/// The same without Multipath TCP.
var eagerTCP: ConnectionOptions {
  var options = eager
  options.multipath = .disabled
  return options
}

/// A cookie of eight octets, as Linux gives them.
let cookie8 = FastOpenCookie(0x0102_0304_0506_0708)

extension WirePacket {
  var fastOpen: FastOpenCookie? {
    for case .fastOpen(let cookie) in options { return cookie }
    return nil
  }
}

extension Script {
  /// Listens on port 80 and takes data on SYNs.
  func listenFast(_ options: ConnectionOptions = lonely, backlog: Int = 16) throws {
    var listen = ListenerOptions()
    listen.connection = options
    listen.fastOpenBacklog = backlog
    _ = try endpoint.listen(
      on: TransportAddress(family == .v4 ? .anyV4 : .anyV6, 80), options: listen, at: now)
  }

  /// The script's end of a connection to the engine's port 80, from the address `host` of path 0.
  func client(port: Port = 4000, host: UInt32 = 2) -> ScriptedSubflow {
    let address = family == .v4 ? IPAddress(v4: 0x0a00_0000 | host) : Pair.address(0, 1, .v6)
    return ScriptedSubflow(
      self, path: 0, local: TransportAddress(address, port),
      remote: TransportAddress(Pair.address(0, 0, family), 80))
  }

  /// Asks the engine for a cookie, on a connection that is left at once.
  func cookie(port: Port = 3999, host: UInt32 = 2, multipath: [MultipathOption] = []) -> FastOpenCookie? {
    let subflow = client(port: port, host: host)
    subflow.send(.syn, multipath, plain: [.fastOpen(FastOpenCookie())])
    let answer = subflow.take(where: \.isSynAck)
    subflow.send(.rst)
    _ = takeAll()
    return answer?.fastOpen
  }

  /// The engine opens a connection to the script's port 80. The answer is the test's.
  func connect(sending data: [UInt8], options: ConnectionOptions) throws -> (ConnectionID, WirePacket, ScriptedSubflow)
  {
    let (id, taken) = try endpoint.connect(
      to: TransportAddress(Pair.address(0, 1, family), 80), sending: ByteSlice(data), options: options, at: now)
    #expect(taken == data.count)
    let syn = try #require(take(where: \.isSyn))
    let subflow = ScriptedSubflow(
      self, path: 0, local: TransportAddress(syn.destination, 80),
      remote: TransportAddress(syn.source, syn.tcp.sourcePort))
    subflow.note(syn)
    return (id, syn, subflow)
  }

  /// A first connection of the engine to the script's port 80 brings it `cookie`.
  func give(_ cookie: FastOpenCookie = cookie8, mss: UInt16 = 1460, options: ConnectionOptions = eager) throws {
    let (id, syn, subflow) = try connect(sending: [], options: options)
    #expect(syn.fastOpen == FastOpenCookie())
    subflow.send([.syn, .ack], plain: [.maximumSegmentSize(mss), .fastOpen(cookie)])
    endpoint.abort(id, at: now)
    _ = takeAll()
  }
}
