import Glibc
import Testing

@testable import MPTCPStack

@Suite("What keeps namespaces from being made")
struct NamespaceObstacleTests {
  private static let cases: [(number: Int32, settings: [String: String], words: String)] = [
    (
      ENOSPC, ["user.max_net_namespaces": "0"], "no more of them are allowed here; raise sysctl user.max_net_namespaces"
    ),
    (
      EUSERS, ["user.max_user_namespaces": "0", "user.max_net_namespaces": "0"],
      "no more of them are allowed here; raise sysctl user.max_user_namespaces and user.max_net_namespaces"
    ),
    // The limit that is reached may be an outer namespace's.
    (
      ENOSPC, ["user.max_user_namespaces": "100"],
      "no more of them are allowed here; raise sysctl user.max_user_namespaces and user.max_net_namespaces"
    ),
    (
      EPERM, ["kernel.unprivileged_userns_clone": "0"],
      "Operation not permitted; sysctl kernel.unprivileged_userns_clone=1 allows them"
    ),
    (
      EACCES, ["kernel.apparmor_restrict_unprivileged_userns": "1"],
      "Permission denied; sysctl kernel.apparmor_restrict_unprivileged_userns=0 allows them"
    ),
    (
      EPERM, ["kernel.unprivileged_userns_clone": "1"],
      "Operation not permitted; a container's seccomp profile, its missing CAP_SYS_ADMIN, or a chroot may forbid them"
    ),
    (EAGAIN, [:], "Resource temporarily unavailable; a limit on processes is reached (ulimit -u, pids.max)"),
    (EINVAL, [:], "Invalid argument; the kernel may have been built without them"),
  ]

  @Test("It is named with the way out", arguments: cases.indices)
  func obstacles(index: Int) {
    let (number, settings, words) = Self.cases[index]
    let obstacle = NamespaceObstacle(number: number, kinds: [.user, .network]) { settings[$0] }
    #expect("\(obstacle.error("enter a namespace"))" == "cannot enter a namespace: " + words)
    #expect(obstacle.error("enter a namespace").isPermission == [EPERM, EACCES].contains(number))
  }

  @Test("A limit of this machine's kernel is read")
  func kernelSetting() {
    let obstacle = NamespaceObstacle(number: ENOSPC, kinds: [.user])
    #expect(obstacle.setting("user.max_user_namespaces").flatMap { Int($0) } != nil)
    #expect(obstacle.setting("user.no_such_setting") == nil)
  }
}
