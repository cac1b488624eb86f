/// Finds the first place in a text that is not JSON (RFC 8259) or says something twice, which the decoder keeps to
/// itself.
package struct JSONSyntax {
  private let text: [UInt8]
  private var offset = 0

  /// A place that is wrong, and how.
  private struct Fault: Error {
    let problem: String
    var isSyntax = true

    static func expected(_ what: String) -> Fault { Fault(problem: "\(what) is expected") }
  }

  private init(_ text: [UInt8]) { self.text = text }

  /// The fault for people, `no JSON: line 3, column 5: a value is expected`; nil if there is none.
  package static func fault(in text: [UInt8]) -> String? {
    var syntax = JSONSyntax(text)
    do throws(Fault) {
      try syntax.checkEncoding()
      try syntax.value(depth: 0)
      syntax.skipSpace()
      guard syntax.offset == text.count else { throw .expected("nothing more") }
      return nil
    } catch {
      let (line, column) = syntax.place(of: syntax.offset)
      return "\(error.isSyntax ? "no JSON: " : "")line \(line), column \(column): \(error.problem)"
    }
  }

  /// The text without the mark that some editors put in front, which means nothing (RFC 8259 §8.1).
  package static func withoutByteOrderMark(_ text: [UInt8]) -> [UInt8] {
    text.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(text.dropFirst(3)) : text
  }

  private func place(of offset: Int) -> (line: Int, column: Int) {
    let before = text[..<min(offset, text.count)]
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    return (line, before.count - (before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0) + 1)
  }

  private mutating func checkEncoding() throws(Fault) {
    if text.starts(with: [0xFF, 0xFE]) || text.starts(with: [0xFE, 0xFF]) {
      throw .expected("UTF-8, and not UTF-16,")
    }
    var iterator = text.makeIterator()
    var decoder = UTF8()
    while true {
      switch decoder.decode(&iterator) {
      case .scalarValue(let scalar): offset += UTF8.width(scalar)
      case .emptyInput:
        offset = 0
        return
      case .error: throw .expected("UTF-8")
      }
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
    guard depth < 500 else { throw .expected("less nesting") }
    switch next {
    case UInt8(ascii: "{"):
      var places: [String: Int] = [:]
      try members(closing: "}") { syntax throws(Fault) in
        try syntax.key(&places)
        guard syntax.take(":") else { throw .expected("':'") }
        try syntax.value(depth: depth + 1)
      }
    case UInt8(ascii: "["):
      try members(closing: "]") { syntax throws(Fault) in try syntax.value(depth: depth + 1) }
    case UInt8(ascii: "\""): _ = try string()
    default: try word()
    }
  }

  private mutating func members(
    closing: Unicode.Scalar, _ member: (inout JSONSyntax) throws(Fault) -> Void
  ) throws(Fault) {
    offset += 1
    if take(closing) { return }
    repeat { try member(&self) } while take(",")
    guard take(closing) else { throw .expected("',' or '\(closing)'") }
  }

  /// A key, which no other of its object's, with the places that these have, may be.
  private mutating func key(_ places: inout [String: Int]) throws(Fault) {
    skipSpace()
    guard next == UInt8(ascii: "\"") else { throw .expected("a key in quotes") }
    let start = offset
    let key = try string()
    if let first = places.updateValue(start, forKey: key) {
      offset = start
      let (line, column) = place(of: first)
      throw Fault(
        problem: "'\(key)' is there twice, first in line \(line), column \(column); leave one out", isSyntax: false)
    }
  }

  private mutating func string() throws(Fault) -> String {
    offset += 1
    var octets: [UInt8] = []
    while let octet = next, octet != UInt8(ascii: "\"") {
      guard octet >= 0x20 else { throw .expected("the text's closing quote") }
      if octet == UInt8(ascii: "\\") {
        octets += String(try escape()).utf8
      } else {
        octets.append(octet)
        offset += 1
      }
    }
    guard next != nil else { throw .expected("the text's closing quote") }
    offset += 1
    return String(decoding: octets, as: UTF8.self)
  }

  private static let escapes: [UInt8: Unicode.Scalar] = [
    UInt8(ascii: "\""): "\"", UInt8(ascii: "\\"): "\\", UInt8(ascii: "/"): "/", UInt8(ascii: "b"): "\u{8}",
    UInt8(ascii: "f"): "\u{C}", UInt8(ascii: "n"): "\n", UInt8(ascii: "r"): "\r", UInt8(ascii: "t"): "\t",
  ]

  private mutating func escape() throws(Fault) -> Character {
    let problem = Fault.expected("an escape such as \\n, \\\\ or \\u00e9")
    guard offset + 1 < text.count else {
      offset = text.count
      throw .expected("the text's closing quote")
    }
    if let scalar = Self.escapes[text[offset + 1]] {
      offset += 2
      return Character(scalar)
    }
    guard let unit = codeUnit(at: offset) else { throw problem }
    if let scalar = Unicode.Scalar(unit) {
      offset += 6
      return Character(scalar)
    }
    // A character beyond U+FFFF is two.
    guard UTF16.isLeadSurrogate(unit), let low = codeUnit(at: offset + 6), UTF16.isTrailSurrogate(low) else {
      throw problem
    }
    offset += 12
    return Character(UTF16.decode(UTF16.EncodedScalar([unit, low])))
  }

  /// What `\u` and four digits stand for.
  private func codeUnit(at offset: Int) -> UInt16? {
    guard offset + 6 <= text.count, text[offset] == UInt8(ascii: "\\"), text[offset + 1] == UInt8(ascii: "u"),
      text[(offset + 2)..<(offset + 6)].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit })
    else { return nil }
    return UInt16(String(decoding: text[(offset + 2)..<(offset + 6)], as: UTF8.self), radix: 16)
  }

  /// A number, or one of the three names.
  private mutating func word() throws(Fault) {
    let start = offset
    while let octet = next, !" \t\r\n,]}:\"[{".utf8.contains(octet) { offset += 1 }
    let word = String(decoding: text[start..<offset], as: UTF8.self)
    guard Self.isNumber(word) || ["true", "false", "null"].contains(word) else {
      offset = start
      throw .expected("a value")
    }
  }

  private static func isNumber(_ word: String) -> Bool {
    var rest = Substring(word)
    func isDigits(_ text: Substring) -> Bool { !text.isEmpty && text.allSatisfy { $0.isASCII && $0.isNumber } }
    if rest.first == "-" { rest.removeFirst() }
    if let exponent = rest.firstIndex(where: { $0 == "e" || $0 == "E" }) {
      var digits = rest[rest.index(after: exponent)...]
      if digits.first == "-" || digits.first == "+" { digits.removeFirst() }
      guard isDigits(digits) else { return false }
      rest = rest[..<exponent]
    }
    let parts = rest.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count <= 2 && parts.allSatisfy(isDigits) && (parts[0].count == 1 || !parts[0].hasPrefix("0"))
  }
}
