import MPTCPCapture
import MPTCPWire

/// Every packet at every interface, a line each: seconds since the start, the interface, the way, the packet.
///
/// ```
/// 0.010267 server.eth0 in 10.0.0.1:43311 > 10.0.1.1:5001 S seq 918273 win 65535 len 0 <mss 1460> <capable v1 1>
/// ```
public final class TextTrace: PacketRecorder {
  private let names: [[String]]
  private let sink: (String) -> Void

  /// A trace of a simulation, whose lines go to `sink` without their ends.
  public init(of simulation: Simulation, to sink: @escaping (String) -> Void) {
    names = simulation.interfaceNames
    self.sink = sink
  }

  /// Writes a line.
  public func record(_ packet: RawSpan, at time: Instant, on interface: InterfaceID, direction: CaptureDirection) {
    let nanoseconds = (time - Simulation.start).count
    let fraction = "\(nanoseconds % 1_000_000_000)"
    let zeros = String(repeating: "0", count: max(9 - fraction.count, 0))
    let name = names[interface.host][interface.interface]
    let way = direction == .outbound ? "out" : "in"
    sink("\(nanoseconds / 1_000_000_000).\(zeros)\(fraction) \(name) \(way) \(PacketText.line(packet))")
  }
}

extension Simulation {
  /// The names of all interfaces, as `host.interface`, by host.
  public var interfaceNames: [[String]] {
    hosts.map { host in host.interfaces.map { "\(host.name).\($0.name)" } }
  }
}
