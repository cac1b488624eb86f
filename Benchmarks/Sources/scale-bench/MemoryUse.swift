import CMalloc
import Glibc

/// What the process has of memory at one moment, in bytes.
struct MemoryUse {
  /// What is allocated and not freed: the allocator's own count.
  var allocated: Int
  /// What is resident: with the allocator's slack, and what it keeps of freed memory.
  var resident: Int

  /// The process's now.
  static var now: MemoryUse {
    let counts = mallinfo2()
    return MemoryUse(allocated: Int(counts.uordblks) + Int(counts.hblkhd), resident: residentByteCount)
  }

  static func - (later: MemoryUse, earlier: MemoryUse) -> MemoryUse {
    MemoryUse(allocated: later.allocated - earlier.allocated, resident: later.resident - earlier.resident)
  }

  private static var residentByteCount: Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 256)
    guard fgets(&line, 256, file) != nil else { return 0 }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// A number of bytes as MiB, with one digit.
func mebibytes(_ byteCount: Int) -> String {
  let tenths = (byteCount * 10 + (1 << 19)) >> 20
  return "\(tenths / 10).\(abs(tenths % 10)) MiB"
}
