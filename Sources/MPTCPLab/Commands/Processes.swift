import CLinux
import Glibc
import MPTCPStack
import MPTCPWire

/// The first process of a namespace: it has its own children to look after, all orphans, and the signals from outside.
struct Processes {
  private var statuses: [Int32: Int32] = [:]
  /// The last signal that was to end the run.
  private(set) var signal: Int32?
  /// What the command was told by signals that did not reach it by themselves.
  private(set) var ending = Ending()

  /// A command that is told to end.
  struct Command {
    var process: Int32
    /// Whether it leads a process group. If not, it is in that of the terminal, whose signals it has by itself.
    var leadsGroup: Bool
  }

  /// How a process ended, 128 and more for a signal; nil while it runs.
  func status(of process: Int32) -> Int32? { statuses[process] }

  /// Waits for something to happen, at most for `time`.
  ///
  /// - Parameter command: who is told of signals that did not reach it by themselves.
  mutating func wait(_ time: Nanoseconds, command: Command? = nil) {
    var isForGroup = false
    let number = clinux_signal_wait(time.count, &isForGroup)
    var status: Int32 = 0
    while case let child = clinux_reap(&status), child > 0 { statuses[child] = status }
    guard number > 0, number != SIGCHLD else { return }
    signal = number
    guard let command, statuses[command.process] == nil, command.leadsGroup || !isForGroup,
      let message = ending.next(number, at: MonotonicClock.now)
    else { return }
    kill(command.leadsGroup ? -command.process : command.process, message)
  }
}

/// The lines that a process writes, as they come.
enum LineReader {
  /// Makes a descriptor whose lines go to `take`, on a thread of their own, until all who write to it are gone.
  static func descriptor(_ take: @escaping @Sendable (String) -> Void) throws -> Descriptor {
    var ends: [Int32] = [0, 0]
    try check(clinux_pipe(&ends), "make a pipe")
    let reading = Descriptor(ends[0])
    let writing = Descriptor(ends[1])
    try startThread(named: "output") {
      var rest: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 14)
      func give(_ line: some Sequence<UInt8>) { take(String(decoding: Array(line), as: UTF8.self)) }
      while true {
        let count = buffer.withUnsafeMutableBytes { clinux_read(reading.number, $0.baseAddress, $0.count) }
        guard count > 0 else { break }
        rest += buffer.prefix(count)
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
          give(rest[..<end])
          rest.removeFirst(end + 1)
        }
        // A program that writes no line ends has its output all the same.
        if rest.count > 1 << 16 {
          give(rest)
          rest = []
        }
      }
      if !rest.isEmpty { give(rest) }
    }
    return writing
  }
}
