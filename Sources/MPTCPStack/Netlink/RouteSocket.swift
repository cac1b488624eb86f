import CLinux
import Glibc
import MPTCPWire

/// What the kernel says of a network interface.
package struct LinkDescription: Sendable, Hashable {
  /// The interface index.
  package var index: Int32
  /// The name.
  package var name: String
  /// The MTU in bytes, link-layer header not counted.
  package var maximumTransmissionUnit: Int
  /// The link-layer address, as long as the kind of link has it.
  package var hardwareAddress: [UInt8]
  /// ARPHRD_…: 1 is Ethernet, 65534 has no link layer (TUN).
  package var hardwareType: UInt16
  /// Administratively up.
  package var isUp: Bool
  /// Up and with a carrier.
  package var isRunning: Bool
  /// Of a TUN device, what stands before its packets.
  package var tunMode: TUNMode?
}

/// What a TUN device puts before each packet (IFF_NO_PI and IFF_VNET_HDR, linux/if_tun.h).
package struct TUNMode: Sendable, Hashable {
  /// The four octets of struct tun_pi.
  package var hasPacketInformation: Bool
  /// A struct virtio_net_hdr.
  package var hasVirtioHeader: Bool
}

/// A conversation with the kernel's routing tables: links, addresses, routes and rules, by rtnetlink.
///
/// It acts in the network namespace of the thread that made it. All calls block for the kernel's answer, which comes at
/// once.
package final class RouteSocket {
  private let descriptor: Descriptor
  private var sequence: UInt32 = 1

  /// Opens the conversation.
  package init() throws(SystemError) {
    descriptor = Descriptor(try check(clinux_netlink_open(CLINUX_NETLINK_ROUTE, 0, true), "open a netlink socket"))
  }

  // MARK: Links

  /// The interface named `name`.
  package func link(_ name: String) throws(SystemError) -> LinkDescription {
    var message = request(type: .getLink, flags: [], header: [UInt8](repeating: 0, count: 16))
    message.attribute(3, name)
    let replies = try exchange(message, "find the interface '\(name)'", remedy: "'ip link' lists those that exist")
    guard let link = replies.lazy.compactMap(LinkDescription.init).first else {
      throw SystemError("find the interface '\(name)'", number: ENODEV)
    }
    return link
  }

  /// Brings an interface up or down, and sets its MTU and how many packets may wait in its queue.
  package func setLink(
    _ name: String, isUp: Bool, maximumTransmissionUnit: Int? = nil, queuePacketCount: Int? = nil
  ) throws(SystemError) {
    let index = try link(name).index
    let up = UInt32(bitPattern: IFF_UP_FLAG)
    let header = linkHeader(index: index, flags: isUp ? up : 0, change: up)
    var message = request(type: .newLink, flags: .acknowledge, header: header)
    if let maximumTransmissionUnit { message.attribute(4, UInt32(clamping: maximumTransmissionUnit)) }
    if let queuePacketCount { message.attribute(13, UInt32(clamping: queuePacketCount)) }
    try exchange(
      message, "bring \(name) \(isUp ? "up" : "down")\(maximumTransmissionUnit.map { " with MTU \($0)" } ?? "")",
      remedy: Self.administratorRemedy)
  }

  /// Makes a pair of virtual Ethernet devices.
  package func addEthernetPair(_ name: String, _ peer: String) throws(SystemError) {
    var message = request(
      type: .newLink, flags: [.acknowledge, .create, .exclusive], header: linkHeader(index: 0, flags: 0, change: 0))
    message.attribute(3, name)
    message.nest(18) { information in
      information.attribute(1, Array("veth".utf8))
      information.nest(2) { data in
        data.nest(1, header: [UInt8](repeating: 0, count: 16)) { $0.attribute(3, peer) }
      }
    }
    try exchange(message, "make the devices \(name) and \(peer)", remedy: Self.administratorRemedy)
  }

  /// Moves an interface into the network namespace behind `namespace`, under the name `newName`.
  package func moveLink(_ name: String, to namespace: Int32, as newName: String) throws(SystemError) {
    let index = try link(name).index
    var message = request(type: .newLink, flags: .acknowledge, header: linkHeader(index: index, flags: 0, change: 0))
    message.attribute(28, UInt32(bitPattern: namespace))
    message.attribute(3, newName)
    try exchange(message, "move \(name) into a namespace", remedy: Self.administratorRemedy)
  }

  /// Removes an interface.
  package func removeLink(_ name: String) throws(SystemError) {
    let index = try link(name).index
    let message = request(
      type: .deleteLink, flags: .acknowledge, header: linkHeader(index: index, flags: 0, change: 0))
    try exchange(message, "remove the interface \(name)", remedy: Self.administratorRemedy)
  }

  // MARK: Addresses

  /// Gives an interface an address, and the address of the other end where the link has only two.
  ///
  /// IPv6 addresses skip duplicate address detection: who calls this made the link.
  package func addAddress(
    _ prefix: IPPrefix, peer: IPAddress? = nil, to name: String
  ) throws(SystemError) {
    let index = try link(name).index
    var message = request(
      type: .newAddress, flags: [.acknowledge, .create, .replace], header: addressHeader(prefix, index: index))
    message.attribute(2, prefix.address.octets)
    message.attribute(1, (peer ?? prefix.address).octets)
    do throws(SystemError) {
      try exchange(message, "give \(name) the address \(prefix)", remedy: Self.administratorRemedy)
    } catch {
      // Of a permission there is EPERM; for IPv6, EACCES says that it is switched off, as it is in most containers.
      guard error.number == EACCES, prefix.address.family == .v6 else { throw error }
      throw SystemError(
        error.attempt, number: EAFNOSUPPORT,
        remedy:
          "IPv6 is switched off: sysctl net.ipv6.conf.\(name).disable_ipv6=0, or net.ipv6.conf.default.disable_ipv6=0")
    }
  }

  /// Takes an address from an interface.
  package func removeAddress(_ prefix: IPPrefix, from name: String) throws(SystemError) {
    let index = try link(name).index
    var message = request(type: .deleteAddress, flags: .acknowledge, header: addressHeader(prefix, index: index))
    message.attribute(2, prefix.address.octets)
    try exchange(message, "take the address \(prefix) from \(name)", remedy: Self.administratorRemedy)
  }

  /// Every address that this host's kernel answers for, with the index of its interface.
  package func addresses() throws(SystemError) -> [(address: IPAddress, interfaceIndex: Int32)] {
    let message = request(type: .getAddress, flags: .dump, header: [UInt8](repeating: 0, count: 8))
    return try exchange(message, "list this host's addresses").compactMap { reply in
      guard reply.type == RequestType.newAddress.rawValue, let index = reply.payload.native(Int32.self, at: 4) else {
        return nil
      }
      let attributes = reply.attributes(after: 8)
      // IFA_LOCAL is our end of a point-to-point link; where there is none, IFA_ADDRESS is.
      return (attributes[2] ?? attributes[1]).flatMap(IPAddress.init(octets:)).map { ($0, index) }
    }
  }

  /// Waits until the kernel takes packets for `address`: IPv6 addresses come into force a moment after they are added.
  package func waitUntilLocal(_ address: IPAddress) throws(SystemError) {
    let header: [UInt8] = [address.linuxFamily, UInt8(address.bitCount), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    let attempt = "see this host take packets for \(address)"
    for _ in 0..<1_000 {
      var message = request(type: .getRoute, flags: [], header: header)
      message.attribute(1, address.octets)
      // Until then the answer is another route, or that there is none.
      let route = try? exchange(message, attempt).first
      if route?.payload.dropFirst(7).first == 2 { return }
      usleep(1_000)
    }
    throw SystemError(attempt, number: EADDRNOTAVAIL)
  }

  // MARK: Routes and rules

  /// Adds a route: `prefix` by way of `gateway`, of the interface, or of both, in `table`.
  package func addRoute(
    to prefix: IPPrefix, by gateway: IPAddress? = nil, on name: String? = nil, source: IPAddress? = nil,
    table: UInt32 = 254
  ) throws(SystemError) {
    let index = if let name { try link(name).index } else { Int32(0) }
    // rtmsg: family, prefix lengths, type of service, table, protocol "static", scope, type "unicast", flags.
    let scope: UInt8 = gateway == nil ? 253 : 0
    let header: [UInt8] =
      [prefix.address.linuxFamily, UInt8(prefix.length), 0, 0, UInt8(min(table, 252)), 4, scope, 1] + [0, 0, 0, 0]
    var message = request(type: .newRoute, flags: [.acknowledge, .create, .replace], header: header)
    message.attribute(15, table)
    if prefix.length > 0 { message.attribute(1, prefix.address.octets) }
    if let gateway { message.attribute(5, gateway.octets) }
    if name != nil { message.attribute(4, UInt32(bitPattern: index)) }
    if let source { message.attribute(7, source.octets) }
    try exchange(message, "add a route to \(prefix)", remedy: Self.administratorRemedy)
  }

  /// Adds a rule: packets from `prefix` look into `table`.
  package func addRule(from prefix: IPPrefix, table: UInt32, priority: UInt32) throws(SystemError) {
    try changeRule(.newRule, [.acknowledge, .create, .exclusive], "add", prefix, table, priority)
  }

  /// Removes a rule that ``addRule(from:table:priority:)`` added.
  package func removeRule(from prefix: IPPrefix, table: UInt32, priority: UInt32) throws(SystemError) {
    try changeRule(.deleteRule, .acknowledge, "remove", prefix, table, priority)
  }

  private func changeRule(
    _ type: RequestType, _ flags: RequestFlags, _ verb: String, _ prefix: IPPrefix, _ table: UInt32, _ priority: UInt32
  ) throws(SystemError) {
    // fib_rule_hdr: family, destination and source lengths, type of service, table, two reserved, action "table".
    let header: [UInt8] =
      [prefix.address.linuxFamily, 0, UInt8(prefix.length), 0, UInt8(min(table, 252)), 0, 0, 1] + [0, 0, 0, 0]
    var message = request(type: type, flags: flags, header: header)
    message.attribute(2, prefix.address.octets)
    message.attribute(15, table)
    message.attribute(6, priority)
    try exchange(message, "\(verb) the rule for packets from \(prefix)", remedy: Self.administratorRemedy)
  }

  // MARK: The exchange

  private static let administratorRemedy = "this needs CAP_NET_ADMIN: run as root, or inside 'unshare -rn'"

  private enum RequestType: UInt16 {
    case newLink = 16
    case deleteLink = 17
    case getLink = 18
    case newAddress = 20
    case deleteAddress = 21
    case getAddress = 22
    case newRoute = 24
    case getRoute = 26
    case newRule = 32
    case deleteRule = 33
  }

  private struct RequestFlags: OptionSet {
    var rawValue: UInt16
    static let acknowledge = RequestFlags(rawValue: 0x4)
    static let dump = RequestFlags(rawValue: 0x300)
    static let replace = RequestFlags(rawValue: 0x100)
    static let exclusive = RequestFlags(rawValue: 0x200)
    static let create = RequestFlags(rawValue: 0x400)
  }

  private func request(type: RequestType, flags: RequestFlags, header: [UInt8]) -> NetlinkMessage {
    sequence &+= 1
    return NetlinkMessage(type: type.rawValue, flags: flags.rawValue | 0x1, sequence: sequence, header: header)
  }

  private func linkHeader(index: Int32, flags: UInt32, change: UInt32) -> [UInt8] {
    [0, 0, 0, 0] + index.nativeBytes + flags.nativeBytes + change.nativeBytes
  }

  private func addressHeader(_ prefix: IPPrefix, index: Int32) -> [UInt8] {
    let noDuplicateDetection: UInt8 = prefix.address.family == .v6 ? 0x02 : 0
    return [prefix.address.linuxFamily, UInt8(prefix.length), noDuplicateDetection, 0] + index.nativeBytes
  }

  /// Sends a request and gathers the answers up to the acknowledgment, the end of the dump, or the single reply.
  @discardableResult
  private func exchange(
    _ message: NetlinkMessage, _ attempt: String, remedy: String? = nil
  ) throws(SystemError) -> [NetlinkReply] {
    let request = message.bytes
    let sent = request.withUnsafeBytes { clinux_write(descriptor.number, $0.baseAddress, $0.count) }
    try check(sent, attempt, remedy: remedy)
    var replies: [NetlinkReply] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = buffer.withUnsafeMutableBytes { clinux_read(descriptor.number, $0.baseAddress, $0.count) }
      for reply in NetlinkReply.parse(buffer.prefix(Int(try check(count, attempt)))) {
        switch reply.type {
        case 2:  // NLMSG_ERROR, with number 0 an acknowledgment
          let number = reply.payload.native(Int32.self, at: 0) ?? -EPROTO
          if number != 0 { throw SystemError(attempt, number: -number, remedy: remedy) }
          return replies
        case 3:  // NLMSG_DONE
          return replies
        default:
          replies.append(reply)
          if reply.flags & 0x2 == 0 { return replies }
        }
      }
    }
  }
}

