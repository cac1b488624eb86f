import DequeModule

/// What a ``ReassemblyQueue`` holds: the bytes of one stream that arrived ahead of a gap, by stream offset.
///
/// Two sorted lists describe the same bytes: `runs`, the maximal contiguous ranges (what SACK reports, and where the
/// gaps are), and `segments`, the slices that hold the bytes. Segments never overlap: of bytes that arrive twice, the
/// copy that came first stays. A new slice is kept by reference if it fills at least a quarter of its chunk; otherwise
/// its bytes are copied into compact chunks of the queue's own, so that a small segment cannot pin a large chunk.
/// Nothing here bounds the queue: whoever owns it looks at ``pieceCount`` and ``byteCount`` before it inserts.
struct ReassemblyRuns {
  struct Segment {
    var start: Int
    var slice: ByteSlice
    /// Which of the compact chunks holds the bytes; nil-like for slices that are kept by reference.
    var ticket: Int32

    var end: Int { start + slice.count }
  }

  private static let keptSegmentCount: Int32 = 4

  private var runs: Deque<Range<Int>> = []
  private var segments: Deque<Segment> = []
  private var compact = CompactChunks()
  private var recent = RecentPositions()
  private var largestSegmentCount: Int32 = 0
  private var referencedByteCount = 0

  /// How many payload bytes the queue holds.
  private(set) var byteCount = 0

  init() {}

  /// Whether there are no bytes.
  var isEmpty: Bool { runs.isEmpty }

  /// How many contiguous ranges there are.
  var intervalCount: Int { runs.count }

  /// How many slices hold the bytes, at least as many as there are ranges: octets that come one by one from the back
  /// are as many slices in a single range.
  var pieceCount: Int { segments.count }

  /// The memory that the queue keeps from being freed: whole chunks, and what each segment costs in bookkeeping.
  var memoryByteCount: Int {
    referencedByteCount + compact.memoryByteCount
      + segments.count * MemoryLayout<Segment>.stride + runs.count * MemoryLayout<Range<Int>>.stride
  }

  /// The lowest contiguous range.
  var first: Range<Int>? { runs.first }

  /// Where the highest contiguous range ends.
  var end: Int? { runs.last?.upperBound }

  /// The first part of `range` that is in the queue.
  func firstOverlap(with range: Range<Int>) -> Range<Int>? {
    guard !range.isEmpty, let last = runs.last, range.lowerBound < last.upperBound else { return nil }
    let run = firstRun(endingAfter: range.lowerBound)
    guard run < runs.count, runs[run].lowerBound < range.upperBound else { return nil }
    return runs[run].clamped(to: range)
  }

  /// The contiguous ranges that segments arrived in most recently, latest first, each once (RFC 2018 §4).
  func recentRanges() -> RecentRanges {
    var result = RecentRanges()
    for index in 0..<recent.count {
      let position = recent[index]
      let run = firstRun(endingAfter: position)
      if run < runs.count, runs[run].contains(position) { result.append(runs[run]) }
    }
    return result
  }

  /// Puts `slice` at stream offset `offset`, and returns how many of its bytes were new.
  /// Requirement 8684-3.3.1-05
  mutating func insert(at offset: Int, _ slice: ByteSlice) -> Int {
    let (end, overflow) = offset.addingReportingOverflow(slice.count)
    guard !slice.isEmpty, !overflow else { return 0 }

    if let last = runs.last, offset > last.upperBound {
      runs.append(offset..<end)
      recent.note(offset, in: offset..<end)
      store(slice, at: offset, before: segments.count)
      return slice.count
    }

    let firstTouched = firstRun(endingAtOrAfter: offset)
    var merged = offset..<end
    var cursor = offset
    var index = firstTouched
    var newByteCount = 0
    // What lies in the gaps before and between the runs that the slice touches is new.
    while index < runs.count, runs[index].lowerBound <= end {
      let run = runs[index]
      if run.lowerBound > cursor {
        newByteCount += fill(cursor..<run.lowerBound, from: slice, at: offset)
      }
      cursor = max(cursor, run.upperBound)
      merged = min(merged.lowerBound, run.lowerBound)..<max(merged.upperBound, run.upperBound)
      index += 1
    }
    if cursor < end { newByteCount += fill(cursor..<end, from: slice, at: offset) }

    if index == firstTouched {
      runs.insert(merged, at: index)
    } else {
      runs[firstTouched] = merged
      if index - firstTouched > 1 { runs.removeSubrange(firstTouched + 1..<index) }
    }
    recent.note(offset, in: merged)
    return newByteCount
  }

