import Glibc
import MPTCPCore
import MPTCPWire

@testable import MPTCPStack

extension Device {
  /// Lets the device do its own work until the kernel's socket has a datagram; empty after two seconds without one.
  func deliver(to socket: KernelSocket) throws -> [UInt8] {
    let deadline = MonotonicClock.now + 2_000_000_000
    while MonotonicClock.now < deadline {
      let now = Instant(nanoseconds: MonotonicClock.now)
      _ = try receive(at: now, limit: 8) { _, _ in }
      advance(to: now) { _, _ in }
      if let datagram = socket.poll() { return datagram }
      usleep(500)
    }
    return []
  }

  /// Receives until `accept` gives something, or two seconds have passed.
  func receive<R>(until accept: (ByteSlice, ReceiveOffload) throws -> R?) throws -> R? {
    let deadline = MonotonicClock.now + 2_000_000_000
    var found: R?
    var failure: (any Error)?
    while found == nil, failure == nil, MonotonicClock.now < deadline {
      let now = Instant(nanoseconds: MonotonicClock.now)
      let take: Delivery = { packet, offload in
        do { found = try found ?? accept(packet, offload) } catch { failure = error }
      }
      let count = try receive(at: now, limit: 8, take)
      advance(to: now, take)
      if count == 0 { usleep(500) }
    }
    if let failure { throw failure }
    return found
  }
}
