import MPTCPWire

/// How CoDel is set (RFC 8289 §4.2, §4.3).
public struct ControlledDelayConfiguration: Hashable, Sendable {
  /// How long a packet may wait for good.
  public var target: Nanoseconds
  /// How long waiting packets are watched before the first drop: the longest usual round trip.
  public var interval: Nanoseconds
  /// Whether packets of senders that take part in ECN are marked, not dropped (RFC 3168 §5).
  public var marks: Bool

  /// Makes a configuration; the values of RFC 8289 §5.3 unless others are given.
  public init(target: Nanoseconds = .milliseconds(5), interval: Nanoseconds = .milliseconds(100), marks: Bool = false) {
    self.target = target
    self.interval = interval
    self.marks = marks
  }
}

/// Which packets of a queue are dropped. Its limits (``LinkConfiguration/queueByteCount``,
/// ``LinkConfiguration/queuePacketCount``) hold with each.
///
/// As text: `taildrop`, `codel`, `codel:5ms:100ms`, and with `:ecn` at the end of the latter two.
public enum QueueDiscipline: Hashable, Sendable {
  /// Those that find no room.
  case tailDrop
  /// Also those at the head when packets have waited for too long (RFC 8289).
  case controlledDelay(ControlledDelayConfiguration)
}

extension QueueDiscipline: LosslessStringConvertible {
  /// Reads a discipline from its text.
  public init?(_ text: String) {
    guard let discipline = try? LinkText(text[...], in: text[...]).discipline() else { return nil }
    self = discipline
  }

  /// The discipline's text.
  public var description: String {
    switch self {
    case .tailDrop: return "taildrop"
    case .controlledDelay(let configuration):
      let ending = configuration.marks ? ":ecn" : ""
      guard configuration.target != .milliseconds(5) || configuration.interval != .milliseconds(100) else {
        return "codel\(ending)"
      }
      return "codel:\(LinkText.time(configuration.target)):\(LinkText.time(configuration.interval))\(ending)"
    }
  }
}

extension LinkText {
  func discipline() throws(LinkTextError) -> QueueDiscipline {
    var words = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    if words == ["taildrop"] { return .tailDrop }
    var configuration = ControlledDelayConfiguration()
    if words.count > 1, words.last == "ecn" {
      words.removeLast()
      configuration.marks = true
    }
    let problem = error("taildrop, codel, codel:ecn, codel:5ms:100ms or codel:5ms:100ms:ecn")
    guard words.first == "codel", words.count == 1 || words.count == 3 else { throw problem }
    if words.count == 3 {
      configuration.target = try part(words[1]).time()
      configuration.interval = try part(words[2]).time()
      guard configuration.interval > .zero else { throw problem }
    }
    return .controlledDelay(configuration)
  }
}
