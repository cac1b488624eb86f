/// A Swift file in the project's style, in which two spaces of indentation are one level of nesting: that is enough to
/// tell what encloses a line without parsing the language.
struct SourceText {
  let file: String
  private let lines: [Substring]

  init(_ text: String, file: String) {
    self.file = file
    lines = text.split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// Every annotation, from the top. In a file of tests each must belong to a test.
  func annotations(inTests: Bool) -> [Annotation] {
    lines.indices.compactMap { index in
      guard let ids = Annotation.ids(in: lines[index]) else { return nil }
      let subject = subject(below: index)
      return Annotation(
        ids: ids, file: file, line: subject + 1, commentLine: index + 1,
        subject: inTests ? test(around: subject).map { .test($0) } ?? .nothing : .code(declaration(around: subject)))
    }
  }

  /// The line that a comment stands above: the next that is neither comment nor blank.
  private func subject(below comment: Int) -> Int {
    lines.indices.dropFirst(comment + 1).first { !isComment($0) && !trimmed($0).isEmpty } ?? comment
  }

  private func trimmed(_ index: Int) -> Substring { lines[index].drop { $0 == " " } }

  private func indentation(_ index: Int) -> Int { lines[index].prefix { $0 == " " }.count }

  private func isComment(_ index: Int) -> Bool { trimmed(index).hasPrefix("//") }

  // MARK: Declarations

  private struct Declaration {
    var name: String
    var isType: Bool
  }

  private static let types: Set<Substring> = ["struct", "enum", "class", "actor", "extension", "protocol"]
  private static let members: Set<Substring> = [
    "func", "init", "var", "let", "subscript", "case", "typealias", "deinit",
  ]
  private static let modifiers: Set<Substring> = [
    "public", "package", "internal", "private", "fileprivate", "static", "final", "mutating", "nonmutating", "override",
    "borrowing", "consuming", "indirect", "open", "lazy", "convenience", "required", "private(set)", "package(set)",
    "public(set)", "nonisolated", "isolated", "async", "weak", "unowned", "inout",
  ]

  /// The declaration that begins on a line.
  private func declaration(at index: Int) -> Declaration? {
    var words = trimmed(index).split(separator: " ")[...]
    while let word = words.first, Self.modifiers.contains(word) || word.hasPrefix("@") { words = words.dropFirst() }
    guard let word = words.first else { return nil }
    let keyword = word.prefix { $0.isLetter }
    if Self.types.contains(keyword), keyword == word, let next = words.dropFirst().first {
      return Declaration(name: Self.name(next), isType: true)
    }
    guard Self.members.contains(keyword) else { return nil }
    if keyword == "init" || keyword == "subscript" || keyword == "deinit" {
      return Declaration(name: String(keyword), isType: false)
    }
    guard keyword == word, let next = words.dropFirst().first else { return nil }
    // A case of a switch begins with a pattern.
    if keyword == "case", next.first?.isLetter != true || trimmed(index).hasSuffix(":") { return nil }
    return Declaration(name: Self.name(next), isType: false)
  }

  private static func name(_ word: Substring) -> String {
    String(word.prefix { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "." })
  }

  /// The names of what encloses a line, the outermost first, and of the line itself where it declares a member of a
  /// type.
  private func declaration(around index: Int) -> String {
    var names: [Declaration] = []
    var depth = indentation(index)
    if let own = declaration(at: declarationLine(from: index)) { names = [own] }
    for line in lines.indices.prefix(index).reversed() where !trimmed(line).isEmpty && !isComment(line) {
      guard indentation(line) < depth, !trimmed(line).hasPrefix(")"), !trimmed(line).hasPrefix("}") else { continue }
      depth = indentation(line)
      guard let found = declaration(at: line) else { continue }
      // What a function declares inside is no place that a reader would look for.
      if !found.isType { names.removeAll() }
      names.insert(found, at: 0)
    }
    let place = names.map(\.name).joined(separator: ".")
    return place.isEmpty ? "the file" : place
  }

  /// Attributes may stand on lines of their own above a declaration.
  private func declarationLine(from index: Int) -> Int {
    lines.indices.dropFirst(index).first { !trimmed($0).hasPrefix("@") || declaration(at: $0) != nil } ?? index
  }

  // MARK: Tests

  /// The title of the test that begins at a line or encloses it.
  private func test(around index: Int) -> String? {
    if let title = test(at: index) { return title }
    var depth = indentation(index)
    for line in lines.indices.prefix(index).reversed() where !trimmed(line).isEmpty && !isComment(line) {
      guard indentation(line) < depth else { continue }
      depth = indentation(line)
      guard let found = declaration(at: line), !found.isType else { continue }
      // Its attribute stands on the same line or above it, with nothing but its own further lines between.
      for above in stride(from: line, through: max(0, line - 8), by: -1) {
        if trimmed(above).hasPrefix("@Test") { return test(at: above) }
        if above < line, indentation(above) < depth || trimmed(above).isEmpty || trimmed(above) == "}" { break }
      }
    }
    return nil
  }

  /// The title of the test whose attribute begins at a line: the text in it, or the function's name.
  private func test(at index: Int) -> String? {
    guard trimmed(index).hasPrefix("@Test") else { return nil }
    for line in lines.indices.dropFirst(index).prefix(8) {
      let text = trimmed(line)
      if let start = text.firstRange(of: "func ") {
        if text.firstIndex(of: "\"").map({ $0 > start.lowerBound }) ?? true {
          let rest = text[start.upperBound...]
          if rest.first == "`" { return String(rest.dropFirst().prefix { $0 != "`" }) }
          return Self.name(rest)
        }
      }
      if let title = Self.literal(in: text) { return title }
    }
    return nil
  }

  /// The first string literal of a line, its escapes undone.
  private static func literal(in text: Substring) -> String? {
    guard let start = text.firstIndex(of: "\"") else { return nil }
    var title = ""
    var escaped = false
    for character in text[text.index(after: start)...] {
      if !escaped, character == "\"" { return title }
      escaped = !escaped && character == "\\"
      if !escaped { title.append(character) }
    }
    return nil
  }
}