private let IFF_UP_FLAG: Int32 = 0x1

extension LinkDescription {
  /// Reads RTM_NEWLINK or RTM_DELLINK.
  init?(_ reply: NetlinkReply) {
    guard let type = reply.payload.native(UInt16.self, at: 2), let index = reply.payload.native(Int32.self, at: 4),
      let flags = reply.payload.native(UInt32.self, at: 8)
    else { return nil }
    let attributes = reply.attributes(after: 16)
    self.init(
      index: index,
      name: String(decoding: (attributes[3] ?? []).prefix { $0 != 0 }, as: UTF8.self),
      maximumTransmissionUnit: Int(attributes[4]?.native(UInt32.self, at: 0) ?? 0),
      hardwareAddress: Array(attributes[1] ?? []),
      hardwareType: type,
      isUp: flags & 0x1 != 0,
      isRunning: flags & 0x1 != 0 && flags & 0x10000 != 0,
      tunMode: attributes[18].flatMap(TUNMode.init))
  }
}

extension TUNMode {
  /// Reads IFLA_LINKINFO; nil for another kind of device.
  init?(_ linkInformation: ArraySlice<UInt8>) {
    let information = NetlinkReply.attributes(of: linkInformation)
    // IFLA_INFO_DATA; of it IFLA_TUN_PI and IFLA_TUN_VNET_HDR.
    guard let kind = information[1], kind.starts(with: Array("tun".utf8)), let data = information[2] else { return nil }
    let fields = NetlinkReply.attributes(of: data)
    guard let packetInformation = fields[4]?.first, let virtioHeader = fields[5]?.first else { return nil }
    self.init(hasPacketInformation: packetInformation != 0, hasVirtioHeader: virtioHeader != 0)
  }
}
