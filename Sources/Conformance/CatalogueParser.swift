/// Reads a catalogue line by line.
struct CatalogueParser {
  private let file: String
  private var lineNumber = 0
  private var catalogue = Catalogue(document: 0, title: "", sections: [])
  private var open: Requirement?
  private(set) var problems: [String] = []

  init(file: String) { self.file = file }

  /// Takes the next line, without its end.
  mutating func take(_ line: String) {
    lineNumber += 1
    if line.isEmpty {
      close()
    } else if catalogue.document == 0 {
      takeDocument(line)
    } else if catalogue.title.isEmpty {
      catalogue.title = line
    } else if line.hasPrefix("# ") {
      takeSection(line)
    } else if open == nil {
      takeHeading(line)
    } else {
      takeText(line)
    }
  }

  /// The catalogue, after the last line.
  mutating func finish() -> Catalogue {
    close()
    return catalogue
  }

  private mutating func takeDocument(_ line: String) {
    let words = line.split(separator: " ")
    guard words.count == 2, words[0] == "RFC", let number = Int(words[1]), number > 0 else {
      return complain("the first line names the document, as RFC NNNN")
    }
    catalogue.document = number
  }

  private mutating func takeSection(_ line: String) {
    close()
    let words = line.split(separator: " ", maxSplits: 2)
    guard words.count == 3 else { return complain("a section has a number and a title") }
    catalogue.sections.append(
      Catalogue.Section(number: String(words[1]), title: String(words[2]), requirements: []))
  }

  /// `8684-3.1-04 MUST NOT §3.1 LABEL`
  private mutating func takeHeading(_ line: String) {
    let words = line.split(separator: " ").map(String.init)
    guard let sign = words.firstIndex(where: { $0.hasPrefix("§") }), sign >= 2, words.count <= sign + 2 else {
      return complain("a requirement begins with its ID, its level and its section")
    }
    let section = String(words[sign].dropFirst())
    guard let level = Requirement.Level(rawValue: words[1..<sign].joined(separator: " ")) else {
      return complain("\(words[1..<sign].joined(separator: " ")) is no level")
    }
    let start = "\(catalogue.document)-\(section)-"
    guard words[0].hasPrefix(start), words[0].count == start.count + 2, Int(words[0].suffix(2)) != nil else {
      return complain("\(words[0]) is not \(start) and two digits")
    }
    guard catalogue.sections.last?.number == section else {
      return complain("\(words[0]) stands under another section")
    }
    open = Requirement(
      id: words[0], level: level, section: section, label: words.count > sign + 1 ? words[sign + 1] : nil, text: "")
  }

  private mutating func takeText(_ line: String) {
    guard var requirement = open else { return }
    if line.hasPrefix("reason: ") {
      requirement.reason = String(line.dropFirst(8))
    } else if line.hasPrefix("departs: ") {
      requirement.departure = String(line.dropFirst(9))
    } else if line.hasPrefix("code: ") {
      requirement.means = String(line.dropFirst(6))
    } else if line.hasPrefix("same: ") {
      requirement.restates = String(line.dropFirst(6))
    } else if let departure = requirement.departure {
      requirement.departure = departure + " " + line
    } else if let reason = requirement.reason {
      requirement.reason = reason + " " + line
    } else if let means = requirement.means {
      requirement.means = means + " " + line
    } else {
      requirement.text += requirement.text.isEmpty ? line : " " + line
    }
    open = requirement
  }

  private mutating func close() {
    guard let requirement = open else { return }
    open = nil
    guard !requirement.text.isEmpty else { return complain("\(requirement.id) says nothing") }
    guard [requirement.reason, requirement.departure, requirement.restates].count(where: { $0 != nil }) <= 1 else {
      return complain("\(requirement.id) has a reason, departs or repeats another: one of them is enough")
    }
    guard requirement.departure == nil || requirement.level != .may else {
      return complain("\(requirement.id) departs from a MAY, which leaves nothing to depart from")
    }
    catalogue.sections[catalogue.sections.count - 1].requirements.append(requirement)
  }

  private mutating func complain(_ text: String) { problems.append("\(file):\(lineNumber): \(text)") }
}
