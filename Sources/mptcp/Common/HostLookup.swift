import Glibc
import Multipath

/// Names of hosts, for those who ask for one family only.
enum HostLookup {
  /// The first address of a family that a name has; `nil` if it has none. Blocks.
  static func address(of name: String, family: IPAddress.Family) throws -> IPAddress? {
    var hints = addrinfo()
    hints.ai_family = family == .v4 ? AF_INET : AF_INET6
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let result = getaddrinfo(name, nil, &hints, &list)
    guard result == 0 else {
      throw MultipathError(
        .unknownHost, attempt: "find the address of '\(name)'", reason: String(cString: gai_strerror(result)))
    }
    defer { freeaddrinfo(list) }
    guard let entry = list?.pointee, let socketAddress = entry.ai_addr else { return nil }
    var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
    guard
      getnameinfo(socketAddress, entry.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0,
      let end = text.firstIndex(of: 0)
    else { return nil }
    return IPAddress(String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self))
  }
}
