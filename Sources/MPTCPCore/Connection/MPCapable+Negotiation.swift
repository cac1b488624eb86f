import MPTCPWire

// What an MP_CAPABLE offers and chooses (RFC 8684 §3.1, RFC 6824 §3.1).
extension MPCapable {
  /// The bits that choose algorithms: D to H in version 1, C to H in version 0.
  var algorithms: MPCapableFlags { MPCapableFlags(rawValue: flags.rawValue & (version == 0 ? 0x3f : 0x1f)) }

  /// Flag C, which version 0 does not have.
  var forbidsSubflows: Bool { version != 0 && flags.contains(.noMoreSubflows) }

  /// Which of `versions` answers this option on a SYN: the highest that is not above the offer. nil: none does, and the
  /// answer is TCP. The layouts decide too: version 1 has no key on its SYN, so that version 0 cannot answer it, and
  /// the other way round. Of the algorithms that the initiator has, one must be ours.
  /// Requirement 8684-3.1-03
  func answer(from versions: MultipathVersions) -> MPTCPVersion? {
    // Requirement 8684-3.1-36, 8684-3.1-40, 8684-3.1-48, 6824-3.1-08
    guard !flags.contains(.extensibility), algorithms.contains(.hmac) else { return nil }
    if version == 0 {
      return versions.contains(.v0) && senderKey != nil && receiverKey == nil ? .v0 : nil
    }
    // Requirement 8684-3.1-07
    return versions.contains(.v1) && senderKey == nil ? .v1 : nil
  }
}

extension ListenerOptions {
  /// The versions that the listener answers with.
  var acceptedVersions: MultipathVersions { connection.multipath == .disabled ? [] : versions }
}
