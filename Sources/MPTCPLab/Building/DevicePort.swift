import CLinux
import Glibc
import MPTCPCore
import MPTCPStack

/// The lab's side of one end of a path: what a host sends can be read here, and what is written here reaches it.
///
/// Before each frame stands a virtio header that says what its sender left to hardware; behind it, on an Ethernet pair,
/// a link-layer header.
final class DevicePort {
  /// Octets of link-layer header before the IP header.
  let linkHeaderByteCount: Int
  private let file: Descriptor
  private var buffer: ReceiveBuffer
  /// Frames that the host had no room for.
  private(set) var refusedFrameCount = 0

  /// Whether the device is gone, or its other end: then nothing comes from it any more.
  private(set) var isLost = false

  var descriptor: Int32 { file.number }

  /// A frame as it was read.
  struct Frame: Sendable {
    var header: clinux_vnet_header
    /// From the link-layer header on.
    var bytes: ByteSlice
    /// Behind the virtio header.
    static let headerByteCount = MemoryLayout<clinux_vnet_header>.size
  }

  /// The port behind a descriptor whose reads and writes are frames.
  init(_ file: Descriptor, linkHeaderByteCount: Int) {
    self.file = file
    self.linkHeaderByteCount = linkHeaderByteCount
    buffer = ReceiveBuffer(headerByteCount: Frame.headerByteCount)
  }

  /// The TUN device `name`, made in `host`.
  static func tun(_ name: String, in host: HostNamespace) throws -> DevicePort {
    let file = try host.perform {
      var actual = [CChar](repeating: 0, count: 16)
      let opened = actual.withUnsafeMutableBufferPointer { clinux_tun_open(name, $0.baseAddress) }
      let file = Descriptor(
        try check(opened, "make the TUN device \(name)", remedy: "\"device\": \"veth\" does without /dev/net/tun"))
      try check(clinux_tun_enable_offload(opened), "switch on offload for \(name)")
      return file
    }
    return DevicePort(file, linkHeaderByteCount: 0)
  }

  /// The end that stays here of an Ethernet pair whose other end is `name` in `host`; `number` tells pairs apart.
  static func ethernet(_ name: String, in host: HostNamespace, number: Int) throws -> DevicePort {
    let own = "lab\(number)", moving = "host\(number)"
    let routes = try RouteSocket()
    try routes.addEthernetPair(own, moving)
    // Nobody here is to answer what is meant for the host at the other end.
    KernelSetting.writeIfPresent("1", to: "net.ipv6.conf.\(own).disable_ipv6")
    try routes.moveLink(moving, to: host.number, as: name)
    // A super-segment does not fit through a device with a smaller limit; what the host sends is for the host's to
    // bound.
    try routes.setLink(own, isUp: true, maximumTransmissionUnit: 65_535)
    var everything = clinux_bpf_instruction(code: 0x06, jump_true: 0, jump_false: 0, operand: 0xffff_ffff)
    let opened = clinux_packet_open(try routes.link(own).index, &everything, 1)
    return DevicePort(Descriptor(try check(opened, "open a packet socket")), linkHeaderByteCount: 14)
  }

  /// What the host has sent, or nil if nothing waits.
  func receive() -> Frame? {
    if isLost { return nil }
    while true {
      let room = buffer.room()
      let count = clinux_read(file.number, room.baseAddress, room.count)
      guard count > 0 else {
        switch Int32(-count) {
        // A TUN device that was deleted; an Ethernet pair that was; what has been hung up.
        case EBADFD, ENETDOWN, ENODEV, 0: isLost = true
        case _: break
        }
        return nil
      }
      guard count > Frame.headerByteCount + linkHeaderByteCount else { continue }
      let header = room.loadUnaligned(as: clinux_vnet_header.self)
      return Frame(header: header, bytes: buffer.take(count))
    }
  }

  /// Takes note that the device has hung up.
  func hangUp() { isLost = true }

  /// Hands the host a frame of up to three pieces.
  func send(
    _ header: clinux_vnet_header, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty,
    _ third: UnsafeRawBufferPointer = .empty
  ) {
    let written = withUnsafeBytes(of: header) { header in
      clinux_write_pieces(
        file.number, header.baseAddress, header.count, first.baseAddress, first.count, second.baseAddress, second.count,
        third.baseAddress, third.count)
    }
    if written < 0 { refusedFrameCount += 1 }
  }

  /// How many frames the host sent that were lost before they could be read, since the last call; nil where that cannot
  /// be read. A TUN device counts them itself.
  func overflowCount() -> Int? {
    guard linkHeaderByteCount > 0 else { return 0 }
    let count = clinux_packet_drops(file.number)
    return count < 0 ? nil : Int(count)
  }
}

/// Both ends of a path. One thread alone uses them; who else has them only keeps them open.
final class PortPair: @unchecked Sendable {
  let first: DevicePort
  let second: DevicePort

  init(_ first: DevicePort, _ second: DevicePort) { (self.first, self.second) = (first, second) }
}

extension UnsafeRawBufferPointer {
  static var empty: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
}
