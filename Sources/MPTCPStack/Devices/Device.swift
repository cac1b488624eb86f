import MPTCPCore
import MPTCPWire

/// What became of a packet that was given to a device.
enum SendOutcome: Equatable {
  /// It is on its way.
  case sent
  /// The device is full; it polls as writable when it takes packets again.
  case blocked
  /// It was lost, as a network loses packets.
  case dropped
  /// The device is gone for good.
  case vanished
}

/// What is left to be done for a packet on its way out.
struct SendOffload: Equatable {
  /// The payload of each wire packet that it is to be cut into; 0 for a single wire packet.
  var segmentByteCount: Int
  /// IP and TCP header together.
  var headerByteCount: Int
  /// Where the checksummed part begins; its checksum field, 16 octets on, holds the pseudo-header's sum.
  var checksumStart: Int

  /// Nothing: a wire packet with all checksums.
  static let none = SendOffload(segmentByteCount: 0, headerByteCount: 0, checksumStart: 0)
}

/// A packet that a device received: the IP packet, and what the device knows of it.
typealias Delivery = (ByteSlice, ReceiveOffload) -> Void

/// Something that packets come from and go to: one path of the engine.
///
/// Devices live on the loop's thread from the moment they are handed to it. They block never and hold little: what
/// they cannot send is the loop's to keep or to drop.
protocol Device: AnyObject {
  /// What the engine has to know of it.
  var configuration: PathConfiguration { get }
  /// The descriptor that says when ``receive(at:limit:_:)`` and a blocked ``send(_:at:)`` have something to do.
  var descriptor: Int32 { get }
  /// The interface that the device stands on, for news of its link; nil if it is none of the system's.
  var interface: LinkDescription? { get }

  /// Gives up to `limit` packets that have arrived; returns how many frames were taken in, which may be more.
  ///
  /// - Throws: when the device is gone for good.
  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int

  /// Takes a packet.
  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome

  /// Takes a packet that lies in one piece.
  func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome

  /// Lets packets for these addresses in too: we have them on other paths, and a peer may send there by this one.
  func accept(packetsTo addresses: [IPAddress]) throws(SystemError)

  /// When ``advance(to:_:)`` has something to do without being woken by the descriptor; nil: never.
  var nextDeadline: Instant? { get }

  /// Whether ``advance(to:_:)`` has something to do for a loop that is awake anyway.
  func isDue(at now: Instant) -> Bool
  /// Packets that it took and then lost, other than on a modelled link.
  var lostPackets: Int { get }
  /// Whether packets that it took have not left yet, on a modelled link.
  var hasQueuedPackets: Bool { get }

  /// Does what is due: repeats questions, lets packets go that a link model held.
  func advance(to now: Instant, _ deliver: Delivery)
}

extension Device {
  var interface: LinkDescription? { nil }
  var nextDeadline: Instant? { nil }
  var hasQueuedPackets: Bool { false }
  var lostPackets: Int { 0 }
  func accept(packetsTo addresses: [IPAddress]) {}
  func isDue(at now: Instant) -> Bool { nextDeadline.map { $0 <= now } ?? false }
  func advance(to now: Instant, _ deliver: Delivery) {}
}

/// Why a device could not be had, in words for whoever asked for it.
public struct DeviceError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The device's name.
  public var device: String
  /// What is wrong, and the way out.
  public var reason: String

  /// Makes an error.
  public init(_ device: String, _ reason: String) {
    self.device = device
    self.reason = reason
  }

  /// One line.
  public var description: String { "\(device): \(reason)" }
}
