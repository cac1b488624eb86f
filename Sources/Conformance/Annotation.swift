/// A comment that ties a place in the code, or a test, to requirements: `// Requirement 8684-3.1-04, 8684-3.1-05`.
struct Annotation: Equatable, Sendable {
  /// The requirements that it names, in its order.
  var ids: [String]
  /// From the package's root.
  var file: String
  /// The line that the comment stands above, counted from 1.
  var line: Int
  /// The comment's own line.
  var commentLine: Int
  /// What stands there.
  var subject: Subject

  enum Subject: Equatable, Sendable {
    /// In the sources: the enclosing declaration, as `Subflow.accept`.
    case code(String)
    /// In the tests: the test's title.
    case test(String)
    /// In the tests, but on nothing that runs as a test.
    case nothing
  }
}

extension Annotation {
  /// The IDs on a line, if it is an annotation. A comment that merely begins with the word is none.
  static func ids(in line: Substring) -> [String]? {
    var rest = line.drop { $0 == " " }
    guard rest.hasPrefix("//") else { return nil }
    rest = rest.drop { $0 == "/" }.drop { $0 == " " }
    for word in ["Requirements ", "Requirement "] where rest.hasPrefix(word) {
      rest = rest.dropFirst(word.count)
      guard rest.first?.isNumber == true else { return nil }
      return rest.split(separator: ",").map { part in
        String(part.drop { $0 == " " }.prefix { $0 != " " }.reversed().drop { $0 == "." }.reversed())
      }
    }
    return nil
  }
}
