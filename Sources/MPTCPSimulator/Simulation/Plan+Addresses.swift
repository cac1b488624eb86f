import MPTCPLink
import MPTCPWire

// Each address is one interface's, and of each interface one way leads to it.
extension Plan {
  /// Notes whose the addresses are that a host's interfaces have by the scenario, so that none of them is given out.
  mutating func noteAddresses(of host: Scenario.Host, at place: String) throws(ScenarioError) {
    for (index, interface) in host.interfaces.enumerated() {
      for (position, text) in interface.addresses.enumerated() {
        let place = "\(place).interfaces[\(index)].addresses[\(position)]"
        guard let address = IPAddress(text) else {
          throw ScenarioError(place, "'\(text)': expected an address such as 10.0.0.1")
        }
        try checkKind(of: address, at: place)
        if let owner = owners.updateValue("\(host.name).\(interface.name)", forKey: address) {
          throw ScenarioError(place, "'\(text)' is the address of \(owner); give each interface its own")
        }
      }
    }
  }

  private func checkKind(of address: IPAddress, at place: String) throws(ScenarioError) {
    guard address.isUnicast, !address.isLoopback, address.unmappedV4 == nil else {
      throw ScenarioError(
        place, "'\(address)': expected an address that one host can have, such as 192.0.2.1 or 2001:db8::1")
    }
  }

  /// The address of a host's next interface, where the scenario has none for it.
  func addressToGiveOut(
    to interface: Interface, of host: Int, at place: String
  ) throws(ScenarioError) -> IPAddress {
    let number = hosts[host].interfaces.count + 1
    let address: IPAddress
    switch interface.family {
    case .v4: address = try addressToGiveOutV4(number, of: host, at: place)
    case .v6: address = IPAddress(v6High: 0xfd00_0000_0000_0000 + UInt64(host), low: UInt64(number))
    }
    if let owner = owners[address] {
      let name = "\(hosts[host].name).\(interface.name)"
      throw ScenarioError(
        place, "\(address) would be given out to \(name), but is the address of \(owner); give it others")
    }
    return address
  }

  private func addressToGiveOutV4(_ number: Int, of host: Int, at place: String) throws(ScenarioError) -> IPAddress {
    guard host < 1 << 16 else {
      throw ScenarioError(
        place, "there are more hosts than addresses from 10.0.0.1 on; give this one addresses of its own, in hosts")
    }
    let network = 0x0a00_0000 + UInt32(host) << 8
    guard number <= 255 else {
      let (first, last) = (IPAddress(v4: network + 1), IPAddress(v4: network + 255))
      throw ScenarioError(
        place,
        "'\(hosts[host].name)' has more interfaces than there are addresses \(first) to \(last); give this one addresses "
          + "of its own, in hosts")
    }
    return IPAddress(v4: network + UInt32(number))
  }

  /// What NATs make of a path's first end's addresses leads back to it.
  mutating func addOuterAddresses(
    of boxes: [MiddleboxConfiguration], leadingBackOver route: Int, from end: (host: Int, interface: Int),
    _ place: String
  ) throws(ScenarioError) {
    let inner = hosts[routes[route].host].interfaces[routes[route].interface]
    let name = "\(hosts[end.host].name).\(hosts[end.host].interfaces[end.interface].name)"
    for (index, box) in boxes.enumerated() {
      guard case .nat(let translation) = box else { continue }
      for (position, address) in translation.addresses.enumerated() {
        let place = "\(place).boxes[\(index)].nat.addresses[\(position)]"
        try checkKind(of: address, at: place)
        if let owner = owners[address], !inner.addresses.contains(address) {
          throw ScenarioError(place, "\(address) is the address of \(owner); give this NAT others")
        }
        let known = hosts[end.host].interfaces[end.interface].routes.first { $0.destination == address }
        guard let known else {
          hosts[end.host].interfaces[end.interface].routes.append((address, route))
          continue
        }
        guard known.route == route else {
          throw ScenarioError(place, "from \(name), \(address) leads back over another path; give this NAT others")
        }
      }
    }
  }
}
