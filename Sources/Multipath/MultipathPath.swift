import MPTCPStack

/// A path that a stack is to have: a device, our addresses on it, and how it is to be used.
public struct MultipathPath: Sendable {
  enum Device: Sendable {
    case tun(name: String, addresses: [IPPrefix], hosts: [IPAddress], maximumTransmissionUnit: Int?)
    case packet(interface: String, addresses: [IPPrefix], gateways: [IPAddress])
    case prepared(PreparedPath)
  }

  var device: Device
  var links: (outgoing: LinkConfiguration, incoming: LinkConfiguration)?

  /// Whether its subflows are to be used only when no others work (flag B, RFC 8684 §3.2).
  public var isBackup = false

  /// A TUN device. An existing one is attached to and left as it was; otherwise one is made that goes with the stack.
  ///
  /// - Parameters:
  ///   - name: the device's name.
  ///   - addresses: ours, each with its prefix; one of each family at most is usual.
  ///   - hosts: only for a device that is made: the addresses of the kernel's side, which is then brought up.
  ///   - maximumTransmissionUnit: only for a device that is made: its MTU in bytes; nil: 1,500.
  public static func tun(
    _ name: String, addresses: [IPPrefix], hosts: [IPAddress] = [], maximumTransmissionUnit: Int? = nil
  ) -> MultipathPath {
    MultipathPath(
      device: .tun(
        name: name, addresses: addresses, hosts: hosts, maximumTransmissionUnit: maximumTransmissionUnit))
  }

  /// A packet socket on an Ethernet-like interface, with addresses of our own beside the kernel's.
  ///
  /// - Parameters:
  ///   - interface: the interface's name.
  ///   - addresses: ours, each with the prefix of the link; none may be the kernel's.
  ///   - gateways: who takes packets to other networks, at most one of each family.
  public static func packet(
    _ interface: String, addresses: [IPPrefix], gateways: [IPAddress] = []
  ) -> MultipathPath {
    MultipathPath(device: .packet(interface: interface, addresses: addresses, gateways: gateways))
  }

  /// Both ends of a link inside the process, one for each of two stacks. Each is for use once.
  ///
  /// - Throws: ``MultipathError`` when the process has no descriptor left.
  public static func pair(
    _ first: (name: String, addresses: [IPPrefix]), _ second: (name: String, addresses: [IPPrefix]),
    maximumTransmissionUnit: Int = 1_500
  ) throws -> (MultipathPath, MultipathPath) {
    do {
      let (left, right) = try PreparedPath.pair(first, second, maximumTransmissionUnit: maximumTransmissionUnit)
      return (MultipathPath(device: .prepared(left)), MultipathPath(device: .prepared(right)))
    } catch {
      throw MultipathError(error, attempt: "make a pair of paths")
    }
  }

  /// The same path behind two modelled links in real time: super-segments are cut into wire packets, which then wait,
  /// travel and get lost as the configurations say.
  public func shaped(outgoing: LinkConfiguration, incoming: LinkConfiguration) -> MultipathPath {
    var path = self
    path.links = (outgoing, incoming)
    return path
  }

  /// The same path, used only when no others work.
  public func backup() -> MultipathPath {
    var path = self
    path.isBackup = true
    return path
  }

  /// Opens the device, in the network namespace of the calling thread.
  func open() throws -> PreparedPath {
    var path: PreparedPath
    switch device {
    case .tun(let name, let addresses, let hosts, let maximumTransmissionUnit):
      path = try .tun(name, addresses: addresses, hosts: hosts, maximumTransmissionUnit: maximumTransmissionUnit)
    case .packet(let interface, let addresses, let gateways):
      path = try .packet(interface, addresses: addresses, gateways: gateways)
    case .prepared(let prepared):
      path = prepared
    }
    if let links { path = try path.shaped(outgoing: links.outgoing, incoming: links.incoming) }
    path.isBackup = isBackup
    return path
  }
}
