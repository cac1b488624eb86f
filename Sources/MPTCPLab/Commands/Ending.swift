import Glibc

/// What a command is told, the more plainly the more often the lab is told to end: the signal itself, then SIGTERM, then
/// SIGKILL, which no command can ignore.
struct Ending {
  private var count = 0
  /// What it was told last; nil while it was told nothing.
  private(set) var last: (signal: Int32, at: Int64)?

  /// `timeout` and others send a signal to a process and to its group: that is one.
  private static let echoTime: Int64 = 300_000_000

  /// What to send because of a signal at a time of the monotonic clock; nil for the echo of the one before.
  mutating func next(_ signal: Int32, at now: Int64) -> Int32? {
    if let last, now - last.at < Self.echoTime { return nil }
    count += 1
    let message = count == 1 ? signal : count == 2 ? SIGTERM : SIGKILL
    last = (message, now)
    return message
  }

  /// What is waited for, and what one more signal does.
  func remark(on command: String) -> String? {
    guard let last else { return nil }
    let more = count == 1 ? "one more signal sends SIGTERM, a third SIGKILL" : "one more signal sends SIGKILL"
    return "waiting for \(command) to end after \(Self.name(of: last.signal)); \(more)"
  }

  private static func name(of signal: Int32) -> String {
    switch signal {
    case SIGHUP: "SIGHUP"
    case SIGINT: "SIGINT"
    case SIGQUIT: "SIGQUIT"
    case SIGTERM: "SIGTERM"
    case SIGKILL: "SIGKILL"
    case let number: "signal \(number)"
    }
  }
}
