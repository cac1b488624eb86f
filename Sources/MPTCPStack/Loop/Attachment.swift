import CLinux
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
  private(set) var waiting: [OutgoingPacket] = []
  private var nextWaiting = 0

  /// Packets lost because the device, or the queue before it, took no more.
  private(set) var droppedPackets = 0

  init(_ device: any Device, path: PathID, monitor: LinkMonitor?) {
    self.device = device
    self.path = path
    self.monitor = monitor
  }

  /// Whether packets wait for the device to become writable.
  var isBlocked: Bool { nextWaiting < waiting.count }

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
    while isBlocked {
      switch device.send(waiting[nextWaiting], at: now) {
      case .blocked: return .blocked
      case .vanished: return .vanished
      case .sent: nextWaiting += 1
      case .dropped:
        droppedPackets += 1
        nextWaiting += 1
      }
    }
    waiting.removeAll(keepingCapacity: true)
    nextWaiting = 0
    return .sent
  }

  private func wait(_ packet: OutgoingPacket) -> SendOutcome {
    guard waiting.count - nextWaiting < Self.waitingLimit else {
      droppedPackets += 1
      return .dropped
    }
    waiting.append(packet)
    return .blocked
  }
}
