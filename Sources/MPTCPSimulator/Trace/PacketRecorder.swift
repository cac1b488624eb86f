import MPTCPCapture
import MPTCPWire

/// An interface of a simulated host.
public struct InterfaceID: Hashable, Sendable {
  /// The host's number, in the order in which the scenario names them.
  public var host: Int
  /// The interface's number on its host.
  public var interface: Int

  /// Names an interface by its numbers.
  public init(host: Int, interface: Int) {
    self.host = host
    self.interface = interface
  }
}

/// Is shown the packets of a simulation.
public protocol PacketRecorder: AnyObject {
  /// Takes note of a wire packet that crosses an interface. The bytes are valid only during the call.
  func record(_ packet: RawSpan, at time: Instant, on interface: InterfaceID, direction: CaptureDirection)
}
