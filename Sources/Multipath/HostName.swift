import Glibc
import MPTCPStack

/// Names of hosts, looked up as the system does it.
enum HostName {
  /// The addresses of `name`, in the order in which to try them; of an address in text form, itself.
  ///
  /// - Throws: ``MultipathError`` when there are none.
  static func addresses(of name: String) async throws -> [IPAddress] {
    if let address = IPAddress(name) { return [address] }
    return try await withCheckedThrowingContinuation { continuation in
      // The system's look-up blocks: not for a thread of the pool, and never for the stack's.
      startThread(named: "name look-up") { continuation.resume(with: Result { try lookUp(name) }) }
    }
  }

  private static func lookUp(_ name: String) throws -> [IPAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(name, nil, &hints, &list)
    guard result == 0 else {
      throw MultipathError(
        .unknownHost, attempt: "find the address of '\(name)'", reason: String(cString: gai_strerror(result)))
    }
    defer { freeaddrinfo(list) }
    var addresses: [IPAddress] = []
    var next = list
    while let entry = next?.pointee {
      if let socketAddress = entry.ai_addr, let address = read(socketAddress, family: entry.ai_family) {
        addresses.append(address)
      }
      next = entry.ai_next
    }
    return addresses
  }

  private static func read(_ socketAddress: UnsafeMutablePointer<sockaddr>, family: Int32) -> IPAddress? {
    let bytes = UnsafeRawPointer(socketAddress)
    switch family {
    case AF_INET:
      let address = bytes.loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
      return IPAddress(v4: UInt32(bigEndian: address))
    case AF_INET6:
      // sockaddr_in6: the address begins behind family, port and flow label.
      return IPAddress(
        v6High: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
        low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)))
    default:
      return nil
    }
  }
}
