/// The requirements of one document, section by section, as `docs/requirements/rfcNNNN.txt` lists them.
///
/// The text is made for people to read and to compare:
///
/// ```
/// RFC 8684
/// TCP Extensions for Multipath Operation with Multiple Addresses
///
/// # 3.1 Connection Initiation
///
/// 8684-3.1-04 MUST §3.1
/// The version in the answer is no higher than the one that was offered.
///
/// 8684-3.1-05 MAY §3.1
/// Falling back to TCP at once when the answer has no MP_CAPABLE.
/// reason: why no test proves it
/// ```
///
/// A word after the section is the document's own number for the rule. `departs: ` in place of a reason tells what is
/// done instead of the rule, and why; `same: ID` there names the requirement that this one repeats. `code: ` says,
/// before them, how a rule is obeyed where no one place does it.
struct Catalogue: Equatable, Sendable {
  struct Section: Equatable, Sendable {
    var number: String
    var title: String
    var requirements: [Requirement]
  }

  var document: Int
  var title: String
  var sections: [Section]

  /// In the document's order.
  var requirements: [Requirement] { sections.flatMap(\.requirements) }
}

extension Catalogue {
  /// Reads a catalogue. What cannot be read is left out and told in `problems`, with the line.
  init(parsing text: String, from file: String, problems: inout [String]) {
    var parser = CatalogueParser(file: file)
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) { parser.take(String(line)) }
    self = parser.finish()
    problems += parser.problems
  }

  /// The order in which documents are told: Multipath TCP first, then TCP by number.
  static func precedes(_ one: Catalogue, _ other: Catalogue) -> Bool {
    let first = [8684, 6824, 6356]
    let places = [one, other].map { first.firstIndex(of: $0.document) ?? first.count }
    return places[0] == places[1] ? one.document < other.document : places[0] < places[1]
  }
}