  /// Removes and returns the bytes that start at `offset`, as far as one slice holds them. Bytes below `offset` go too.
  ///
  /// Call it until it returns nil: a contiguous range is as many slices as it arrived in.
  mutating func pop(at offset: Int) -> ByteSlice? {
    guard let lowest = runs.first, lowest.lowerBound <= offset else { return nil }
    if lowest.lowerBound < offset { trim(below: offset) }
    guard let run = runs.first, run.lowerBound == offset else { return nil }
    return removeFirstSegment(of: run)
  }

  /// Forgets everything below `offset`.
  mutating func trim(below offset: Int) {
    while let run = runs.first, run.lowerBound < offset, let segment = segments.first {
      if segment.end <= offset {
        _ = removeFirstSegment(of: run)
      } else {
        // The segment keeps its chunk, whatever part of it is left.
        let dropped = offset - segment.start
        segments[0].slice = segment.slice.dropFirst(dropped)
        segments[0].start = offset
        runs[0] = offset..<run.upperBound
        byteCount -= dropped
      }
    }
  }

  /// Forgets everything.
  mutating func removeAll() { self = ReassemblyRuns() }

  // MARK: Parts

  private mutating func removeFirstSegment(of run: Range<Int>) -> ByteSlice? {
    guard let segment = segments.popFirst() else { return nil }
    byteCount -= segment.slice.count
    let end = segment.end
    if end < run.upperBound { runs[0] = end..<run.upperBound } else { runs.removeFirst() }
    if segment.ticket == CompactChunks.notCompact {
      referencedByteCount -= segment.slice.chunk.capacity
    } else {
      compact.release(segment.ticket)
    }
    if segments.isEmpty {
      // An empty queue gives its memory back, unless that is little: then a path that swaps neighbours now and then
      // does not allocate each time.
      if largestSegmentCount > Self.keptSegmentCount { removeAll() }
    }
    return segment.slice
  }

  private mutating func fill(_ gap: Range<Int>, from slice: ByteSlice, at offset: Int) -> Int {
    let piece = slice.dropFirst(gap.lowerBound - offset).prefix(gap.count)
    store(piece, at: gap.lowerBound, before: firstSegment(startingAtOrAfter: gap.lowerBound))
    return gap.count
  }

  private mutating func store(_ piece: ByteSlice, at start: Int, before index: Int) {
    byteCount += piece.count
    if piece.count >= piece.chunk.capacity / 4 {
      referencedByteCount += piece.chunk.capacity
      segments.insert(Segment(start: start, slice: piece, ticket: CompactChunks.notCompact), at: index)
      noteSegmentCount()
      return
    }
    if index > 0, segments[index - 1].end == start,
      let extended = compact.extend(segments[index - 1].slice, ticket: segments[index - 1].ticket, with: piece)
    {
      segments[index - 1].slice = extended
      return
    }
    let (copy, ticket) = compact.copy(piece, queuedByteCount: byteCount)
    segments.insert(Segment(start: start, slice: copy, ticket: ticket), at: index)
    noteSegmentCount()
  }

  private mutating func noteSegmentCount() {
    largestSegmentCount = max(largestSegmentCount, Int32(truncatingIfNeeded: segments.count))
  }

  private func firstRun(endingAtOrAfter offset: Int) -> Int {
    // Most arrivals are near the end.
    if let last = runs.last, last.lowerBound <= offset {
      return last.upperBound >= offset ? runs.count - 1 : runs.count
    }
    return partition(runs.count) { runs[$0].upperBound >= offset }
  }

  private func firstRun(endingAfter offset: Int) -> Int { partition(runs.count) { runs[$0].upperBound > offset } }

  private func firstSegment(startingAtOrAfter offset: Int) -> Int {
    guard let last = segments.last, last.start >= offset else { return segments.count }
    return partition(segments.count) { segments[$0].start >= offset }
  }
}

/// The first index in `0 ..< count` from which on `predicate` holds; `count` if it holds nowhere.
@inline(__always)
private func partition(_ count: Int, where predicate: (Int) -> Bool) -> Int {
  var low = 0
  var high = count
  while low < high {
    let middle = (low + high) / 2
    if predicate(middle) { high = middle } else { low = middle + 1 }
  }
  return low
}
