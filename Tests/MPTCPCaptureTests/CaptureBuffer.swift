import MPTCPCapture
import MPTCPWire
import Synchronization

/// A file in memory.
final class CaptureBuffer: Sendable {
  private let storage = Mutex<[UInt8]>([])
  private let calls = Mutex<[Int]>([])

  func append(_ block: RawSpan) {
    block.withUnsafeBytes { bytes in storage.withLock { $0.append(contentsOf: bytes) } }
    calls.withLock { $0.append(block.byteCount) }
  }

  var bytes: [UInt8] { storage.withLock { $0 } }

  /// How many bytes each call brought.
  var callByteCounts: [Int] { calls.withLock { $0 } }

  /// A writer into this buffer.
  func writer(epoch: Nanoseconds = .zero) -> PcapngWriter<Never> {
    PcapngWriter(epoch: epoch) { [self] in append($0) }
  }
}
