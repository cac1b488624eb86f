import MPTCPWire

/// Which end of which path has which addresses, and by which of its paths each host reaches the others.
package struct AddressPlan: Hashable, Sendable {
  /// A path's end in a host.
  package struct Attachment: Hashable, Sendable {
    /// The path's index in the file.
    package var path: Int
    /// The path's name.
    package var name: String
    /// The host's addresses there.
    package var addresses: [IPPrefix]
    /// The other host's name.
    package var peer: String
    /// The other host's addresses there.
    package var peerAddresses: [IPPrefix]
  }

  /// A way to a network that the host is not attached to.
  package struct Route: Hashable, Sendable {
    package var network: IPPrefix
    package var gateway: IPAddress
    /// The path's name.
    package var path: String
  }

  private let attachments: [String: [Attachment]]
  private let routes: [String: [Route]]

  /// Plans for `lab`: path number `i` (from 1) has 10.0.i.0/24 and fd00:0:0:i::/64 where the file gives no addresses,
  /// with 1 for the first end and 2 for the second.
  ///
  /// - Parameter hasIPv6: whether to plan IPv6 addresses too; paths too narrow for it (RFC 8200 §5) have none.
  package init(_ lab: LabFile, hasIPv6: Bool = true) {
    var attachments: [String: [Attachment]] = [:]
    for (index, path) in lab.paths.enumerated() {
      let isPlanned = path.first.addresses.isEmpty && path.second.addresses.isEmpty
      func addresses(_ end: LabFile.End, _ number: UInt32) -> [IPPrefix] {
        guard isPlanned else { return end.addresses }
        let network = UInt32(index + 1)
        let v4 = IPPrefix(IPAddress(v4: 10 << 24 | network << 8 | number), length: 24)
        guard hasIPv6, path.maximumTransmissionUnit >= 1280 else { return [v4] }
        return [v4, IPPrefix(IPAddress(v6High: 0xfd00 << 48 | UInt64(network), low: UInt64(number)), length: 64)]
      }
      let first = addresses(path.first, 1), second = addresses(path.second, 2)
      attachments[path.first.host, default: []].append(
        Attachment(
          path: index, name: path.name, addresses: first, peer: path.second.host, peerAddresses: second))
      attachments[path.second.host, default: []].append(
        Attachment(path: index, name: path.name, addresses: second, peer: path.first.host, peerAddresses: first))
    }
    self.attachments = attachments
    var routes: [String: [Route]] = [:]
    for host in lab.hosts { routes[host.name] = Self.routes(from: host.name, attachments, lab) }
    self.routes = routes
  }

  /// The paths that end at a host, in the order of the file.
  package func attachments(of host: String) -> [Attachment] { attachments[host] ?? [] }

  /// How a host reaches networks behind hosts that forward: by the fewest of them, the file's order deciding.
  package func routes(of host: String) -> [Route] { routes[host] ?? [] }

  private static func routes(
    from host: String, _ attachments: [String: [Attachment]], _ lab: LabFile
  ) -> [Route] {
    var routes: [Route] = []
    var known = Set((attachments[host] ?? []).flatMap(\.addresses).map(network))
    // Breadth first, each host with the first step that leads to it.
    var seen: Set = [host]
    var queue = (attachments[host] ?? []).map { (host: $0.peer, step: $0) }
    while !queue.isEmpty {
      let (next, step) = queue.removeFirst()
      guard seen.insert(next).inserted, lab.host(next)?.forwards == true else { continue }
      for attachment in attachments[next] ?? [] {
        for prefix in attachment.addresses where known.insert(network(prefix)).inserted {
          let gateway = step.peerAddresses.first { $0.address.family == prefix.address.family }
          if let gateway {
            routes.append(Route(network: network(prefix), gateway: gateway.address, path: step.name))
          }
        }
        queue.append((attachment.peer, step))
      }
    }
    return routes
  }

  /// The prefix with nothing behind its length.
  private static func network(_ prefix: IPPrefix) -> IPPrefix {
    let address = prefix.address
    switch address.family {
    case .v4:
      let mask = prefix.length == 0 ? 0 : UInt32.max << UInt32(32 - prefix.length)
      return IPPrefix(IPAddress(v4: address.v4 & mask), length: prefix.length)
    case .v6:
      let high = prefix.length == 0 ? 0 : prefix.length >= 64 ? .max : UInt64.max << UInt64(64 - prefix.length)
      let low = prefix.length <= 64 ? 0 : UInt64.max << UInt64(128 - prefix.length)
      return IPPrefix(IPAddress(v6High: address.high & high, low: address.low & low), length: prefix.length)
    }
  }
}

extension AddressPlan {
  /// The variables by which commands find the hosts: `MPTCP_LAB_SERVER`, `MPTCP_LAB_SERVER_LTE`, each also with `_IPV6`
  /// behind it. Sorted by name.
  package func environment(_ lab: LabFile) -> [(name: String, value: String)] {
    var variables: [(name: String, value: String)] = []
    func add(_ name: String, _ addresses: [IPPrefix]) {
      let word = "MPTCP_LAB_" + String(name.map { $0.isLetter || $0.isNumber ? Character($0.uppercased()) : "_" })
      let v4 = addresses.first { $0.address.family == .v4 }, v6 = addresses.first { $0.address.family == .v6 }
      if let address = v4 ?? v6 { variables.append((word, "\(address.address)")) }
      if let v6 { variables.append((word + "_IPV6", "\(v6.address)")) }
    }
    for host in lab.hosts {
      add(host.name, attachments(of: host.name).flatMap(\.addresses))
      for attachment in attachments(of: host.name) { add("\(host.name)_\(attachment.name)", attachment.addresses) }
    }
    return variables.sorted { $0.name < $1.name }
  }

  /// The argument with `{server}`, `{server.lte}` and, for IPv6, `{server.lte/6}` replaced by addresses; other braces
  /// stay.
  package func filling(_ argument: String, _ lab: LabFile) -> String {
    guard argument.contains("{") else { return argument }
    var text = argument
    func replace(_ name: String, _ addresses: [IPPrefix]) {
      let v4 = addresses.first { $0.address.family == .v4 }, v6 = addresses.first { $0.address.family == .v6 }
      if let address = v4 ?? v6 { text = text.replacing("{\(name)}", with: "\(address.address)") }
      if let v6 { text = text.replacing("{\(name)/6}", with: "\(v6.address)") }
    }
    for host in lab.hosts {
      replace(host.name, attachments(of: host.name).flatMap(\.addresses))
      for attachment in attachments(of: host.name) { replace("\(host.name).\(attachment.name)", attachment.addresses) }
    }
    return text
  }
}
