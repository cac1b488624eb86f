import CLinux
import MPTCPWire
import Testing

@testable import MPTCPStack

struct PacketFilterTests {
  private let hardware = MACAddress(0x0200_0000_0001)
  private let v4 = IPAddress(v4: 0x0A00_0002)
  private let v6 = IPAddress("fd00::2")!

  /// Runs the filter as the kernel does; `tag` is what it took off the frame.
  private func passes(_ frame: [UInt8], tag: UInt16 = 0) -> Bool {
    let filter = PacketFilter(for: [v4, v6], others: [IPAddress(v4: 0x0A00_0102)], hardwareAddress: hardware)
    var position = 0
    var accumulator: UInt32 = 0
    while true {
      let instruction = filter.instructions[position]
      position += 1
      switch instruction.code {
      case 0x20 where instruction.operand == 0xffff_f02c: accumulator = UInt32(tag)
      case 0x20, 0x28:
        let bytes = frame.dropFirst(Int(instruction.operand)).prefix(instruction.code == 0x20 ? 4 : 2)
        // The kernel drops a frame that is too short for a load.
        guard bytes.count == (instruction.code == 0x20 ? 4 : 2) else { return false }
        accumulator = bytes.reduce(0) { $0 << 8 | UInt32($1) }
      case 0x54: accumulator &= instruction.operand
      case 0x15: position += Int(accumulator == instruction.operand ? instruction.jump_true : instruction.jump_false)
      default: return instruction.operand != 0
      }
    }
  }

  private func frame(to hardware: MACAddress, type: UInt16, _ content: [UInt8]) -> [UInt8] {
    hardware.octets + MACAddress(0x0200_0000_0009).octets + [UInt8(type >> 8), UInt8(type & 0xff)] + content
  }

  private func packet(to address: IPAddress, in destination: MACAddress) -> [UInt8] {
    switch address.family {
    case .v4: frame(to: destination, type: 0x0800, [UInt8](repeating: 0, count: 16) + address.octets)
    case .v6: frame(to: destination, type: 0x86DD, [UInt8](repeating: 0, count: 24) + address.octets)
    }
  }

  private func question(about address: IPAddress, from sender: IPAddress) -> [UInt8] {
    frame(
      to: .broadcast, type: 0x0806,
      [UInt8](repeating: 0, count: 14) + sender.octets + [UInt8](repeating: 0, count: 6) + address.octets)
  }

  @Test("What is for us passes, and nothing else")
  func ours() {
    for address in [v4, v6, IPAddress(v4: 0x0A00_0102)] { #expect(passes(packet(to: address, in: hardware))) }
    #expect(passes(question(about: v4, from: IPAddress(v4: 0x0A00_0001))))
    #expect(passes(question(about: IPAddress(v4: 0x0A00_0001), from: v4)))
    #expect(!passes(question(about: IPAddress(v4: 0x0A00_0003), from: IPAddress(v4: 0x0A00_0001))))
    #expect(!passes(packet(to: IPAddress(v4: 0x0A00_0003), in: hardware)))
    #expect(!passes(packet(to: v4, in: MACAddress(0x0200_0000_0002))))
    #expect(passes(packet(to: v6.solicitedNodeMulticast, in: MACAddress(multicast: v6.solicitedNodeMulticast)!)))
    #expect(passes(packet(to: .allNodes, in: MACAddress(multicast: .allNodes)!)))
    #expect(!passes([2, 0, 0]))
  }

  @Test("A packet to one address in a frame to many does not pass")
  func linkLayerGroups() {
    #expect(!passes(packet(to: v4, in: .broadcast)))
    #expect(!passes(packet(to: v6, in: MACAddress(multicast: .allNodes)!)))
  }

  @Test("A VLAN's frames are another link's; a tag that only gives a priority changes nothing")
  func virtualNetworks() {
    for frame in [packet(to: v4, in: hardware), question(about: v4, from: IPAddress(v4: 0x0A00_0001))] {
      #expect(!passes(frame, tag: 7))
      #expect(!passes(frame, tag: 0xE007))
      #expect(passes(frame, tag: 0xE000))
    }
  }
}
