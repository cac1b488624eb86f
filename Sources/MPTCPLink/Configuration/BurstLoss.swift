/// Loss in bursts, by the model of Gilbert and Elliott: the line is in one of two states, and each packet may change
/// it, but for those that ``LinkConfiguration/lossRate`` has taken.
///
/// A burst lasts for 1 / ``leaves`` packets on average, and the line is in one for a share of
/// ``enters`` / (``enters`` + ``leaves``) of all packets. With the usual loss rates, all and nothing, bursts are the
/// loss periods of RFC 3357 §4.
///
/// As text: `1%:25%` for entering and leaving, and then, if need be, the loss within and outside of bursts:
/// `1%:25%:80%:0.1%`.
public struct BurstLoss: Hashable, Sendable {
  /// The share of packets outside of bursts with which one begins.
  public var enters: Probability
  /// The share of packets in bursts with which one ends.
  public var leaves: Probability
  /// The share of packets that get lost in a burst.
  public var lossInside: Probability
  /// The share of packets that get lost outside of bursts.
  public var lossOutside: Probability

  /// Makes a model; with no more than its first two values every packet of a burst is lost, and no other.
  public init(
    enters: Probability, leaves: Probability, lossInside: Probability = .always, lossOutside: Probability = .never
  ) {
    self.enters = enters
    self.leaves = leaves
    self.lossInside = lossInside
    self.lossOutside = lossOutside
  }
}

extension BurstLoss: LosslessStringConvertible {
  /// Reads a model from its text.
  public init?(_ text: String) {
    guard let loss = try? LinkText(text[...], in: text[...]).burstLoss() else { return nil }
    self = loss
  }

  /// The model's text.
  public var description: String {
    var text = "\(enters):\(leaves)"
    if lossInside != .always || lossOutside != .never { text += ":\(lossInside)" }
    if lossOutside != .never { text += ":\(lossOutside)" }
    return text
  }
}

extension LinkText {
  func burstLoss() throws(LinkTextError) -> BurstLoss {
    let words = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (2...4).contains(words.count) else {
      throw error("shares of packets that begin and end a burst such as 1%:25%, and the loss in it and outside of it")
    }
    var loss = BurstLoss(enters: try part(words[0]).probability(), leaves: try part(words[1]).probability())
    if words.count > 2 { loss.lossInside = try part(words[2]).probability() }
    if words.count > 3 { loss.lossOutside = try part(words[3]).probability() }
    return loss
  }
}
