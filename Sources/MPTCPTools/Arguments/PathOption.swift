import MPTCPLink
import MPTCPWire

/// A path as the command line names it: a device, our address on it, and what lies behind.
///
/// `--tun NAME=ADDRESS/PREFIX[,host=ADDRESS]` and `--packet IFACE=ADDRESS/PREFIX[,gateway=ADDRESS]`; either takes
/// `backup` and the words of ``MPTCPLink/LinkConfiguration/init(parsing:)``, which put a link model between our stack
/// and the device. The same device named twice is one path with two addresses.
public struct PathOption: Hashable, Sendable {
  /// What kind of device carries the path.
  public enum Kind: String, Hashable, Sendable {
    /// A TUN device: ours, or one that exists.
    case tun
    /// A packet socket on an interface of the kernel's.
    case packet
  }

  /// An address of ours, and the kernel's or the router's on the other side.
  public struct Address: Hashable, Sendable {
    /// Our address and the network around it.
    public var local: IPPrefix
    /// For a TUN device that we make: the address that the kernel's side gets. For a packet socket: the gateway.
    public var other: IPAddress?

    /// Makes an address; see the properties.
    public init(local: IPPrefix, other: IPAddress?) {
      self.local = local
      self.other = other
    }
  }

  /// The kind of device.
  public var kind: Kind
  /// The device's name.
  public var interface: String
  /// At least one address.
  public var addresses: [Address]
  /// Whether to use the path only when no other works.
  public var isBackup = false
  /// What lies between the stack and the device, if anything.
  public var link: LinkConfiguration?

  /// The same link both ways, with chance of its own each way; nil where there is none.
  ///
  /// - Parameter index: the path's number among all.
  package func links(index: Int) -> (outgoing: LinkConfiguration, incoming: LinkConfiguration)? {
    let chance = PathChance(path: index)
    return link.map { (chance.link($0, .forward), chance.link($0, .backward)) }
  }

  /// Reads the value of `--tun` or `--packet`.
  /// - Throws: ``ArgumentProblem`` with one line that names what is wrong and shows what is right.
  public init(_ kind: Kind, parsing text: String) throws(ArgumentProblem) {
    let option = "--\(kind.rawValue) \(text)"
    let example = kind == .tun ? "tun0=10.0.1.2/24,host=10.0.1.1" : "eth0=192.0.2.7/24,gateway=192.0.2.1"
    guard let equals = text.firstIndex(of: "=") else {
      throw ArgumentProblem("\(option): no '=' after the device's name; try --\(kind.rawValue) \(example)")
    }
    interface = String(text[..<equals])
    guard Self.isDeviceName(interface) else {
      throw ArgumentProblem(
        "\(option): '\(interface)' is no device name: 1 to 15 letters and digits, such as \(example.prefix { $0 != "=" })"
      )
    }
    let parts = text[text.index(after: equals)...].split(separator: ",", omittingEmptySubsequences: false)
    let first = parts.first.map(String.init) ?? ""
    guard first.contains("/"), let local = IPPrefix(first) else {
      throw ArgumentProblem(
        "\(option): '\(first)' is no address with a prefix length; try --\(kind.rawValue) \(example)")
    }
    guard Self.isForHosts(local) else {
      throw ArgumentProblem(
        "\(option): \(local.address) is no address that a host can have there; try --\(kind.rawValue) \(example)")
    }
    self.kind = kind
    var other: IPAddress?
    let otherKey = kind == .tun ? "host=" : "gateway="
    var linkParts: [String] = []
    for part in parts.dropFirst() {
      if part.hasPrefix(otherKey) {
        let text = String(part.dropFirst(otherKey.count))
        guard let address = IPAddress(text) else {
          throw ArgumentProblem("\(option): '\(part)': '\(text)' is no IP address")
        }
        guard other == nil else { throw ArgumentProblem("\(option): '\(part)': \(otherKey) is given twice") }
        guard Self.isOther(address, for: kind, beside: local) else {
          throw ArgumentProblem("\(option): '\(part)': it must be another address in \(local)")
        }
        other = address
      } else if part == "backup" {
        isBackup = true
      } else if part.isEmpty {
        throw ArgumentProblem("\(option): nothing stands between two commas, or behind the last")
      } else {
        linkParts.append(String(part))
      }
    }
    addresses = [Address(local: local, other: other)]
    guard !linkParts.isEmpty else { return }
    do {
      link = try LinkConfiguration(parsing: linkParts.joined(separator: ","))
    } catch {
      throw ArgumentProblem("\(option): \(error), or \(otherKey)ADDRESS, or backup")
    }
  }

