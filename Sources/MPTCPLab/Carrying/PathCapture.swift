import CLinux
import Dispatch
import Glibc
import MPTCPCapture
import MPTCPStack
import MPTCPWire
import Synchronization

/// What crosses one path, as a pcapng file with an interface for each end: what a host sends, and what reaches it.
///
/// A disk may be slow, and a path must not: packets gather in memory and go to the file from another thread.
final class PathCapture: Sendable {
  /// More than this is not kept for a disk that does not keep up.
  private static let limit = 128 << 20

  private final class Gathered: @unchecked Sendable {
    var bytes: [UInt8] = []
  }

  private struct State {
    let gathered: Gathered
    var writer: PcapngWriter<Never>
    var interfaces: [CaptureInterface] = []
    var missing = 0
    var failure: SystemError?
  }

  private let file: Descriptor
  private let name: String
  private let state: Mutex<State>

  /// Creates the file, or empties an existing one.
  init(path: String, ends: [String]) throws(SystemError) {
    name = path
    let opened = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard opened >= 0 else { throw SystemError("write the capture '\(path)'", number: errno) }
    file = Descriptor(opened)
    var wallClock = timespec()
    clock_gettime(CLOCK_REALTIME, &wallClock)
    let epoch =
      Nanoseconds.seconds(Int64(wallClock.tv_sec)) + Nanoseconds(Int64(wallClock.tv_nsec) - MonotonicClock.now)
    let gathered = Gathered()
    var writer = PcapngWriter<Never>(epoch: epoch, application: "mptcp lab") { block in
      block.withUnsafeBytes { gathered.bytes.append(contentsOf: $0) }
    }
    let interfaces = ends.map { writer.addInterface(name: $0) }
    state = Mutex(State(gathered: gathered, writer: writer, interfaces: interfaces))
  }

  /// Records a frame at one end.
  func record(
    _ frame: DevicePort.Frame, linkHeaderByteCount: Int, _ side: Int, _ direction: CaptureDirection, at now: Instant
  ) {
    let isPartial = frame.header.flags & UInt8(CLINUX_VNET_NEEDS_CHECKSUM) != 0
    let segmentByteCount = frame.header.gso_type == 0 ? 0 : Int(frame.header.gso_size)
    let packet = frame.bytes.dropFirst(linkHeaderByteCount)
    write(side) { state in
      state.writer.write(
        packet.bytes, on: state.interfaces[side], direction: direction, segmentByteCount: segmentByteCount,
        isChecksumPartial: isPartial, at: now)
    }
  }

  /// Records a wire packet at one end.
  func record(_ packet: [UInt8], _ side: Int, _ direction: CaptureDirection, at now: Instant) {
    write(side) { $0.writer.write(packet.span.bytes, on: $0.interfaces[side], direction: direction, at: now) }
  }

  private func write(_ side: Int, _ body: (inout State) -> Void) {
    state.withLock { state in
      guard state.failure == nil, state.gathered.bytes.count < Self.limit else {
        state.missing += 1
        return
      }
      body(&state)
    }
  }

  /// Writes out what has gathered, in whole blocks. Called by one thread at a time.
  func flush() {
    let bytes: [UInt8] = state.withLock { state in
      defer { state.gathered.bytes = [] }
      return state.gathered.bytes
    }
    bytes.withUnsafeBytes { bytes in
      var rest = bytes
      while !rest.isEmpty {
        let written = clinux_write(file.number, rest.baseAddress, rest.count)
        guard written > 0 else {
          state.withLock { $0.failure = SystemError("write the capture '\(name)'", number: Int32(-written)) }
          return
        }
        rest = UnsafeRawBufferPointer(rebasing: rest[written...])
      }
    }
  }

  /// Ends the capture with the counts of each end.
  ///
  /// - Returns: how many packets are not in it.
  /// - Throws: what kept the file from being written.
  func finish() throws(SystemError) -> Int {
    state.withLock { $0.writer.finish(at: Instant(nanoseconds: MonotonicClock.now)) }
    flush()
    let (missing, failure) = state.withLock { ($0.missing, $0.failure) }
    if let failure { throw failure }
    return missing
  }
}

/// Writes captures to their files while packets come.
final class CaptureThread: Sendable {
  private let isWanted = Atomic(true)
  private let ended = DispatchSemaphore(value: 0)

  init(_ captures: [PathCapture]) throws(SystemError) {
    try startThread(named: "captures") { [self] in
      while isWanted.load(ordering: .acquiring) {
        for capture in captures { capture.flush() }
        usleep(50_000)
      }
      ended.signal()
    }
  }

  /// Ends the writing and waits for its end.
  func stop() {
    isWanted.store(false, ordering: .releasing)
    ended.wait()
    ended.signal()
  }
}
