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
  /// | `queue=200KB`, `queue=100p`, `queue=50ms` | room for waiting packets, in bytes, in packets, in time at the rate |
  /// | `loss=1%`, `dup=0.5%` | share of packets lost, doubled |
  /// | `reorder=1%:5ms` | share of packets held back, and for how long |
  /// | `jitter=2ms`, `jitter=2ms:reorder` | extra delay, in order or not |
  /// | `ecn=30KB` | mark when more waits |
  /// | `mtu=1280` | drop longer packets |
  /// | `down=5s`, `up=8s` | times since the start, repeatable |
  /// | `seed=42` | for all chance |
  ///
  /// Rates take `bit`, `kbit`, `mbit`, `gbit`; sizes `B`, `KB`, `MB`, `KiB`, `MiB`; times `ns`, `us`, `ms`, `s`. Case
  /// does not matter. The empty text is a perfect line.
  public init(parsing text: String) throws(LinkTextError) {
    self.init()
    var queueTime: (Nanoseconds, part: String)?
    for part in text.split(separator: ",", omittingEmptySubsequences: false) where !text.isEmpty {
      let fields = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = LinkText(fields.last ?? "", in: part)
      switch fields.count == 2 ? trimmed(fields[0]).lowercased() : "" {
      case "":
        if let rate = value.optionalRate { bitsPerSecond = rate } else { delay = try value.time("a rate or a delay") }
      case "rate": bitsPerSecond = try value.rate()
      case "delay": delay = try value.time()
      case "queue":
        switch try value.queue() {
        case .bytes(let count): queueByteCount = count
        case .packets(let count): queuePacketCount = count
        case .time(let span): queueTime = (span, String(part))
        }
      case "loss": lossRate = try value.probability()
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
      case "seed": seed = try value.integer()
      case _: throw LinkTextError(part: String(part), expected: LinkText.keys)
      }
    }
    if let (span, part) = queueTime {
      guard let bitsPerSecond else { throw LinkTextError(part: part, expected: "a rate too, or a queue in bytes") }
      let bits = Double(bitsPerSecond) * span.seconds
      queueByteCount = Int(exactly: (bits / 8).rounded()) ?? .max
    }
  }

  /// Reads a configuration as ``init(parsing:)`` does; `nil` when the text is wrong.
  public init?(_ text: String) {
    do { try self.init(parsing: text) } catch { return nil }
  }

  /// The configuration in the form that ``init(parsing:)`` reads.
  public var description: String {
    var parts: [String] = []
    if let bitsPerSecond { parts.append(LinkText.rate(bitsPerSecond)) }
    if delay != .zero { parts.append(LinkText.time(delay)) }
    if jitter != .zero { parts.append("jitter=\(LinkText.time(jitter))\(jitterReorders ? ":reorder" : "")") }
    if let queueByteCount { parts.append("queue=\(LinkText.size(queueByteCount))") }
    if let queuePacketCount { parts.append("queue=\(queuePacketCount)p") }
    if let markingByteCount { parts.append("ecn=\(LinkText.size(markingByteCount))") }
    if let maximumTransmissionUnit { parts.append("mtu=\(maximumTransmissionUnit)") }
    if lossRate != .never { parts.append("loss=\(lossRate)") }
    if duplicationRate != .never { parts.append("dup=\(duplicationRate)") }
    if reorderRate != .never { parts.append("reorder=\(reorderRate):\(LinkText.time(reorderDelay))") }
    for event in schedule {
      parts.append("\(event.change == .up ? "up" : "down")=\(LinkText.time(event.after))")
    }
    if seed != 0 { parts.append("seed=\(seed)") }
    return parts.joined(separator: ",")
  }
}
