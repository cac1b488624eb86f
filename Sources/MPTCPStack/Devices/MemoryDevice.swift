import CLinux
import MPTCPCore
import MPTCPWire
import Synchronization

/// One end of a link inside the process: what one end sends the other receives, with no system in between.
///
/// The two ends may live on different loops. Offload crosses it as it would cross a TUN device, super-segments whole.
final class MemoryDevice: Device {
  /// What one direction holds until it is taken.
  private final class Direction: Sendable {
    let queue = Mutex<[(packet: ByteSlice, offload: ReceiveOffload)]>([])
    let arrival: Descriptor

    init() throws(SystemError) {
      arrival = Descriptor(try check(clinux_event_create(), "make an event descriptor"))
    }
  }

  /// Packets in each direction; more are lost, as at the end of a device's queue.
  static let queueLimit = 1_024

  let configuration: PathConfiguration
  private let incoming: Direction
  private let outgoing: Direction
  private var arrived: [(packet: ByteSlice, offload: ReceiveOffload)] = []

  var descriptor: Int32 { incoming.arrival.number }

  private init(_ configuration: PathConfiguration, incoming: Direction, outgoing: Direction) {
    self.configuration = configuration
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// Both ends of a new link.
  static func pair(
    _ first: (name: String, addresses: [IPPrefix]), _ second: (name: String, addresses: [IPPrefix]),
    maximumTransmissionUnit: Int = 1_500
  ) throws(SystemError) -> (MemoryDevice, MemoryDevice) {
    let there = try Direction(), back = try Direction()
    func configuration(_ end: (name: String, addresses: [IPPrefix])) -> PathConfiguration {
      PathConfiguration(
        name: end.name, addresses: end.addresses, maximumTransmissionUnit: maximumTransmissionUnit,
        offersChecksumOffload: true, offersSegmentationOffload: true)
    }
    return (
      MemoryDevice(configuration(first), incoming: back, outgoing: there),
      MemoryDevice(configuration(second), incoming: there, outgoing: back)
    )
  }

  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int {
    // Cleared before the queue is emptied: what comes in between signals again.
    clinux_event_clear(incoming.arrival.number)
    incoming.queue.withLock { swap(&$0, &arrived) }
    for (packet, offload) in arrived { deliver(packet, offload) }
    let count = arrived.count
    arrived.removeAll(keepingCapacity: true)
    return count
  }

  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
    let offload = ReceiveOffload(
      checksum: packet.isChecksumPartial ? .valid : .unverified, segmentByteCount: packet.segmentByteCount)
    return enqueue(packet.copySlice(), offload)
  }

  func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome {
    enqueue(
      ByteSlice(copying: RawSpan(_unsafeBytes: bytes)),
      offload == .none ? .none : ReceiveOffload(checksum: .valid, segmentByteCount: offload.segmentByteCount))
  }

  private func enqueue(_ bytes: ByteSlice, _ offload: ReceiveOffload) -> SendOutcome {
    let state = outgoing.queue.withLock { queue -> (taken: Bool, wasEmpty: Bool) in
      guard queue.count < Self.queueLimit else { return (false, false) }
      queue.append((bytes, offload))
      return (true, queue.count == 1)
    }
    if state.wasEmpty { clinux_event_signal(outgoing.arrival.number) }
    return state.taken ? .sent : .dropped
  }
}

extension OutgoingPacket {
  /// The whole packet in a chunk of its own.
  borrowing func copySlice() -> ByteSlice {
    let chunk = Chunk(capacity: totalByteCount)
    var offset = 0
    func append(_ bytes: UnsafeRawBufferPointer) {
      guard let source = bytes.baseAddress else { return }
      (chunk.base + offset).copyMemory(from: source, byteCount: bytes.count)
      offset += bytes.count
    }
    withHeader(append)
    payload?.withUnsafeBytes(append)
    secondPayload?.withUnsafeBytes(append)
    return ByteSlice(chunk, offset: 0, count: offset)
  }
}
