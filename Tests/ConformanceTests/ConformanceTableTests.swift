import Testing

@testable import Conformance

@Suite("The table of conformance")
struct ConformanceTableTests {
  private static let catalogue: Catalogue = {
    var problems: [String] = []
    return Catalogue(
      parsing: """
        RFC 9999
        A Protocol

        # 1 Things

        9999-1-01 MUST §1
        It works | well.

        9999-1-02 MAY §1
        It sings.
        reason: It has no voice.

        9999-1-03 RULE §1
        It works still.
        same: 9999-1-01
        """, from: "rfc9999.txt", problems: &problems)
  }()

  private func annotation(_ ids: [String], _ subject: Annotation.Subject, line: Int = 3) -> Annotation {
    Annotation(ids: ids, file: "Some/File.swift", line: line, commentLine: line - 1, subject: subject)
  }

  private func table(_ annotations: [Annotation]) -> ConformanceTable {
    ConformanceTable(catalogues: [Self.catalogue], annotations: annotations)
  }

  @Test("A rule without test or reason is open, whatever code there is")
  func open() {
    let table = table([annotation(["9999-1-01"], .code("Machine.run"))])
    #expect(table.faults.isEmpty)
    #expect(table.open.map(\.id) == ["9999-1-01", "9999-1-03"])
  }

  @Test("A test closes a rule and every repetition of it")
  func tested() {
    let table = table([annotation(["9999-1-01"], .test("It works")), annotation(["9999-1-01"], .code("run"))])
    #expect(table.faults.isEmpty && table.open.isEmpty)
    #expect(table.count(.tested, in: Self.catalogue) == 2 && table.count(.reasoned, in: Self.catalogue) == 1)
  }

  @Test("A rule with a test and neither code nor a word on what takes its place is a fault, and so is its repetition")
  func withoutCode() {
    let test = annotation(["9999-1-01"], .test("It works"))
    #expect(
      table([test]).faults == [
        "9999-1-01 has tests, and no code: It works | well.", "9999-1-03 has tests, and no code: It works still.",
      ])
    var catalogue = Self.catalogue
    catalogue.sections[0].requirements[0].means = "Nobody stops it."
    let table = ConformanceTable(catalogues: [catalogue], annotations: [test])
    #expect(table.faults.isEmpty)
    #expect(ConformancePage(table: table).text.contains("| tested | Nobody stops it. |"))
  }

  @Test("An annotation with an unknown ID is a fault, with its place")
  func unknown() {
    #expect(
      table([annotation(["9999-1-09"], .code("run"))]).faults == [
        "Some/File.swift:2: there is no requirement 9999-1-09"
      ])
  }

  @Test("An annotation in a test file that stands on no test is a fault")
  func nothing() {
    #expect(
      table([annotation(["9999-1-01"], .nothing)]).faults == ["Some/File.swift:2: the requirement stands on no test"])
  }

  @Test("An ID that exists twice is a fault")
  func twice() {
    let table = ConformanceTable(catalogues: [Self.catalogue, Self.catalogue], annotations: [])
    #expect(table.faults.contains("9999-1-01 exists twice"))
  }

  @Test("A repetition of what does not exist, or is itself a repetition, is a fault")
  func loops() {
    var catalogue = Self.catalogue
    catalogue.sections[0].requirements[2].restates = "9999-1-03"
    let table = ConformanceTable(catalogues: [catalogue], annotations: [])
    #expect(table.faults == ["9999-1-03 repeats 9999-1-03, which is no requirement of its own"])
  }

  @Test("The page tells each rule with its status, its code and its tests, and counts them")
  func page() {
    let text = ConformancePage(
      table: table([
        annotation(["9999-1-01"], .test("It works"), line: 7),
        annotation(["9999-1-01"], .code("Machine.run"), line: 5),
        annotation(["9999-1-01"], .code("Machine.run"), line: 9),
      ])
    ).text
    #expect(
      text.contains(
        #"| <a id="r9999-1-01"></a>9999-1-01 | MUST | It works \| well. | tested "#
          + "| [`Machine.run`](../Some/File.swift#L5) | [It works](../Some/File.swift#L7) |"))
    #expect(text.contains("| MAY | It sings. | It has no voice. |  |  |"))
    #expect(text.contains("It works still. (The same as [9999-1-01](#r9999-1-01).) | tested |"))
    #expect(text.contains("| **All** | **3** | **2** | **0** | **1** | **0** |"))
  }

  @Test("A departure, and what repeats it, is told with its reason and is not counted as tested, whatever tests it has")
  func departure() {
    var catalogue = Self.catalogue
    catalogue.sections[0].requirements[0].departure = "It rests | sleeps."
    let table = ConformanceTable(
      catalogues: [catalogue],
      annotations: [annotation(["9999-1-01"], .test("It rests")), annotation(["9999-1-01"], .code("rest"))])
    #expect(table.faults.isEmpty && table.open.isEmpty)
    #expect(table.count(.departs, in: catalogue) == 2 && table.count(.tested, in: catalogue) == 0)
    let text = ConformancePage(table: table).text
    #expect(text.contains("| **All** | **3** | **0** | **2** | **1** | **0** |"))
    #expect(
      text.contains(
        #"| It works \| well. | **departs.** It rests \| sleeps. | [`rest`](../Some/File.swift#L3) | [It rests]"#))
    #expect(text.contains("(The same as [9999-1-01](#r9999-1-01).) | **departs.** It rests"))
  }

  @Test("A departure without a test of what is done instead is a fault, and so is one without code")
  func departureUnproved() {
    var catalogue = Self.catalogue
    catalogue.sections[0].requirements.removeLast()
    catalogue.sections[0].requirements[0].departure = "It rests."
    #expect(
      ConformanceTable(catalogues: [catalogue], annotations: [annotation(["9999-1-01"], .code("rest"))]).faults == [
        "9999-1-01 departs, and no test shows what is done instead: It works | well."
      ])
    #expect(
      ConformanceTable(catalogues: [catalogue], annotations: [annotation(["9999-1-01"], .test("It rests"))]).faults == [
        "9999-1-01 has tests, and no code: It works | well."
      ])
  }

  @Test("The order of the annotations does not change the page")
  func deterministic() {
    let annotations = (1...9).map { annotation(["9999-1-01"], .test("Test \($0)"), line: $0 * 2) }
    let page = ConformancePage(table: table(annotations)).text
    #expect(ConformancePage(table: table(annotations.reversed())).text == page)
  }

  @Test("Lines that move do not make the page stale, other changes do")
  func stale() {
    let pages = [5, 50].map { line in
      ConformancePage(table: table([annotation(["9999-1-01"], .test("It works"), line: line)])).text
    }
    #expect(pages[0] != pages[1])
    #expect(ConformancePage.withoutLineNumbers(pages[0]) == ConformancePage.withoutLineNumbers(pages[1]))
    let other = ConformancePage(table: table([annotation(["9999-1-01"], .test("It runs"))])).text
    #expect(ConformancePage.withoutLineNumbers(other) != ConformancePage.withoutLineNumbers(pages[0]))
  }
}
