import MPTCPWire

/// Writes a capture in the pcapng format: IP packets from any number of interfaces, with nanoseconds.
///
/// The writer does no I/O. It hands each block, whole, to the closure that it was made with, so a file that ends
/// between two calls is a good capture. What the closure throws comes out of the call that caused it.
///
/// ```swift
/// var writer = try PcapngWriter(epoch: .zero, application: "mptcp") { bytes in try file.write(bytes) }
/// let path = try writer.addInterface(name: "path0")
/// try writer.write(packet, on: path, direction: .outbound, at: now)
/// try writer.finish(at: now)
/// ```
///
/// Packets need not be in the order of time. The format is draft-ietf-opsawg-pcapng; numbers are little-endian on every
/// machine, so the same packets give the same file.
public struct PcapngWriter<Failure: Error>: Sendable {
  /// Takes one block. The bytes are valid only during the call.
  public typealias Sink = @Sendable (RawSpan) throws(Failure) -> Void

  /// How super-segments are shown.
  public var superSegmentForm = SuperSegmentForm.wirePackets

  private struct Interface {
    var snapLength: Int
    var packetCount: UInt64 = 0
  }

  private let sink: Sink
  private let epoch: Nanoseconds
  private var interfaces: [Interface] = []
  private var block = PcapngBlock()

  /// Begins a capture: writes the section header.
  ///
  /// - Parameters:
  ///   - epoch: The time from 1970-01-01T00:00:00Z to `Instant.zero`.
  ///   - application: The name of the program that writes, if it is to be named.
  ///   - operatingSystem: The name of the system that it runs on, likewise.
  ///   - comment: A remark on the whole capture.
  ///   - sink: Where blocks go.
  public init(
    epoch: Nanoseconds, application: String? = nil, operatingSystem: String? = nil, comment: String? = nil,
    sink: @escaping Sink
  ) throws(Failure) {
    self.sink = sink
    self.epoch = epoch
    block.begin(.sectionHeader)
    block.put32(0x1a2b_3c4d)
    block.put16(1)
    block.put16(0)
    // The section's length is not known while it is written.
    block.put64(.max)
    if let comment { block.putOption(Option.comment, text: comment) }
    if let operatingSystem { block.putOption(Option.operatingSystem, text: operatingSystem) }
    if let application { block.putOption(Option.application, text: application) }
    block.end(hasOptions: comment != nil || operatingSystem != nil || application != nil)
    try sink(block.bytes.span.bytes)
  }

  /// Adds an interface that carries bare IP packets (link type RAW, 101). It may come at any time.
  ///
  /// - Parameters:
  ///   - name: Its name, as analysers show it.
  ///   - description: More words on it.
  ///   - snapLength: How many bytes of each packet are kept; `nil` for all.
  ///   - bitsPerSecond: Its rate, if it has one.
  public mutating func addInterface(
    name: String, description: String? = nil, snapLength: Int? = nil, bitsPerSecond: Int? = nil
  ) throws(Failure) -> CaptureInterface {
    block.begin(.interfaceDescription)
    block.put16(101)
    block.put16(0)
    // 0 means no limit there.
    block.put32(snapLength.map { UInt32(clamping: max($0, 1)) } ?? 0)
    block.putOption(Option.interfaceName, text: name)
    if let description { block.putOption(Option.interfaceDescription, text: description) }
    if let bitsPerSecond { block.putOption(Option.interfaceSpeed, number: UInt64(clamping: bitsPerSecond)) }
    // Ten to the minus ninth of a second.
    block.putOption(Option.timeResolution, byte: 9)
    block.end(hasOptions: true)
    interfaces.append(Interface(snapLength: snapLength.map { max($0, 1) } ?? .max))
    try sink(block.bytes.span.bytes)
    return CaptureInterface(index: interfaces.count - 1)
  }

