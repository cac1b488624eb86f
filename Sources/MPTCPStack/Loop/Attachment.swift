import CLinux
import DequeModule
import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// A device on the loop: the path that it is for the engine, and the packets that wait until it takes them.
final class Attachment {
  /// Packets that may wait for a device that is full; more are lost, as at the end of an interface's queue.
  static let waitingLimit = 256

  let device: any Device
  let path: PathID
  let monitor: LinkMonitor?
  private var waiting = Deque<OutgoingPacket>()

  /// Packets lost because the device, or the queue before it, took no more.
  private(set) var droppedPackets = 0

  init(_ device: any Device, path: PathID, monitor: LinkMonitor?) {
    self.device = device
    self.path = path
    self.monitor = monitor
  }

  /// Whether packets wait for the device to become writable.
  var isBlocked: Bool { !waiting.isEmpty }

  /// Sends a packet, behind those that wait.
  func send(_ packet: OutgoingPacket, at now: Instant) -> SendOutcome {
    guard !isBlocked else { return wait(packet) }
    switch device.send(packet, at: now) {
    case .sent: return .sent
    case .blocked: return wait(packet)
    case .dropped:
      droppedPackets += 1
      return .dropped
    case .vanished: return .vanished
    }
  }

  /// Sends what waits, as far as the device takes it.
  func sendWaiting(at now: Instant) -> SendOutcome {
    // What is sent is let go at once, with its payload: a device that stays behind may never take all that waits.
    while let packet = waiting.popFirst() {
      switch device.send(packet, at: now) {
      case .sent: break
      case .dropped: droppedPackets += 1
      case .blocked:
        waiting.prepend(packet)
        return .blocked
      case .vanished: return .vanished
      }
    }
    return .sent
  }

  private func wait(_ packet: OutgoingPacket) -> SendOutcome {
    guard waiting.count < Self.waitingLimit else {
      droppedPackets += 1
      return .dropped
    }
    waiting.append(packet)
    return .blocked
  }
}
