import MPTCPCore
import MPTCPLink
import MPTCPWire

/// A device behind two modelled links, one for each direction, in real time.
///
/// Rate, queue and loss count wire packets, as a network would: super-segments are cut into them first, or stay whole
/// where that makes no difference (`PacketRun`). What arrives together is put together
/// again, as an interface with receive offload does it.
final class ShapedDevice: Device {
  /// The loop wakes up for links no more often than this: interrupts of real interfaces are moderated likewise, and at
  /// 500 Mbit/s a wake-up for each packet would cost more than the packet. Where a fast line is busy it may be later.
  private static let moderation = Nanoseconds.microseconds(100)
  /// All devices look at busy lines at multiples of this. No part of the kernel's tick, which samples who is running.
  private static let grid = Nanoseconds.microseconds(900)
  /// What arrives this soon is taken at once: a small packet on a fast line is worth no sleep.
  private static let slack = Nanoseconds.microseconds(20)

  private let device: any Device
  private var outgoing: Link
  private var incoming: Link
  private var outgoingSegments = SegmentCoalescer()
  private var incomingSegments = SegmentCoalescer()
  private var lastLook: Instant

  var configuration: PathConfiguration { device.configuration }
  var descriptor: Int32 { device.descriptor }
  var interface: LinkDescription? { device.interface }

  /// Puts `device` behind links that begin `now`.
  init(_ device: any Device, outgoing: LinkConfiguration, incoming: LinkConfiguration, at now: Instant) {
    self.device = device
    self.outgoing = Link(outgoing, at: now)
    self.incoming = Link(incoming, at: now)
    lastLook = now
  }

  /// What the links did so far.
  var counters: (outgoing: LinkCounters, incoming: LinkCounters) { (outgoing.counters, incoming.counters) }

  /// Cuts both links or brings them back: packets vanish without a word to anybody.
  func setLinks(isUp: Bool, at now: Instant) {
    outgoing.set(isUp: isUp, at: now)
    incoming.set(isUp: isUp, at: now)
  }

  func accept(packetsTo addresses: [IPAddress]) throws(SystemError) { try device.accept(packetsTo: addresses) }

  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int {
    try device.receive(at: now, limit: limit) { packet, offload in enter(packet, offload, at: now) }
  }

  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
    let run = PacketRun(
      copy packet, headerByteCount: packet.headerByteCount,
      payloadByteCount: packet.totalByteCount - packet.headerByteCount, segmentByteCount: packet.segmentByteCount)
    if outgoing.send(run, at: now) { return .sent }
    let whole = packet.copySlice()
    // What the engine writes is always a whole packet, so that nothing is refused here.
    try? Segmentation.forEachSegment(of: whole.bytes, segmentByteCount: packet.segmentByteCount) { bytes in
      outgoing.send(Array(bytes), at: now)
    }
    return .sent
  }

  func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome {
    try? Segmentation.forEachSegment(
      of: RawSpan(_unsafeBytes: bytes), segmentByteCount: offload.segmentByteCount
    ) { bytes in
      outgoing.send(Array(bytes), at: now)
    }
    return .sent
  }

  var hasQueuedPackets: Bool { outgoing.nextDeadline != nil || device.hasQueuedPackets }

  private var nextArrival: Instant? { Self.earlier(outgoing.nextDeadline, incoming.nextDeadline) }

  var nextDeadline: Instant? { Self.earlier(nextLook, device.nextDeadline) }

  /// When to look at the links next: at the next arrival, or, where the line has enough to do meanwhile, at the first
  /// moment after it at which all devices look, so that one wake-up does for many packets.
  private var nextLook: Instant? {
    guard let arrival = nextArrival else { return nil }
    guard Self.isBusy(outgoing) || Self.isBusy(incoming) else { return max(arrival, lastLook + Self.moderation) }
    return arrival + Nanoseconds(Self.grid.count - arrival.nanoseconds % Self.grid.count)
  }

  /// Whether what waits keeps the line busy past the next of these moments. On a slow link each packet is worth a look.
  private static func isBusy(_ link: borrowing Link) -> Bool {
    guard let rate = link.configuration.bitsPerSecond, rate >= 100_000_000 else { return false }
    return link.queuedByteCount / 1000 * 8_000_000 >= rate / 1_000_000 * Int(grid.count)
  }

  func isDue(at now: Instant) -> Bool {
    nextArrival.map { $0 <= now + Self.slack } ?? false || device.isDue(at: now)
  }

  private static func earlier(_ first: Instant?, _ second: Instant?) -> Instant? {
    guard let first else { return second }
    return min(first, second ?? first)
  }

  func advance(to now: Instant, _ deliver: Delivery) {
    device.advance(to: now) { packet, offload in enter(packet, offload, at: now) }
    lastLook = now
    // What the device does not take at once is lost: the link was its queue.
    while let packet = Self.next(from: &outgoing, at: now) {
      if let run = packet.run?.content as? OutgoingPacket {
        sendSegments(at: now)
        _ = device.send(run, at: now)
      } else {
        outgoingSegments.add(packet.bytes, isChecksumValid: true)
      }
    }
    sendSegments(at: now)
    while let packet = Self.next(from: &incoming, at: now) {
      if let run = packet.run?.content as? Arrival {
        deliverSegments(deliver)
        deliver(run.packet, run.offload)
      } else {
        incomingSegments.add(packet.bytes)
      }
    }
    deliverSegments(deliver)
  }

  private static func next(from link: inout Link, at now: Instant) -> LinkPacket? {
    guard let arrival = link.nextDeadline, arrival <= now + slack else { return nil }
    return link.receive(at: max(arrival, now))
  }

  private func sendSegments(at now: Instant) {
    outgoingSegments.flush()
    while let packet = outgoingSegments.next() {
      let offload =
        packet.segmentByteCount == 0
        ? .none
        : SendOffload(
          segmentByteCount: packet.segmentByteCount, headerByteCount: packet.headerByteCount,
          checksumStart: packet.networkHeaderByteCount)
      _ = packet.bytes.withUnsafeBytes { device.send(whole: $0, offload: offload, at: now) }
    }
  }

  private func deliverSegments(_ deliver: Delivery) {
    incomingSegments.flush()
    while let packet = incomingSegments.next() {
      deliver(
        ByteSlice(packet.bytes),
        ReceiveOffload(
          checksum: packet.isChecksumValid ? .valid : .unverified, segmentByteCount: packet.segmentByteCount))
    }
  }

  /// A packet from the device, on its way through the link.
  private struct Arrival {
    var packet: ByteSlice
    var offload: ReceiveOffload
  }

  private func enter(_ packet: ByteSlice, _ offload: ReceiveOffload, at now: Instant) {
    guard offload.checksum == .valid else {
      // Its checksum is the sender's: filled in anew, a damaged packet would come out whole.
      incoming.send(packet.array, at: now)
      return
    }
    if let ip = try? IPHeader(parsing: packet.bytes),
      let tcp = try? TCPHeader(parsing: ip.payload(in: packet.bytes))
    {
      let run = PacketRun(
        Arrival(packet: packet, offload: offload), headerByteCount: ip.headerByteCount + tcp.headerByteCount,
        payloadByteCount: ip.payloadByteCount - tcp.headerByteCount, segmentByteCount: offload.segmentByteCount)
      if incoming.send(run, at: now) { return }
    }
    // A packet that is not even IP has no wire form; the engine would drop it too.
    try? Segmentation.forEachSegment(of: packet.bytes, segmentByteCount: offload.segmentByteCount) { bytes in
      incoming.send(Array(bytes), at: now)
    }
  }
}
