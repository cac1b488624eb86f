import MPTCPWire

// What the peer reports behind holes (RFC 2018, RFC 2883), in the list of what was sent.
extension Subflow {
  /// Blocks outside of what is outstanding are ignored, or tell of a repetition where they lie before it.
  /// Requirement 2018-5-02
  func processSack(
    _ blocks: SACKBlocks, acknowledgment: Int, _ delivery: inout Delivery, now: Instant
  ) {
    for index in 0..<blocks.count {
      let block = blocks[index]
      let left = sendOffset(block.left)
      let right = sendOffset(block.right)
      guard left < right, right <= sendNext else { continue }
      // Requirement 2883-4-03
      if left < acknowledgment || (index == 0 && isInsideNext(block, of: blocks)) {
        noteDuplicateReport(now: now)
        continue
      }
      markSacked(left..<right, &delivery)
    }
  }

  /// A first block inside the second reports a duplicate (RFC 2883 §4.1.3).
  /// Requirement 2883-4-03
  private func isInsideNext(_ block: SACKBlock, of blocks: SACKBlocks) -> Bool {
    guard blocks.count > 1 else { return false }
    let next = blocks[1]
    return block.left - next.left >= 0 && next.right - block.right >= 0
  }

  private func markSacked(_ range: Range<Int>, _ delivery: inout Delivery) {
    var index = firstSegment(endingAfter: range.lowerBound)
    var first = Int.max
    while index < sentSegments.count, sentSegments[index].start < range.upperBound {
      if sentSegments[index].isSacked || cutsCrumb(range, of: sentSegments[index]) {
        index += 1
        continue
      }
      index = splitting(at: range.lowerBound, index: index)
      if sentSegments[index].end > range.upperBound { _ = splitting(at: range.upperBound, index: index) }
      let segment = sentSegments[index]
      guard segment.start >= range.lowerBound, segment.end <= range.upperBound else { break }
      forget(segment)
      sentSegments[index].isSacked = true
      sentSegments[index].isLost = false
      sackedByteCount += segment.count
      note(segment, &delivery)
      first = min(first, index)
      index += 1
    }
    if first < index { joinSacked(from: first, to: min(index, sentSegments.count)) }
  }

  /// Whether an edge of `range` would cut a few octets off the front of `segment`.
  private func cutsCrumb(_ range: Range<Int>, of segment: SentSegment) -> Bool {
    if segment.start < range.lowerBound, range.lowerBound - segment.start < Limits.sackedPiece { return true }
    return range.upperBound < segment.end
      && range.upperBound - max(segment.start, range.lowerBound) < Limits.sackedPiece
  }

  /// Makes one entry of neighbours that the peer has: a list of thousands behind one hole is not walked again with each
  /// acknowledgement.
  private func joinSacked(from lower: Int, to upper: Int) {
    var last = max(lower - 1, 0)
    let end = min(upper + 1, sentSegments.count)
    let mss = fullestSentPayloadByteCount
    for index in (last + 1)..<max(end, last + 1) {
      let next = sentSegments[index]
      let known = sentSegments[last]
      if known.isSacked, next.isSacked, !known.isFin, !next.isFin {
        sentSegments[last].end = next.end
        sentSegments[last].sentAt = max(known.sentAt, next.sentAt)
        sentSegments[last].isRetransmitted = known.isRetransmitted || next.isRetransmitted
        sentSegments[last].mergedCount = Int32(clamping: known.segmentCount(mss) + next.segmentCount(mss))
      } else {
        last += 1
        if last < index { sentSegments[last] = next }
      }
    }
    if last + 1 < end { sentSegments.removeSubrange((last + 1)..<end) }
  }

  /// Cuts the segment at `index` at `offset`, where it covers it, and gives the index of the part that begins there.
  /// A peer that reports crumbs cannot make the list longer than ``Limits/sentSegments``.
  private func splitting(at offset: Int, index: Int) -> Int {
    let segment = sentSegments[index]
    guard segment.start < offset, offset < segment.end, sentSegments.count < Limits.sentSegments * 2 else {
      return index
    }
    sentSegments[index].end = offset
    var rest = segment
    rest.start = offset
    sentSegments.insert(rest, at: index + 1)
    return index + 1
  }

  /// The index of the first segment that ends after `offset`.
  func firstSegment(endingAfter offset: Int) -> Int {
    var low = 0
    var high = sentSegments.count
    while low < high {
      let middle = (low + high) / 2
      if sentSegments[middle].end <= offset { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
