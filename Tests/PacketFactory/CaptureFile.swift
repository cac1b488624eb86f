import Foundation

/// The folder of captures that the tests are held against: `MPTCP_CAPTURES`, or `../shared/captures` beside the
/// package.
package enum Captures {
  package static let folder: String? = {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let beside = package.deletingLastPathComponent().appendingPathComponent("shared/captures").path
    let candidates = [ProcessInfo.processInfo.environment["MPTCP_CAPTURES"], beside].compactMap { $0 }
    if let folder = candidates.first(where: { FileManager.default.fileExists(atPath: $0) }) { return folder }
    print("No captures: set MPTCP_CAPTURES to their folder. The tests that read them are skipped.")
    return nil
  }()

  /// The captures' paths below the folder, in order.
  package static let names: [String] = {
    guard let folder else { return [] }
    return ["kernel", "real"].flatMap { part in
      let files = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/" + part)) ?? []
      return files.filter { $0.hasSuffix(".pcap") || $0.hasSuffix(".pcapng") }.sorted().map { part + "/" + $0 }
    }
  }()

  package static func path(_ name: String) -> String { (folder ?? ".") + "/" + name }

  /// tshark, if it is installed.
  package static let tshark: String? = {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":")
    let found = folders.map { $0 + "/tshark" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    if found == nil { print("No tshark: the comparison with it is skipped.") }
    return found
  }()
}

/// A pcap or pcapng file, read whole.
package struct CaptureFile {
  package struct Packet {
    /// The frame's number, from 1.
    package var number: Int
    /// LINKTYPE of the interface.
    package var linkType: UInt32
    /// Where in the file the captured octets are.
    package var range: Range<Int>
  }

  package enum Failure: Error { case notACapture, cut(at: Int) }

  package let octets: [UInt8]
  package private(set) var packets: [Packet] = []
  private var isLittle = true

  package init(path: String) throws {
    octets = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    guard octets.count >= 12 else { throw Failure.notACapture }
    switch (octets[0], octets[1], octets[2], octets[3]) {
    case (0xd4, 0xc3, 0xb2, 0xa1), (0x4d, 0x3c, 0xb2, 0xa1): try readPcap()
    case (0xa1, 0xb2, 0xc3, 0xd4), (0xa1, 0xb2, 0x3c, 0x4d):
      isLittle = false
      try readPcap()
    case (0x0a, 0x0d, 0x0d, 0x0a): try readPcapng()
    default: throw Failure.notACapture
    }
  }

  private func word(_ offset: Int) throws -> UInt32 {
    guard offset + 4 <= octets.count else { throw Failure.cut(at: offset) }
    let value = octets.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self) }
    return isLittle ? UInt32(littleEndian: value) : UInt32(bigEndian: value)
  }

  private func half(_ offset: Int) throws -> UInt16 {
    guard offset + 2 <= octets.count else { throw Failure.cut(at: offset) }
    let value = octets.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: UInt16.self) }
    return isLittle ? UInt16(littleEndian: value) : UInt16(bigEndian: value)
  }

  private mutating func add(_ linkType: UInt32, at start: Int, count: UInt32) throws {
    guard start + Int(count) <= octets.count else { throw Failure.cut(at: start) }
    packets.append(Packet(number: packets.count + 1, linkType: linkType, range: start..<start + Int(count)))
  }

  private mutating func readPcap() throws {
    let linkType = try word(20) & 0x0fff_ffff
    var offset = 24
    while offset < octets.count {
      let count = try word(offset + 8)
      try add(linkType, at: offset + 16, count: count)
      offset += 16 + Int(count)
    }
  }

  private mutating func readPcapng() throws {
    var linkTypes: [UInt32] = []
    var offset = 0
    while offset < octets.count {
      let type = try word(offset)
      if type == 0x0a0d_0d0a {
        isLittle = octets[offset + 8] == 0x4d
        linkTypes = []
      }
      let length = Int(try word(offset + 4))
      guard length >= 12, offset + length <= octets.count else { throw Failure.cut(at: offset) }
      switch type {
      case 1: linkTypes.append(UInt32(try half(offset + 8)))
      case 3:
        try add(linkTypes[0], at: offset + 12, count: min(try word(offset + 8), UInt32(length - 16)))
      case 6: try add(linkTypes[Int(try word(offset + 8))], at: offset + 28, count: try word(offset + 20))
      default: break
      }
      offset += length
    }
  }

  /// The octets of the IP packet inside `packet`; `nil` for frames that carry none.
  package func ipRange(_ packet: Packet) -> Range<Int>? {
    let frame = octets[packet.range]
    let start = frame.startIndex
    func type(at offset: Int) -> UInt16? {
      offset + 2 <= frame.count ? UInt16(frame[start + offset]) << 8 | UInt16(frame[start + offset + 1]) : nil
    }
    var header: Int
    var isIP: Bool
    func isIPType(_ type: UInt16?) -> Bool { type == 0x0800 || type == 0x86dd }
    switch packet.linkType {
    case 1:
      header = 14
      if type(at: 12) == 0x8100 { header = 18 }
      isIP = isIPType(type(at: header - 2))
    case 9:
      // PPP, with or without address and control octets.
      header = type(at: 0) == 0xff03 ? 4 : 2
      isIP = type(at: header - 2) == 0x0021 || type(at: header - 2) == 0x0057
    case 12, 101:
      header = 0
      isIP = true
    case 113:
      header = 16
      isIP = isIPType(type(at: 14))
    case 276:
      header = 20
      isIP = isIPType(type(at: 0))
    default: return nil
    }
    return isIP && header <= frame.count ? start + header..<packet.range.upperBound : nil
  }
}
