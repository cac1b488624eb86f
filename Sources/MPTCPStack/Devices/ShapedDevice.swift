import MPTCPCore
import MPTCPLink
import MPTCPWire

/// A device behind two modelled links, one for each direction, in real time.
///
/// Super-segments are cut into wire packets first, so that rate, queue and loss count what a network would count.
final class ShapedDevice: Device {
  private let device: any Device
  private var outgoing: Link
  private var incoming: Link

  var configuration: PathConfiguration { device.configuration }
  var descriptor: Int32 { device.descriptor }
  var interface: LinkDescription? { device.interface }

  /// Puts `device` behind links that begin `now`.
  init(_ device: any Device, outgoing: LinkConfiguration, incoming: LinkConfiguration, at now: Instant) {
    self.device = device
    self.outgoing = Link(outgoing, at: now)
    self.incoming = Link(incoming, at: now)
  }

  /// What the links did so far.
  var counters: (outgoing: LinkCounters, incoming: LinkCounters) { (outgoing.counters, incoming.counters) }

  /// Cuts both links or brings them back: packets vanish without a word to anybody.
  func setLinks(isUp: Bool, at now: Instant) {
    outgoing.set(isUp: isUp, at: now)
    incoming.set(isUp: isUp, at: now)
  }

  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int {
    let count = try device.receive(at: now, limit: limit) { packet, offload in enter(packet, offload, at: now) }
    advance(to: now, deliver)
    return count
  }

  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
    let whole = packet.copySlice()
    // What the engine writes is always a whole packet, so that nothing is refused here.
    try? Segmentation.forEachSegment(of: whole.bytes, segmentByteCount: packet.segmentByteCount) { bytes in
      outgoing.send(Array(bytes), at: now)
    }
    return drainOutgoing(at: now)
  }

  func send(whole bytes: UnsafeRawBufferPointer, at now: Instant) -> SendOutcome {
    outgoing.send(Array(bytes), at: now)
    return drainOutgoing(at: now)
  }

  var nextDeadline: Instant? {
    [outgoing.nextDeadline, incoming.nextDeadline, device.nextDeadline].compactMap(\.self).min()
  }

  func advance(to now: Instant, _ deliver: Delivery) {
    device.advance(to: now) { packet, offload in enter(packet, offload, at: now) }
    _ = drainOutgoing(at: now)
    while let packet = incoming.receive(at: now) {
      // Nobody has looked at what a packet became on its way.
      deliver(ByteSlice(packet.bytes), .none)
    }
  }

  private func enter(_ packet: ByteSlice, _ offload: ReceiveOffload, at now: Instant) {
    guard offload.checksum == .valid else {
      // Its checksum is the sender's: filled in anew, a damaged packet would come out whole.
      incoming.send(packet.array, at: now)
      return
    }
    // A packet that is not even IP has no wire form; the engine would drop it too.
    try? Segmentation.forEachSegment(of: packet.bytes, segmentByteCount: offload.segmentByteCount) { bytes in
      incoming.send(Array(bytes), at: now)
    }
  }

  /// Hands the device what has come out of the link. What it does not take at once is lost: the link was its queue.
  private func drainOutgoing(at now: Instant) -> SendOutcome {
    while let packet = outgoing.receive(at: now) {
      let outcome = packet.bytes.withUnsafeBytes { device.send(whole: $0, at: now) }
      if outcome == .vanished { return .vanished }
    }
    return .sent
  }
}
