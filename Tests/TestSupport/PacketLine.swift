import MPTCPCore
import MPTCPWire

/// A packet in one line, for a test that failed and a person who wants to know why.
package func packetLine(_ bytes: [UInt8]) -> String {
  guard let ip = try? IPHeader(parsing: bytes.span.bytes), ip.protocolNumber == IPProtocol.tcp else { return "not TCP" }
  let slice = ByteSlice(bytes).dropFirst(ip.headerByteCount)
  guard let tcp = try? TCPHeader(parsing: slice.bytes) else { return "bad TCP" }
  var flags = ""
  for (flag, name) in [(TCPFlags.syn, "S"), (.fin, "F"), (.rst, "R"), (.psh, "P"), (.ack, ".")] as [(TCPFlags, String)]
  where tcp.flags.contains(flag) { flags += name }
  var options = ""
  try? TCPOption.forEach(in: slice.dropFirst(20).prefix(tcp.headerByteCount - 20).bytes) { option, _ in
    if case .noOperation = option { return }
    options += " \(option)"
  }
  for long in [
    "MPTCPWire.", "multipath(", "subflowSequenceNumber: ", "DataAck.", "Optional(", "SequenceNumber(rawValue: ",
  ] {
    options = options.split(separator: long, omittingEmptySubsequences: false).joined()
  }
  return
    "\(tcp.sourcePort.rawValue)>\(tcp.destinationPort.rawValue) \(flags) seq \(tcp.sequenceNumber) ack \(tcp.acknowledgmentNumber) win \(tcp.window) len \(slice.count - tcp.headerByteCount)\(options)"
}
