import MPTCPCore
import MPTCPLink
import MPTCPWire

/// A device that has been opened, on its way to the loop.
///
/// Devices open in the network namespace of the thread that asks for them, and stay there.
package struct PreparedPath: @unchecked Sendable {
  // Handed to one stack, which alone uses it from then on.
  let device: any Device
  let monitor: LinkMonitor?
  let isRunning: Bool
  /// Whether its subflows are used only when no others work.
  package var isBackup: Bool

  /// The name of the device.
  package var name: String { device.configuration.name }

  private init(_ device: any Device, isBackup: Bool) throws(SystemError) {
    self.device = device
    self.isBackup = isBackup
    if let interface = device.interface {
      // The monitor first: a change between the two is then heard of twice rather than not at all.
      monitor = try LinkMonitor(interfaceIndex: interface.index)
      isRunning = try RouteSocket().link(interface.name).isRunning
    } else {
      monitor = nil
      isRunning = true
    }
  }

  /// Attaches to a TUN device, or makes one; see ``TUNDevice``.
  package static func tun(
    _ name: String, addresses: [IPPrefix], hosts: [IPAddress] = [], maximumTransmissionUnit: Int? = nil,
    isBackup: Bool = false
  ) throws -> PreparedPath {
    try PreparedPath(
      TUNDevice(
        name: name, addresses: addresses, hosts: hosts, maximumTransmissionUnit: maximumTransmissionUnit),
      isBackup: isBackup)
  }

  /// Opens a packet socket; see ``PacketDevice``.
  package static func packet(
    _ interface: String, addresses: [IPPrefix], gateways: [IPAddress] = [], isBackup: Bool = false
  ) throws -> PreparedPath {
    var random = SystemRandomNumberGenerator()
    return try PreparedPath(
      PacketDevice(
        name: interface, addresses: addresses, gateways: gateways, random: random.next(), at: Stack.now),
      isBackup: isBackup)
  }

  /// Both ends of a link inside the process.
  package static func pair(
    _ first: (name: String, addresses: [IPPrefix]), _ second: (name: String, addresses: [IPPrefix]),
    maximumTransmissionUnit: Int = 1_500
  ) throws(SystemError) -> (PreparedPath, PreparedPath) {
    let (left, right) = try MemoryDevice.pair(first, second, maximumTransmissionUnit: maximumTransmissionUnit)
    return (try PreparedPath(left, isBackup: false), try PreparedPath(right, isBackup: false))
  }

  /// The same device behind two modelled links, which begin now.
  package func shaped(outgoing: LinkConfiguration, incoming: LinkConfiguration) throws(SystemError) -> PreparedPath {
    try PreparedPath(
      ShapedDevice(device, outgoing: outgoing, incoming: incoming, at: Stack.now), isBackup: isBackup)
  }
}
