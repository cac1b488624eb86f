/// The bytes of one stream that arrived ahead of a gap, by stream offset: ``ReassemblyRuns``, which come to be with the
/// first of them. On most paths nothing ever arrives ahead of anything, and a connection that says little keeps a word
/// here.
struct ReassemblyQueue {
  private final class Content {
    var runs: ReassemblyRuns

    init(_ runs: ReassemblyRuns) { self.runs = runs }
  }

  private var content: Content?

  init() {}

  /// How many payload bytes the queue holds.
  var byteCount: Int { content?.runs.byteCount ?? 0 }

  /// Whether there are no bytes.
  var isEmpty: Bool { content?.runs.isEmpty ?? true }

  /// How many contiguous ranges there are.
  var intervalCount: Int { content?.runs.intervalCount ?? 0 }

  /// How many slices hold the bytes, at least as many as there are ranges: octets that come one by one from the back
  /// are as many slices in a single range.
  var pieceCount: Int { content?.runs.pieceCount ?? 0 }

  /// The memory that the queue keeps from being freed: whole chunks, and what each segment costs in bookkeeping.
  var memoryByteCount: Int { content?.runs.memoryByteCount ?? 0 }

  /// The lowest contiguous range.
  var first: Range<Int>? { content?.runs.first }

  /// Where the highest contiguous range ends.
  var end: Int? { content?.runs.end }

  /// The first part of `range` that is in the queue.
  func firstOverlap(with range: Range<Int>) -> Range<Int>? { content?.runs.firstOverlap(with: range) }

  /// The contiguous ranges that segments arrived in most recently, latest first, each once (RFC 2018 §4).
  func recentRanges() -> RecentRanges { content?.runs.recentRanges() ?? RecentRanges() }

  /// Puts `slice` at stream offset `offset`, and returns how many of its bytes were new.
  mutating func insert(at offset: Int, _ slice: ByteSlice) -> Int {
    if content == nil { content = Content(ReassemblyRuns()) }
    return own()?.runs.insert(at: offset, slice) ?? 0
  }

  /// Removes and returns the bytes that start at `offset`, as far as one slice holds them. Bytes below `offset` go too.
  ///
  /// Call it until it returns nil: a contiguous range is as many slices as it arrived in.
  mutating func pop(at offset: Int) -> ByteSlice? { own()?.runs.pop(at: offset) }

  /// Forgets everything below `offset`.
  mutating func trim(below offset: Int) { own()?.runs.trim(below: offset) }

  /// Forgets everything.
  mutating func removeAll() { content = nil }

  /// What is about to be changed: a copy's content is its own from then on.
  private mutating func own() -> Content? {
    guard !isKnownUniquelyReferenced(&content), let shared = content else { return content }
    content = Content(shared.runs)
    return content
  }
}
