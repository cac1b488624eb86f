/// One rule of a specification, in our own words.
struct Requirement: Equatable, Sendable {
  /// How strongly the document asks (RFC 2119, RFC 8174).
  enum Level: String, CaseIterable, Sendable {
    case must = "MUST"
    case mustNot = "MUST NOT"
    case should = "SHOULD"
    case shouldNot = "SHOULD NOT"
    case recommended = "RECOMMENDED"
    case may = "MAY"
    /// A sentence that prescribes behaviour or a layout without a capitalised word.
    case rule = "RULE"
  }

  /// Document, section and number within the section: `8684-3.3.1-04`. It never changes, so that annotations hold.
  var id: String
  var level: Level
  /// The section's number, as the document has it: `3.3.1`, `B.2`.
  var section: String
  /// The document's own number for the rule (RFC 9293: `MUST-34`), if it has one.
  var label: String?
  var text: String
  /// Why no test proves it, as it does not apply or is left to the application; beside tests, a remark on them.
  var reason: String?
  /// What is done instead of the rule, and why. Code and tests, which a departure must have, are those of the deed.
  var departure: String?
  /// How it is obeyed, where that is no one place in the code.
  var means: String?
  /// The requirement that says the same elsewhere, and whose code and tests are also this one's.
  var restates: String?
}
