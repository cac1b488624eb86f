/// Finds the first place in a text that is not JSON (RFC 8259), which the decoder keeps to itself.
package struct JSONSyntax {
  private let text: [UInt8]
  private var offset = 0

  /// A place that is wrong, and what it lacks.
  private struct Fault: Error {
    let expected: String
  }

  private init(_ text: [UInt8]) { self.text = text }

  /// The fault for people, `line 3, column 5: a value is expected`; nil if there is none.
  package static func fault(in text: [UInt8]) -> String? {
    var syntax = JSONSyntax(text)
    do throws(Fault) {
      try syntax.value(depth: 0)
      syntax.skipSpace()
      guard syntax.offset == text.count else { throw Fault(expected: "nothing more is expected") }
      return nil
    } catch {
      let before = text[..<min(syntax.offset, text.count)]
      let line = before.count { $0 == UInt8(ascii: "\n") } + 1
      let column = before.count - (before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0) + 1
      return "line \(line), column \(column): \(error.expected)"
    }
  }

  private var next: UInt8? { offset < text.count ? text[offset] : nil }

  private mutating func skipSpace() {
    while let octet = next, [0x20, 0x09, 0x0A, 0x0D].contains(octet) { offset += 1 }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard next == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func value(depth: Int) throws(Fault) {
    skipSpace()
    // The decoder's own bound is 512.
    guard depth < 500 else { throw Fault(expected: "less nesting is expected") }
    switch next {
    case UInt8(ascii: "{"):
      try members(closing: "}") { syntax throws(Fault) in
        syntax.skipSpace()
        guard syntax.next == UInt8(ascii: "\"") else { throw Fault(expected: "a key in quotes is expected") }
        try syntax.string()
        guard syntax.take(":") else { throw Fault(expected: "':' is expected") }
        try syntax.value(depth: depth + 1)
      }
    case UInt8(ascii: "["):
      try members(closing: "]") { syntax throws(Fault) in try syntax.value(depth: depth + 1) }
    case UInt8(ascii: "\""): try string()
    default: try word()
    }
  }

  private mutating func members(
    closing: Unicode.Scalar, _ member: (inout JSONSyntax) throws(Fault) -> Void
  ) throws(Fault) {
    offset += 1
    if take(closing) { return }
    repeat { try member(&self) } while take(",")
    guard take(closing) else { throw Fault(expected: "',' or '\(closing)' is expected") }
  }

  private mutating func string() throws(Fault) {
    offset += 1
    while let octet = next, octet != UInt8(ascii: "\"") {
      guard octet >= 0x20 else { throw Fault(expected: "the text's closing quote is expected") }
      offset += octet == UInt8(ascii: "\\") ? 2 : 1
    }
    guard next != nil else { throw Fault(expected: "the text's closing quote is expected") }
    offset += 1
  }

  /// A number, or one of the three names.
  private mutating func word() throws(Fault) {
    let start = offset
    while let octet = next, !" \t\r\n,]}:\"[{".utf8.contains(octet) { offset += 1 }
    let word = String(decoding: text[start..<offset], as: UTF8.self)
    let isNumber = word.first.map { $0.isNumber || $0 == "-" } == true && Double(word) != nil
    guard isNumber || ["true", "false", "null"].contains(word) else {
      offset = start
      throw Fault(expected: "a value is expected")
    }
  }
}