  /// Writes an IP packet.
  ///
  /// A packet with all its checksums goes out byte for byte. Where checksums were left to offload they are filled in;
  /// a super-segment is cut, or not, as ``superSegmentForm`` says. What cannot be understood is written as it is: a
  /// capture must show the very packets that are wrong.
  ///
  /// - Parameters:
  ///   - packet: The whole packet from the IP header on.
  ///   - interface: Where it crossed.
  ///   - direction: Which way.
  ///   - segmentByteCount: The payload of each wire packet when this is a super-segment, else 0.
  ///   - isChecksumPartial: Whether the transport checksum was left to the device.
  ///   - comment: A remark on the packet; of several wire packets the first carries it.
  ///   - time: When it crossed.
  public mutating func write(
    _ packet: RawSpan, on interface: CaptureInterface, direction: CaptureDirection = .unknown,
    segmentByteCount: Int = 0, isChecksumPartial: Bool = false, comment: String? = nil, at time: Instant
  ) throws(Failure) {
    guard segmentByteCount > 0 || isChecksumPartial else {
      return try packet.withUnsafeBytes { bytes throws(Failure) in
        try writeBlock(bytes, interface, direction, comment, time)
      }
    }
    // A segment size of 0 gives one packet with its checksums.
    let cutByteCount = superSegmentForm == .wirePackets ? segmentByteCount : 0
    var comment = comment
    var failure: Failure?
    do {
      try Segmentation.forEachSegment(of: packet, segmentByteCount: cutByteCount) { bytes in
        guard failure == nil else { return }
        do throws(Failure) {
          try writeBlock(bytes, interface, direction, comment, time)
        } catch {
          failure = error
        }
        comment = nil
      }
    } catch {
      try packet.withUnsafeBytes { bytes throws(Failure) in
        try writeBlock(bytes, interface, direction, comment, time)
      }
    }
    if let failure { throw failure }
  }

  /// Writes how many packets crossed an interface so far.
  ///
  /// - Parameters:
  ///   - interface: Which interface.
  ///   - receivedPacketCount: Packets that crossed it; `nil` for as many as were written.
  ///   - droppedPacketCount: Packets that it dropped.
  ///   - time: The time of the count.
  public mutating func writeStatistics(
    of interface: CaptureInterface, receivedPacketCount: Int? = nil, droppedPacketCount: Int = 0, at time: Instant
  ) throws(Failure) {
    block.begin(.interfaceStatistics)
    block.put32(UInt32(clamping: interface.index))
    block.putTime(stamp(time))
    block.putOption(Option.statisticsEnd, time: stamp(time))
    block.putOption(
      Option.statisticsReceived,
      number: receivedPacketCount.map { UInt64(clamping: $0) } ?? interfaces[interface.index].packetCount)
    block.putOption(Option.statisticsDropped, number: UInt64(clamping: droppedPacketCount))
    block.end(hasOptions: true)
    try sink(block.bytes.span.bytes)
  }

  /// Ends the capture with the statistics of every interface. A capture that is not finished is a good one too.
  public mutating func finish(at time: Instant) throws(Failure) {
    for index in interfaces.indices { try writeStatistics(of: CaptureInterface(index: index), at: time) }
  }

  private mutating func writeBlock(
    _ packet: UnsafeRawBufferPointer, _ interface: CaptureInterface, _ direction: CaptureDirection, _ comment: String?,
    _ time: Instant
  ) throws(Failure) {
    let kept = UnsafeRawBufferPointer(rebasing: packet.prefix(interfaces[interface.index].snapLength))
    interfaces[interface.index].packetCount += 1
    block.begin(.enhancedPacket)
    block.put32(UInt32(clamping: interface.index))
    block.putTime(stamp(time))
    block.put32(UInt32(clamping: kept.count))
    block.put32(UInt32(clamping: packet.count))
    block.putPadded(kept)
    if direction != .unknown { block.putOption(Option.packetFlags, word: direction.rawValue) }
    if let comment { block.putOption(Option.comment, text: comment) }
    block.end(hasOptions: direction != .unknown || comment != nil)
    try sink(block.bytes.span.bytes)
  }

  // Times before 1970 have no stamp.
  private func stamp(_ time: Instant) -> UInt64 { UInt64(max((epoch + (time - .zero)).count, 0)) }
}

// Option codes of the draft's §3.5 and §4; the same number means something else in each kind of block.
private enum Option {
  static let comment: UInt16 = 1

  static let operatingSystem: UInt16 = 3
  static let application: UInt16 = 4

  static let interfaceName: UInt16 = 2
  static let interfaceDescription: UInt16 = 3
  static let interfaceSpeed: UInt16 = 8
  static let timeResolution: UInt16 = 9

  static let packetFlags: UInt16 = 2

  static let statisticsEnd: UInt16 = 3
  static let statisticsReceived: UInt16 = 4
  static let statisticsDropped: UInt16 = 5
}
