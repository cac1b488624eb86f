import Glibc
import MPTCPStack
import Synchronization

/// Names of hosts, looked up as the system does it.
public enum HostName {
  /// The addresses of `name`, in the order in which to try them; of an address in text form, itself.
  ///
  /// - Parameter family: the family that they must be of; nil: either.
  /// - Throws: ``MultipathError`` when there are none; `CancellationError` at once when the task is cancelled, whatever
  ///   the system still waits for.
  public static func addresses(
    of name: String, family: IPAddress.Family? = nil
  ) async throws -> [IPAddress] {
    if let address = IPAddress(name) { return [address] }
    let answer = Answer()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        answer.wait(continuation)
        do throws(SystemError) {
          // The system's look-up blocks: not for a thread of the pool, and never for the stack's.
          try startThread(named: "name look-up") { answer.give(Result { try lookUp(name, family) }) }
        } catch {
          answer.give(.failure(MultipathError(error, attempt: "find the address of '\(name)'")))
        }
      }
    } onCancel: {
      answer.give(.failure(CancellationError()))
    }
  }

  /// What a look-up comes to, whoever says it first.
  private final class Answer: Sendable {
    private enum State {
      case idle
      case waiting(CheckedContinuation<[IPAddress], any Error>)
      case given(Result<[IPAddress], any Error>)
    }

    private let state = Mutex(State.idle)

    func wait(_ continuation: CheckedContinuation<[IPAddress], any Error>) {
      let given: Result<[IPAddress], any Error>? = state.withLock { state in
        if case .given(let result) = state { return result }
        state = .waiting(continuation)
        return nil
      }
      if let given { continuation.resume(with: given) }
    }

    func give(_ result: Result<[IPAddress], any Error>) {
      let waiting: CheckedContinuation<[IPAddress], any Error>? = state.withLock { state in
        switch state {
        case .given: return nil
        case .idle:
          state = .given(result)
          return nil
        case .waiting(let continuation):
          state = .given(result)
          return continuation
        }
      }
      waiting?.resume(with: result)
    }
  }

  private static func lookUp(_ name: String, _ family: IPAddress.Family?) throws -> [IPAddress] {
    var hints = addrinfo()
    hints.ai_family = family.map { $0 == .v4 ? AF_INET : AF_INET6 } ?? AF_UNSPEC
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
