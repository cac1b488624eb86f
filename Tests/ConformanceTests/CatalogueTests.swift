import Testing

@testable import Conformance

@Suite("The catalogue of requirements")
struct CatalogueTests {
  private static let start = "RFC 9999\nA Protocol\n\n# 3.1 Opening\n\n"

  private func parse(_ text: String) -> (Catalogue, [String]) {
    var problems: [String] = []
    let catalogue = Catalogue(parsing: text, from: "rfc9999.txt", problems: &problems)
    return (catalogue, problems)
  }

  @Test("A block gives the ID, the level, the section, the document's own label and the text over several lines")
  func block() {
    let (catalogue, problems) = parse(
      Self.start + "9999-3.1-01 MUST NOT §3.1 MUST-7\nThe first line\nand the second.\n")
    #expect(problems.isEmpty)
    #expect(catalogue.document == 9999 && catalogue.title == "A Protocol")
    #expect(catalogue.sections.map(\.number) == ["3.1"] && catalogue.sections.map(\.title) == ["Opening"])
    #expect(
      catalogue.requirements == [
        Requirement(
          id: "9999-3.1-01", level: .mustNot, section: "3.1", label: "MUST-7", text: "The first line and the second.")
      ])
  }

  @Test("A reason may take several lines, and belongs to its block alone")
  func reason() {
    let (catalogue, problems) = parse(
      Self.start + "9999-3.1-01 MAY §3.1\nOne.\nreason: Because\nof this.\n\n9999-3.1-02 MAY §3.1\nTwo.\n")
    #expect(problems.isEmpty)
    #expect(catalogue.requirements.map(\.reason) == ["Because of this.", nil])
  }

  @Test("A repetition names the requirement that it repeats")
  func repetition() {
    let (catalogue, problems) = parse(
      Self.start + "9999-3.1-01 MAY §3.1\nOne.\n\n9999-3.1-02 RULE §3.1\nOne again.\nsame: 9999-3.1-01\n")
    #expect(problems.isEmpty)
    #expect(catalogue.requirements.map(\.restates) == [nil, "9999-3.1-01"])
  }

  @Test(
    "What is written wrongly is told with its line",
    arguments: [
      ("9999-3.1-01 OUGHT §3.1\nText.\n", "OUGHT is no level"),
      ("9999-3.2-01 MUST §3.1\nText.\n", "9999-3.2-01 is not 9999-3.1- and two digits"),
      ("9999-3.2-01 MUST §3.2\nText.\n", "9999-3.2-01 stands under another section"),
      ("9999-3.1-1 MUST §3.1\nText.\n", "9999-3.1-1 is not 9999-3.1- and two digits"),
      ("9999-3.1-01 MUST\nText.\n", "a requirement begins with its ID, its level and its section"),
      ("9999-3.1-01 MUST §3.1\n\n", "9999-3.1-01 says nothing"),
    ])
  func mistakes(block: String, problem: String) {
    let (_, problems) = parse(Self.start + block)
    #expect(problems.contains { $0.hasPrefix("rfc9999.txt:") && $0.hasSuffix(problem) }, "\(problems)")
  }

  @Test("A departure tells over several lines what is done instead")
  func departure() {
    let (catalogue, problems) = parse(
      Self.start + "9999-3.1-01 MUST §3.1\nOne.\ncode: Nowhere.\ndeparts: Two,\nas one is too few.\n")
    #expect(problems.isEmpty)
    #expect(catalogue.requirements.map(\.departure) == ["Two, as one is too few."])
    #expect(catalogue.requirements.map(\.means) == ["Nowhere."])
    #expect(catalogue.requirements.map(\.reason) == [nil])
  }

  @Test("There is no departure from a MAY")
  func departureFromMay() {
    let (catalogue, problems) = parse(Self.start + "9999-3.1-01 MAY §3.1\nOne.\ndeparts: Two.\n")
    #expect(catalogue.requirements.isEmpty && problems.count == 1)
  }

  @Test(
    "A requirement has a reason, departs or repeats another: one of them",
    arguments: [
      "reason: Why.\nsame: 9999-3.1-02\n", "reason: Why.\ndeparts: What.\n", "departs: What.\nsame: 9999-3.1-02\n",
    ])
  func both(ending: String) {
    let (catalogue, problems) = parse(Self.start + "9999-3.1-01 MUST §3.1\nOne.\n" + ending)
    #expect(catalogue.requirements.isEmpty && problems.count == 1)
  }

  @Test("Multipath TCP comes first, then the documents of TCP by number")
  func order() {
    let documents = [9293, 6824, 2018, 6356, 8684].map { Catalogue(document: $0, title: "", sections: []) }
    #expect(documents.sorted(by: Catalogue.precedes).map(\.document) == [8684, 6824, 6356, 2018, 9293])
  }
}
