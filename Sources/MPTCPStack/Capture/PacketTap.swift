import CLinux
import Glibc
import MPTCPCapture
import MPTCPCore
import MPTCPPolicy
import MPTCPWire

/// Writes what crosses the paths to a pcapng file, an interface for each path.
///
/// Blocks gather in memory and go to the file at the end of each of the loop's turns, so that the file is complete
/// whenever the loop sleeps, and stays so however the process ends. Where the file takes no more, a full disk for one,
/// it ends with the last block that is whole.
final class PacketTap {
  /// What the writer's sink fills.
  private final class Gathered: @unchecked Sendable {
    var bytes: [UInt8] = []
  }

  /// Written out within a turn already when more than this has gathered.
  private static let limit = 1 << 20

  private let file: Descriptor
  private let name: String
  private let gathered = Gathered()
  private var writer: PcapngWriter<Never>
  private var interfaces: [PathID: CaptureInterface] = [:]
  /// What the file has of whole blocks.
  private var writtenByteCount = 0
  /// Set when the file takes no more; then packets pass by unrecorded.
  private(set) var failure: SystemError?

  /// Creates the file, or empties an existing one.
  init(path: String, at now: Instant) throws(SystemError) {
    name = path
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw SystemError("write the capture '\(path)'", number: errno) }
    file = Descriptor(descriptor)
    var wallClock = timespec()
    clock_gettime(CLOCK_REALTIME, &wallClock)
    let epoch = Nanoseconds.seconds(Int64(wallClock.tv_sec)) + Nanoseconds(Int64(wallClock.tv_nsec) - now.nanoseconds)
    writer = PcapngWriter<Never>(epoch: epoch, application: "swift-multipath") { [gathered] block in
      block.withUnsafeBytes { gathered.bytes.append(contentsOf: $0) }
    }
    flush()
  }

  /// Records packets of a path from now on.
  func add(_ path: PathID, name: String) { interfaces[path] = writer.addInterface(name: name) }

  /// Records a packet that arrived.
  func received(_ packet: ByteSlice, _ offload: ReceiveOffload, on path: PathID, at now: Instant) {
    guard let interface = interfaces[path], failure == nil else { return }
    writer.write(
      packet.bytes, on: interface, direction: .inbound, segmentByteCount: offload.segmentByteCount,
      isChecksumPartial: offload.checksum == .valid, at: now)
    if gathered.bytes.count > Self.limit { flush() }
  }

  /// Records a packet that leaves.
  func sent(_ packet: OutgoingPacket, at now: Instant) {
    guard let interface = interfaces[packet.path], failure == nil else { return }
    writer.write(
      packet.copySlice().bytes, on: interface, direction: .outbound, segmentByteCount: packet.segmentByteCount,
      isChecksumPartial: packet.isChecksumPartial, at: now)
    if gathered.bytes.count > Self.limit { flush() }
  }

  /// Writes out what has gathered.
  func flush() {
    guard !gathered.bytes.isEmpty, failure == nil else { return }
    gathered.bytes.withUnsafeBytes { bytes in
      var rest = bytes
      while !rest.isEmpty {
        let written = clinux_write(file.number, rest.baseAddress, rest.count)
        guard written > 0 else {
          failure = SystemError("write the capture '\(name)'", number: Int32(-written))
          // A FIFO cannot be cut, and has nobody to mind.
          ftruncate(file.number, off_t(writtenByteCount))
          return
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
      writtenByteCount += bytes.count
    }
    gathered.bytes.removeAll(keepingCapacity: true)
  }

  private var isFinished = false

  /// Ends the capture with each path's counts; packets pass by unrecorded from then on.
  func finish(at now: Instant) {
    guard !isFinished else { return }
    isFinished = true
    interfaces.removeAll()
    writer.finish(at: now)
    flush()
  }
}
