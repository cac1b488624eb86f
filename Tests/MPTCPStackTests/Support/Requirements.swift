import Glibc
import Testing

@testable import MPTCPStack

extension Trait where Self == ConditionTrait {
  /// Runs the test only where this process may make network namespaces.
  static var needsNamespaces: Self {
    .enabled(
      if: NetworkNamespace.isAdministrator,
      "this test makes network namespaces and devices: run it as root, or as 'unshare -rn swift test'")
  }

  /// Runs the test only where TUN devices can be made.
  static var needsTUN: Self {
    .enabled(
      if: NetworkNamespace.isAdministrator && access("/dev/net/tun", R_OK | W_OK) == 0,
      "this test makes TUN devices: run it as root where /dev/net/tun exists")
  }
}
