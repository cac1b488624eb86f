import MPTCPWire

/// Why a text is not a link configuration: which part of it, and what was expected there.
public struct LinkTextError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The part between two commas that is wrong.
  public let part: String
  /// What should stand there.
  public let expected: String

  /// One line that names the part and the way out.
  public var description: String { "'\(part)': expected \(expected)" }
}

extension LinkConfiguration: LosslessStringConvertible {
  /// Reads a configuration from one line, for command lines and scenarios.
  ///
  /// Parts are separated by commas, in any order: a rate (`40mbit`), a delay (`20ms`), and
  ///
  /// | part | meaning |
  /// |---|---|
  /// | `queue=200KB`, `queue=50ms`, `queue=100p` | room for what waits: bytes or time at the rate; packets beside it |
  /// | `discipline=codel`, `discipline=codel:5ms:100ms:ecn` | how the queue drops (``QueueDiscipline``) |
  /// | `loss=1%`, `dup=0.5%` | share of packets lost, doubled |
  /// | `burst=1%:25%` | loss in bursts (``BurstLoss``) |
  /// | `corrupt=0.1%` | share of packets damaged |
  /// | `reorder=1%:5ms` | share of packets held back, and for how long |
  /// | `jitter=2ms`, `jitter=2ms:reorder` | extra delay, in order or not |
  /// | `ecn=30KB` | mark when more waits |
  /// | `mtu=1280` | drop longer packets |
  /// | `down=5s`, `up=8s` | times since the start, repeatable |
  /// | `change=3s rate 2mbit` | a change at a time since the start: of `rate`, `delay`, `loss` or `mtu`; repeatable |
  /// | `seed=42` | for all chance |
  ///
  /// Rates take `bit`, `kbit`, `mbit`, `gbit`, with `/s` or without; sizes `B`, `KB`, `MB`, `KiB`, `MiB`; times `ns`,
  /// `us`, `ms`, `s`. Case does not matter. The empty text is a perfect line.
  public init(parsing text: String) throws(LinkTextError) {
    var parts: [(key: String, value: String)] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) where !text.isEmpty {
      let fields = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if fields.count == 2 {
        let key = trimmed(fields[0])
        guard !key.isEmpty else { throw LinkTextError(part: String(part), expected: LinkText.keys) }
        parts.append((key, String(fields[1])))
      } else {
        parts.append(("", String(part)))
      }
    }
    try self.init(parts: parts)
  }

  /// Reads keys and values; a value without a key is a rate or a delay.
  init(parts: [(key: String, value: String)]) throws(LinkTextError) {
    self.init()
    var queueTime: (Nanoseconds, part: String)?
    for (key, text) in parts {
      let part = key.isEmpty ? text : "\(key)=\(text)"
      let value = LinkText(text[...], in: part[...])
      switch key.lowercased() {
      case "":
        if value.isRate { bitsPerSecond = try value.rate() } else { delay = try value.time("a rate or a delay") }
      case "queue":
        // In an object both limits stand in one string.
        for limit in value.text.split(separator: ",", omittingEmptySubsequences: false) {
          switch try value.part(trimmed(limit)).queue() {
          case .bytes(let count): (queueByteCount, queueTime) = (count, nil)
          case .packets(let count): queuePacketCount = count
          case .time(let span): (queueByteCount, queueTime) = (nil, (span, part))
          }
        }
      case let key: try set(key, value, part)
      }
    }
    if let (span, part) = queueTime {
      guard let bitsPerSecond else { throw LinkTextError(part: part, expected: "a rate too, or a queue in bytes") }
      let bits = Double(bitsPerSecond) * span.seconds
      queueByteCount = Int(exactly: (bits / 8).rounded()) ?? .max
    }
  }

  private mutating func set(_ key: String, _ value: LinkText, _ part: String) throws(LinkTextError) {
    switch key {
    case "rate": bitsPerSecond = try value.rate()
    case "delay": delay = try value.time()
    case "discipline": queueDiscipline = try value.discipline()
    case "loss": lossRate = try value.probability()
    case "burst": burstLoss = try value.burstLoss()
    case "corrupt": corruptionRate = try value.probability()
    case "dup": duplicationRate = try value.probability()
    case "reorder":
      let (rate, held) = try value.pair("a share and a time such as 1%:5ms")
      (reorderRate, reorderDelay) = (try rate.probability(), try held.time())
    case "jitter":
      jitterReorders = value.text.hasSuffix(":reorder")
      jitter = try (jitterReorders ? value.dropLast(":reorder".count) : value).time()
    case "ecn": markingByteCount = try value.size()
    case "mtu": maximumTransmissionUnit = try value.packetSize()
    case "down": schedule.append(LinkEvent(after: try value.time(), .down))
    case "up": schedule.append(LinkEvent(after: try value.time(), .up))
    case "change": schedule.append(try value.event())
    case "seed": seed = try value.integer()
    case _: throw LinkTextError(part: part, expected: LinkText.keys)
    }
  }

  /// Reads a configuration as ``init(parsing:)`` does; `nil` when the text is wrong.
  public init?(_ text: String) {
    do { try self.init(parsing: text) } catch { return nil }
  }

  /// The configuration in the form that ``init(parsing:)`` reads.
  public var description: String {
    var texts: [String] = []
    for (key, value) in parts {
      switch key {
      case "rate", "delay": texts.append(value)
      // Here a comma ends a part, so that each limit is one.
      case "queue": texts += value.split(separator: ",").map { "queue=\(trimmed($0))" }
      case _: texts.append("\(key)=\(value)")
      }
    }
    return texts.joined(separator: ",")
  }

  /// What differs from a perfect line, as keys and values that ``init(parts:)`` reads.
  var parts: [(key: String, value: String)] {
    var parts: [(key: String, value: String)] = []
    if let bitsPerSecond { parts.append(("rate", LinkText.rate(bitsPerSecond))) }
    if delay != .zero { parts.append(("delay", LinkText.time(delay))) }
    if jitter != .zero { parts.append(("jitter", "\(LinkText.time(jitter))\(jitterReorders ? ":reorder" : "")")) }
    let limits = [queueByteCount.map(LinkText.size), queuePacketCount.map { "\($0)p" }].compactMap { $0 }
    if !limits.isEmpty { parts.append(("queue", limits.joined(separator: ", "))) }
    if queueDiscipline != .tailDrop { parts.append(("discipline", "\(queueDiscipline)")) }
    if let markingByteCount { parts.append(("ecn", LinkText.size(markingByteCount))) }
    if let maximumTransmissionUnit { parts.append(("mtu", "\(maximumTransmissionUnit)")) }
    if lossRate != .never { parts.append(("loss", "\(lossRate)")) }
    if let burstLoss { parts.append(("burst", "\(burstLoss)")) }
    if corruptionRate != .never { parts.append(("corrupt", "\(corruptionRate)")) }
    if duplicationRate != .never { parts.append(("dup", "\(duplicationRate)")) }
    if reorderRate != .never { parts.append(("reorder", "\(reorderRate):\(LinkText.time(reorderDelay))")) }
    for event in schedule {
      switch event.change {
      case .up: parts.append(("up", LinkText.time(event.after)))
      case .down: parts.append(("down", LinkText.time(event.after)))
      case .rate, .delay, .loss, .maximumTransmissionUnit: parts.append(("change", LinkText.change(event)))
      }
    }
    if seed != 0 { parts.append(("seed", "\(seed)")) }
    return parts
  }
}
