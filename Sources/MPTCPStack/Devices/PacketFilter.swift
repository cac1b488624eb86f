import CLinux
import MPTCPWire

/// The filter of a packet socket, as classic BPF: what is for our addresses passes, and nothing else is copied to us.
struct PacketFilter {
  private(set) var instructions: [clinux_bpf_instruction] = []

  private static let loadHalf: UInt16 = 0x28
  private static let loadWord: UInt16 = 0x20
  private static let jumpEqual: UInt16 = 0x15
  private static let and: UInt16 = 0x54
  private static let giveBack: UInt16 = 0x06

  /// Where the frame's parts begin.
  private static let destination: UInt32 = 0
  private static let etherType: UInt32 = 12
  private static let network: UInt32 = 14

  /// The VLAN tag that the kernel took off before packet sockets see the frame: SKF_AD_OFF + SKF_AD_VLAN_TAG.
  private static let virtualNetwork = UInt32(bitPattern: -0x1000 + 44)

  /// Lets pass, of the frames to `hardwareAddress` or to a group: ARP that is about one of `addresses`, and IPv6
  /// packets to its solicited-node group or to all nodes. Of those to `hardwareAddress` alone (RFC 1122 §3.3.6): IP
  /// packets to one of `addresses` or `others`. Frames of a VLAN belong to another link, though the interface is the
  /// same.
  ///
  /// - Parameter others: addresses that we have on other links; here nobody asks for them, but packets may come.
  init(for addresses: [IPAddress], others: [IPAddress] = [], hardwareAddress: MACAddress) {
    let octets = hardwareAddress.octets
    let high = octets[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let low = octets[4..<6].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    // A tag with VLAN 0 gives a priority only.
    append(Self.loadWord, Self.virtualNetwork)
    append(Self.and, 0xfff)
    append(Self.jumpEqual, 0, true: 1)
    append(Self.giveBack, 0)
    unless(Self.loadWord, Self.destination, and: 0x0100_0000, is: 0x0100_0000) { filter in
      filter.require(Self.loadWord, Self.destination, high)
      filter.require(Self.loadHalf, Self.destination + 4, low)
    }
    for address in addresses {
      switch address.family {
      case .v4:
        // The target of a question or answer, and the sender: a stranger who claims our address is a conflict.
        accept(type: 0x0806, words: [(Self.network + 24, address.v4)])
        accept(type: 0x0806, words: [(Self.network + 14, address.v4)])
      case .v6:
        for group in [address.solicitedNodeMulticast, .allNodes] { accept(packetsTo: group) }
      }
    }
    require(Self.loadWord, Self.destination, high)
    require(Self.loadHalf, Self.destination + 4, low)
    for address in addresses + others { accept(packetsTo: address) }
    append(Self.giveBack, 0)
  }

  private mutating func accept(packetsTo address: IPAddress) {
    switch address.family {
    case .v4: accept(type: 0x0800, words: [(Self.network + 16, address.v4)])
    case .v6:
      let field = Self.network + 24
      let words = [address.high >> 32, address.high, address.low >> 32, address.low].map(
        UInt32.init(truncatingIfNeeded:))
      accept(type: 0x86DD, words: words.enumerated().map { (field + 4 * UInt32($0.offset), $0.element) })
    }
  }

  private mutating func append(_ code: UInt16, _ operand: UInt32, true: UInt8 = 0, false: UInt8 = 0) {
    instructions.append(
      clinux_bpf_instruction(code: code, jump_true: `true`, jump_false: `false`, operand: operand))
  }

  /// Gives up on the frame unless the field has the value.
  private mutating func require(_ load: UInt16, _ offset: UInt32, _ value: UInt32) {
    append(load, offset)
    append(Self.jumpEqual, value, true: 1)
    append(Self.giveBack, 0)
  }

  /// Runs what `body` appends unless the masked field has the value.
  private mutating func unless(
    _ load: UInt16, _ offset: UInt32, and mask: UInt32, is value: UInt32, _ body: (inout PacketFilter) -> Void
  ) {
    append(load, offset)
    append(Self.and, mask)
    let jump = instructions.count
    append(Self.jumpEqual, value)
    body(&self)
    instructions[jump].jump_true = UInt8(instructions.count - jump - 1)
  }

  /// Accepts the frame if it has the type and all words; goes on otherwise.
  private mutating func accept(type: UInt16, words: [(offset: UInt32, value: UInt32)]) {
    append(Self.loadHalf, Self.etherType)
    append(Self.jumpEqual, UInt32(type), false: UInt8(2 * words.count + 1))
    for (position, word) in words.enumerated() {
      append(Self.loadWord, word.offset)
      append(Self.jumpEqual, word.value, false: UInt8(2 * (words.count - position) - 1))
    }
    append(Self.giveBack, .max)
  }
}
