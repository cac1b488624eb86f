import CLinux
import Glibc

/// Why namespaces could not be made, in words that lead to the setting, the limit or the permission.
struct NamespaceObstacle {
  /// What a namespace is of, as the kernel's limits have it.
  enum Kind: String {
    case user
    case network = "net"
    case process = "pid"
    case mount = "mnt"

    /// The kernel setting with the most that there may be.
    var limit: String { "user.max_\(rawValue)_namespaces" }
  }

  /// The `errno` value.
  var number: Int32
  /// What was asked for.
  var kinds: [Kind]
  /// Gives the value of a kernel setting; nil where there is no such setting.
  var setting: (_ name: String) -> String? = Self.kernelSetting

  /// The error for what was tried.
  func error(_ attempt: String) -> SystemError {
    SystemError(attempt, number: number, reason: reason, remedy: remedy)
  }

  /// A limit that is reached is a full disk in the system's words, and too many users in those of kernels before 4.9.
  private var reason: String? { number == ENOSPC || number == EUSERS ? "no more of them are allowed here" : nil }

  private var remedy: String {
    switch number {
    case ENOSPC, EUSERS:
      // Limits of outer user namespaces hold, too, and cannot be read from inside.
      let closed = kinds.map(\.limit).filter { setting($0) == "0" }
      return "raise sysctl " + (closed.isEmpty ? kinds.map(\.limit) : closed).joined(separator: " and ")
    case EPERM, EACCES:
      if setting("kernel.unprivileged_userns_clone") == "0" {
        return "sysctl kernel.unprivileged_userns_clone=1 allows them"
      }
      if setting("kernel.apparmor_restrict_unprivileged_userns") == "1" {
        return "sysctl kernel.apparmor_restrict_unprivileged_userns=0 allows them"
      }
      return kinds == [.network]
        ? "run as root, or inside 'unshare -rn'"
        : "a container's seccomp profile, its missing CAP_SYS_ADMIN, or a chroot may forbid them"
    case EAGAIN: return "a limit on processes is reached (ulimit -u, pids.max)"
    case EINVAL, ENOSYS: return "the kernel may have been built without them"
    default: return "a container may forbid them"
    }
  }

  private static func kernelSetting(_ name: String) -> String? {
    let opened = open("/proc/sys/" + String(name.map { $0 == "." ? "/" : $0 }), O_RDONLY | O_CLOEXEC)
    guard opened >= 0 else { return nil }
    let file = Descriptor(opened)
    var text = [UInt8](repeating: 0, count: 64)
    let count = text.withUnsafeMutableBytes { clinux_read(file.number, $0.baseAddress, $0.count) }
    guard count > 0 else { return nil }
    return String(decoding: text[..<Int(count)].prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
  }
}
