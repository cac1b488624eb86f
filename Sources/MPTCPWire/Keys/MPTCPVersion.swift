/// The version of Multipath TCP that a connection uses.
public enum MPTCPVersion: UInt8, Hashable, Sendable, CaseIterable {
  /// RFC 6824: SHA-1.
  case v0 = 0
  /// RFC 8684: SHA-256.
  case v1 = 1
}
