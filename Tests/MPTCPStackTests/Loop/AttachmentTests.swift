import MPTCPPolicy
import MPTCPWire
import Testing

@testable import MPTCPCore
@testable import MPTCPStack

struct AttachmentTests {
  /// A device that takes as many packets as it has room for, and remembers the first octet of each.
  private final class NarrowDevice: Device {
    let configuration = PathConfiguration(name: "narrow", addresses: [])
    let descriptor: Int32 = -1
    var room = 0
    private(set) var sent: [UInt8] = []

    func receive(at now: Instant, limit: Int, _ deliver: Delivery) -> Int { 0 }

    func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
      guard room > 0 else { return .blocked }
      room -= 1
      sent.append(packet.copyBytes()[0])
      return .sent
    }

    func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome { .blocked }
  }

  private struct Payload {
    weak var chunk: Chunk?
  }

  private let device = NarrowDevice()
  private let attachment: MPTCPStack.Attachment
  private let now = Instant(nanoseconds: 0)

  init() { attachment = MPTCPStack.Attachment(device, path: PathID(0), monitor: nil) }

  private func packet(_ payload: ByteSlice) -> OutgoingPacket {
    OutgoingPacket(
      path: PathID(0), header: InlineArray(repeating: 0), headerByteCount: 0, payload: payload, secondPayload: nil,
      segmentByteCount: 0, checksumStart: 0, checksumOffset: 0, isChecksumPartial: false, release: now)
  }

  @Test("A device that is always behind keeps only the packets that still wait, and gets them in order")
  func lastingBackPressure() {
    var payloads: [Payload] = []
    let waitingCount = 3
    for number in 0..<1_000 {
      let payload = ByteSlice([UInt8(truncatingIfNeeded: number)])
      payloads.append(Payload(chunk: payload.chunk))
      #expect(attachment.send(packet(payload), at: now) == .blocked)
      guard number >= waitingCount else { continue }
      device.room = 1
      #expect(attachment.sendWaiting(at: now) == .blocked)
    }
    #expect(payloads.count { $0.chunk != nil } == waitingCount)
    device.room = waitingCount
    #expect(attachment.sendWaiting(at: now) == .sent)
    #expect(!attachment.isBlocked)
    #expect(device.sent == (0..<1_000).map { UInt8(truncatingIfNeeded: $0) })
    #expect(attachment.droppedPackets == 0)
  }

  @Test("So many packets wait for a device and no more, and there is room again for each that it takes")
  func waitingLimit() {
    let packet = packet(ByteSlice([1]))
    for _ in 0..<MPTCPStack.Attachment.waitingLimit { #expect(attachment.send(packet, at: now) == .blocked) }
    #expect(attachment.send(packet, at: now) == .dropped)
    device.room = 1
    #expect(attachment.sendWaiting(at: now) == .blocked)
    #expect(attachment.send(packet, at: now) == .blocked)
    #expect(attachment.send(packet, at: now) == .dropped)
    #expect(attachment.droppedPackets == 2)
  }
}
