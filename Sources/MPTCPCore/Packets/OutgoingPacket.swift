import MPTCPPolicy
import MPTCPWire

/// What a device knows of a packet that it hands to the engine.
public struct ReceiveOffload: Sendable, Hashable {
  /// Whether the TCP checksum has to be verified.
  public enum Checksum: Sendable, Hashable {
    /// Nobody has looked at it.
    case unverified
    /// It is right, or left to be filled in by hardware that will not see it (`NEEDS_CSUM` means valid).
    case valid
  }
  /// What is known of the checksum.
  public var checksum: Checksum
  /// The payload of each wire packet that was merged into this one; 0 for a single wire packet.
  public var segmentByteCount: Int

  /// Describes a packet; see the properties.
  @inlinable
  public init(checksum: Checksum = .unverified, segmentByteCount: Int = 0) {
    self.checksum = checksum
    self.segmentByteCount = segmentByteCount
  }

  /// A single wire packet whose checksum must be verified.
  public static let none = ReceiveOffload()
}

/// A packet that the engine wants sent: the header bytes, and up to two runs of payload that it keeps alive.
public struct OutgoingPacket: Sendable {
  /// Where it goes.
  public var path: PathID
  /// The IP and TCP headers, options included, in the first ``headerByteCount`` bytes.
  public var header: InlineArray<128, UInt8>
  /// How many header bytes there are.
  public var headerByteCount: Int
  /// The first run of payload.
  public var payload: ByteSlice?
  /// The second run of payload, behind the first.
  public var secondPayload: ByteSlice?
  /// The payload of each wire packet that this one is to be cut into; 0 where it is a single wire packet.
  public var segmentByteCount: Int
  /// Where the checksummed part begins (`csum_start`).
  public var checksumStart: Int
  /// Where in that part the checksum stands (`csum_offset`).
  public var checksumOffset: Int
  /// Whether the checksum field holds only the pseudo-header's sum and the device must finish it.
  public var isChecksumPartial: Bool
  /// When it may leave. The engine releases packets when they are due, so this is never in the future.
  public var release: Instant

  /// Headers and payload together, in bytes.
  @inlinable
  public var totalByteCount: Int { headerByteCount + (payload?.count ?? 0) + (secondPayload?.count ?? 0) }

  /// Calls `body` with the header bytes.
  @inlinable
  public func withHeader<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    let count = headerByteCount
    return try header.span.withUnsafeBytes { try body(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }

  /// The whole packet as one array, for devices and tests that want it so.
  public func copyBytes() -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(totalByteCount)
    withHeader { bytes.append(contentsOf: $0) }
    payload?.withUnsafeBytes { bytes.append(contentsOf: $0) }
    secondPayload?.withUnsafeBytes { bytes.append(contentsOf: $0) }
    return bytes
  }
}
