extension LabReport.Direction {
  /// Drops for people: `4 % lost: queueFull 12, randomLoss 3`.
  package var dropWords: String {
    let words: [(String, String)] = [
      ("queueFull", "queue full"), ("randomLoss", "chance"), ("linkDown", "link down"), ("tooLarge", "too large"),
    ]
    let known = words.compactMap { cause, words in drops[cause].map { "\(words) \($0)" } }
    let others = drops.filter { drop in !words.contains { $0.0 == drop.key } }.sorted { $0.key < $1.key }
      .map { "\($0.key) \($0.value)" }
    let lost = lostBeforeLinkCount.map { $0 > 0 ? ["machine too slow \($0)"] : [] } ?? ["machine's losses unknown"]
    let machine =
      lost + (refusedFrameCount > 0 ? ["refused by \(to) \(refusedFrameCount)"] : [])
    let all = known + others + machine
    return all.isEmpty ? "–" : all.joined(separator: ", ")
  }
}
