/// An interface of a capture, as ``PcapngWriter/addInterface(name:description:snapLength:bitsPerSecond:)`` gave it. It
/// is good for the writer that it came from only.
public struct CaptureInterface: Hashable, Sendable {
  /// Its number in the file, from 0.
  public let index: Int
}

/// Which way a packet crossed an interface, seen from the host that captured it.
public enum CaptureDirection: UInt32, Hashable, Sendable {
  /// Not known.
  case unknown = 0
  /// Received.
  case inbound = 1
  /// Sent.
  case outbound = 2
}

/// How a capture shows a TCP super-segment, which crosses a device with offload as one packet.
public enum SuperSegmentForm: Hashable, Sendable {
  /// As the packets that the device puts on the wire.
  case wirePackets
  /// As the one packet that crossed the device, with a checksum over all of it.
  case onePacket
}
