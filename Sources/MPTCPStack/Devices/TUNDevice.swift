import CLinux
import Glibc
import MPTCPCore
import MPTCPWire

/// A TUN device: IP packets to and from the kernel, in super-segments of up to 64 KiB with their checksums left open.
///
/// An existing device is attached to and left as it was. One that does not exist is made, and goes with its
/// descriptor, however the process ends.
final class TUNDevice: Device {
  let configuration: PathConfiguration
  let interface: LinkDescription?
  private var file: Descriptor
  /// What an existing device is left as.
  private let previousMode: TUNMode?
  private var buffer = ReceiveBuffer(headerByteCount: VirtioNetHeader.byteCount)

  var descriptor: Int32 { file.number }

  /// Attaches to the device `name`, or makes it.
  ///
  /// - Parameters:
  ///   - addresses: our addresses, with the prefixes that the kernel's side is given.
  ///   - hosts: the kernel's addresses; only for a device that is made here, which they bring up.
  ///   - maximumTransmissionUnit: for a device that is made here; nil leaves the kernel's default, 1,500.
  init(name: String, addresses: [IPPrefix], hosts: [IPAddress] = [], maximumTransmissionUnit: Int? = nil) throws {
    guard (1...15).contains(name.utf8.count), !name.utf8.contains(where: { $0 == 0x2F || $0 <= 0x20 }) else {
      throw DeviceError(name, "not a device name: 1 to 15 characters, no '/' and no space")
    }
    let routes = try RouteSocket()
    let exists: Bool
    do throws(SystemError) {
      previousMode = try routes.link(name).tunMode
      exists = true
    } catch {
      guard error.number == ENODEV else { throw error }
      previousMode = nil
      exists = false
    }
    if exists && !hosts.isEmpty {
      throw DeviceError(
        name, "exists already, and host= is only for a device that is made here; leave host= out, or give another name")
    }
    var actual = [CChar](repeating: 0, count: 16)
    let opened = actual.withUnsafeMutableBufferPointer { clinux_tun_open(name, $0.baseAddress) }
    guard opened >= 0 else { throw Self.refusal(name, exists: exists, number: -opened) }
    file = Descriptor(opened)
    do {
      try check(clinux_tun_enable_offload(opened), "switch on offload for \(name)")
      if !exists {
        try Self.setUp(name, routes, addresses, hosts, maximumTransmissionUnit)
      }
      let link = try routes.link(name)
      interface = link
      configuration = PathConfiguration(
        name: name, addresses: addresses, maximumTransmissionUnit: link.maximumTransmissionUnit,
        offersChecksumOffload: true, offersSegmentationOffload: true)
    } catch {
      // An initialiser that throws has no deinitialiser behind it.
      file = Descriptor(-1)
      if let previousMode { clinux_tun_restore(name, previousMode.hasPacketInformation, previousMode.hasVirtioHeader) }
      throw error
    }
  }

  deinit {
    guard let previousMode, let index = interface?.index else { return }
    // The next program that attaches expects the packets as they were before. In another network namespace by now, the
    // name may be anybody's.
    let name = configuration.name
    file = Descriptor(-1)
    guard let routes = try? RouteSocket(), (try? routes.link(name).index) == index else { return }
    clinux_tun_restore(name, previousMode.hasPacketInformation, previousMode.hasVirtioHeader)
  }

  func receive(at now: Instant, limit: Int, _ deliver: Delivery) throws(SystemError) -> Int {
    for count in 0..<limit {
      let room = buffer.room()
      let read = clinux_read(file.number, room.baseAddress, room.count)
      if read == -Int(EAGAIN) { return count }
      // Down, not gone: the link's own news says when it is up again.
      if read == -Int(EIO) { return count }
      try check(read, "read from \(configuration.name)")
      guard read > VirtioNetHeader.byteCount else { continue }
      let header = room.loadUnaligned(as: clinux_vnet_header.self)
      deliver(buffer.take(read), VirtioNetHeader.offload(header))
    }
    return limit
  }

  func send(_ packet: borrowing OutgoingPacket, at now: Instant) -> SendOutcome {
    let header = VirtioNetHeader.header(for: packet, linkHeaderByteCount: 0)
    return outcome(withUnsafeBytes(of: header) { packet.write(to: file.number, behind: $0) })
  }

  func send(whole bytes: UnsafeRawBufferPointer, offload: SendOffload, at now: Instant) -> SendOutcome {
    outcome(
      withUnsafeBytes(of: VirtioNetHeader.header(for: bytes, offload, linkHeaderByteCount: 0)) { header in
        clinux_write_pieces(
          file.number, header.baseAddress, header.count, bytes.baseAddress, bytes.count, nil, 0, nil, 0)
      })
  }

  private func outcome(_ result: Int) -> SendOutcome {
    if result >= 0 { return .sent }
    switch Int32(-result) {
    case EAGAIN: return .blocked
    case EBADFD, ENODEV: return .vanished
    // EIO: the device is down, and so the packet is lost.
    default: return .dropped
    }
  }

  /// How many of the kernel's packets may wait for us. Its default of 500 overflows when that many connections begin at
  /// once, and what is lost then are the packets that make them multipath.
  private static let queuePacketCount = 2048

  private static func setUp(
    _ name: String, _ routes: RouteSocket, _ addresses: [IPPrefix], _ hosts: [IPAddress],
    _ maximumTransmissionUnit: Int?
  ) throws {
    for host in hosts {
      guard let ours = addresses.first(where: { $0.address.family == host.family }) else {
        throw DeviceError(name, "host=\(host) is of another family than our address")
      }
      guard ours.address != host else {
        throw DeviceError(name, "host=\(host) is our own address; the kernel's side needs another of the same network")
      }
      if ours.length == host.bitCount {
        try routes.addAddress(IPPrefix(host, length: host.bitCount), peer: ours.address, to: name)
      } else {
        guard ours.contains(host) else {
          throw DeviceError(name, "host=\(host) is not in \(ours), so the kernel would not find us there")
        }
        try routes.addAddress(IPPrefix(host, length: ours.length), to: name)
      }
    }
    try routes.setLink(
      name, isUp: !hosts.isEmpty, maximumTransmissionUnit: maximumTransmissionUnit, queuePacketCount: queuePacketCount)
    for host in hosts { try routes.waitUntilLocal(host) }
  }

  private static func refusal(_ name: String, exists: Bool, number: Int32) -> any Error {
    let attempt = "\(exists ? "attach to" : "make") the TUN device \(name)"
    switch number {
    case EPERM:
      let byAdministrator =
        exists
        ? "the device belongs to another user"
        : "or let an administrator make it: ip tuntap add \(name) mode tun user \(getuid()), and give it an address"
      return SystemError(
        attempt, number: number,
        remedy: "this needs CAP_NET_ADMIN: run as root or inside 'unshare -rn', \(byAdministrator)")
    case EACCES, ENOENT, ENXIO:
      return SystemError(
        attempt, number: number,
        remedy:
          "/dev/net/tun cannot be opened here; use a packet socket (--packet) on a veth or a real interface, as root or "
          + "with CAP_NET_RAW")
    case EBUSY:
      return SystemError(attempt, number: number, remedy: "another process has it")
    case EINVAL where exists:
      return SystemError(attempt, number: number, remedy: "it is not a TUN device, or one with several queues")
    default:
      return SystemError(attempt, number: number)
    }
  }
}
