import Foundation

/// The analyser that reads our captures back.
struct Tshark {
  static let path: String? = ["/usr/bin/tshark", "/usr/local/bin/tshark", "/opt/homebrew/bin/tshark"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }
  static let missing = "tshark is not installed (Debian: apt-get install tshark)"

  struct Output {
    var standardOutput: [UInt8]
    /// What it complained of, without its remark on being run by root.
    var complaints: [String]
    var status: Int32

    var lines: [[String]] {
      String(decoding: standardOutput, as: UTF8.self).split(separator: "\n")
        .map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
    }
  }

  /// Runs tshark on a capture, with checksums checked.
  static func read(_ capture: [UInt8], _ arguments: String...) throws -> Output {
    let directory = FileManager.default.temporaryDirectory.appendingPathComponent("capture-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }
    let file = directory.appendingPathComponent("capture.pcapng")
    let output = directory.appendingPathComponent("output")
    let errors = directory.appendingPathComponent("errors")
    try Data(capture).write(to: file)
    try Data().write(to: output)
    try Data().write(to: errors)

    let process = Process()
    process.executableURL = URL(fileURLWithPath: path ?? "")
    process.arguments =
      ["-r", file.path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"] + arguments
    let outputHandle = try FileHandle(forWritingTo: output)
    let errorHandle = try FileHandle(forWritingTo: errors)
    process.standardOutput = outputHandle
    process.standardError = errorHandle
    try process.run()
    process.waitUntilExit()
    try outputHandle.close()
    try errorHandle.close()
    let complaints = String(decoding: try Data(contentsOf: errors), as: UTF8.self).split(separator: "\n")
      .map(String.init).filter { !$0.hasPrefix("Running as user") }
    return Output(
      standardOutput: Array(try Data(contentsOf: output)), complaints: complaints, status: process.terminationStatus)
  }

  /// A packet as tshark copied it out of a capture.
  struct Packet: Equatable {
    var nanoseconds: Int64
    var bytes: [UInt8]
    var originalByteCount: Int
  }

  /// The packets of a capture, as tshark copies them to the older format.
  static func packets(_ capture: [UInt8]) throws -> [Packet] {
    let copy = try read(capture, "-F", "nsecpcap", "-w", "-").standardOutput
    func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(copy[offset + $1]) << (8 * $1) } }
    var packets: [Packet] = []
    var offset = 24
    while offset + 16 <= copy.count {
      let byteCount = word(offset + 8)
      packets.append(
        Packet(
          nanoseconds: Int64(word(offset)) * 1_000_000_000 + Int64(word(offset + 4)),
          bytes: Array(copy[offset + 16..<offset + 16 + byteCount]), originalByteCount: word(offset + 12)))
      offset += 16 + byteCount
    }
    return packets
  }
}