  // What the kernel takes (dev_valid_name, IFNAMSIZ with its closing zero) and means literally.
  private static func isDeviceName(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && !name.contains { "/:%".contains($0) || $0.isWhitespace }
      && ![".", "..", "all", "default"].contains(name)
  }

  // Routers of IPv6 go by their link-local addresses; beside an address without a network stands any other.
  private static func isOther(_ address: IPAddress, for kind: Kind, beside local: IPPrefix) -> Bool {
    guard address.family == local.address.family, address != local.address, address.isUnicast, !address.isLoopback
    else {
      return false
    }
    let isWhole = local.length == (local.address.family == .v4 ? 32 : 128)
    return local.contains(address) || isWhole || kind == .packet && address.family == .v6 && address.isLinkLocal
  }

  // A network's own address, which in IPv6 is any of its routers (RFC 4291 §2.6.1), and its broadcast address are none,
  // except where it has only two.
  private static func isForHosts(_ prefix: IPPrefix) -> Bool {
    guard prefix.address.isUnicast, !prefix.address.isLoopback else { return false }
    guard prefix.address.family == .v4 else {
      guard prefix.length < 127 else { return true }
      return prefix.length > 64
        ? prefix.address.low & (UInt64.max >> UInt64(prefix.length - 64)) != 0
        : prefix.address.low != 0 || prefix.address.high & (UInt64.max >> UInt64(prefix.length)) != 0
    }
    guard prefix.length < 31 else { return true }
    let hostBits = prefix.address.v4 & (UInt32.max >> UInt32(prefix.length))
    return hostBits != 0 && hostBits != UInt32.max >> UInt32(prefix.length)
  }

  /// Joins options that name the same device into one path, in the order of their first mention.
  /// - Throws: ``ArgumentProblem`` where one device is named as two kinds, or an address twice.
  public static func joined(_ options: [PathOption]) throws(ArgumentProblem) -> [PathOption] {
    var paths: [PathOption] = []
    for option in options {
      for path in paths where path.addresses.contains(where: { $0.local.address == option.addresses[0].local.address })
      {
        throw ArgumentProblem(
          "--\(option.kind.rawValue) \(option.interface): \(option.addresses[0].local.address) is already "
            + "\(path.interface)'s address; give each path one of its own")
      }
      guard let index = paths.firstIndex(where: { $0.interface == option.interface }) else {
        paths.append(option)
        continue
      }
      guard paths[index].kind == option.kind else {
        throw ArgumentProblem(
          "--\(option.kind.rawValue) \(option.interface): already given as --\(paths[index].kind.rawValue)")
      }
      if option.link != nil && paths[index].link != nil {
        throw ArgumentProblem(
          "--\(option.kind.rawValue) \(option.interface): its link is described already; say it once, with either address"
        )
      }
      paths[index].addresses += option.addresses
      paths[index].isBackup = paths[index].isBackup || option.isBackup
      paths[index].link = paths[index].link ?? option.link
    }
    return paths
  }
}

/// Something wrong with the command line: one line that names the argument and a way out.
public struct ArgumentProblem: Error, Hashable, Sendable, CustomStringConvertible {
  /// The line.
  public let description: String

  /// Makes a problem from its line.
  public init(_ description: String) { self.description = description }
}
