import Testing

@testable import Conformance

@Suite("Annotations")
struct AnnotationTests {
  private func code(_ text: String) -> [Annotation] {
    SourceText(text, file: "Sources/A.swift").annotations(inTests: false)
  }

  private func tests(_ text: String) -> [Annotation.Subject] {
    SourceText(text, file: "Tests/A.swift").annotations(inTests: true).map(\.subject)
  }

  @Test(
    "A comment that names requirements is an annotation, with or without a full stop",
    arguments: [
      ("// Requirement 9999-3.1-01", ["9999-3.1-01"]),
      ("  /// Requirement 9999-3.1-01.", ["9999-3.1-01"]),
      ("// Requirements 9999-3.1-01, 9999-B.2-07", ["9999-3.1-01", "9999-B.2-07"]),
    ])
  func recognised(line: String, ids: [String]) {
    #expect(Annotation.ids(in: line[...]) == ids)
  }

  @Test(
    "Prose about requirements is none",
    arguments: ["// Requirement numbers never change", "let requirement = 1", "// The Requirement 9999-3.1-01"])
  func prose(line: String) {
    #expect(Annotation.ids(in: line[...]) == nil)
  }

  @Test("In a doc comment it belongs to the declaration below, named with the types around it")
  func declarationBelow() {
    let found = code(
      """
      extension Outer {
        struct Inner {
          /// Opens.
          ///
          /// Requirement 9999-3.1-01
          @discardableResult
          package static func open(_ name: String) -> Bool {
            true
          }
        }
      }
      """)
    #expect(
      found == [
        Annotation(
          ids: ["9999-3.1-01"], file: "Sources/A.swift", line: 6, commentLine: 5, subject: .code("Outer.Inner.open"))
      ])
  }

  @Test("Above a statement it belongs to the function around it, through any nesting")
  func statementBelow() {
    let found = code(
      """
      struct Machine {
        mutating func accept(
          _ segment: Int, at now: Int
        ) throws {
          switch segment {
          case 1:
            if now > 2 {
              // Requirement 9999-3.1-01
              let answer = 3
              send(answer)
            }
          default: break
          }
        }
      }
      """)
    #expect(found.map(\.subject) == [.code("Machine.accept")])
    #expect(found.map(\.line) == [9])
  }

  @Test("Stored properties, cases and initialisers are told by their names")
  func members() {
    let found = code(
      """
      enum Kind: UInt8 {
        // Requirement 9999-3.1-01
        case join = 1
        // Requirement 9999-3.1-02
        static let longest = 40
        // Requirement 9999-3.1-03
        init?(_ value: UInt8) { nil }
      }
      """)
    #expect(found.map(\.subject) == [.code("Kind.join"), .code("Kind.longest"), .code("Kind.init")])
  }

  @Test("Above a test it belongs to the test, by the title or by the function's name")
  func aboveTest() {
    let found = tests(
      """
      @Suite struct Tests {
        // Requirement 9999-3.1-01
        @Test("A \\"title\\"") func one() {}

        // Requirement 9999-3.1-02
        @Test func two() {}

        // Requirement 9999-3.1-03
        @Test(
          "Over several lines",
          arguments: ["a"])
        func three(_ name: String) {}

        // Requirement 9999-3.1-04
        @Test func `four with spaces`() {}
      }
      """)
    #expect(found == [.test("A \"title\""), .test("two"), .test("Over several lines"), .test("four with spaces")])
  }

  @Test("Inside a test it belongs to that test")
  func insideTest() {
    let found = tests(
      """
      struct Tests {
        @Test("The title")
        func one() throws {
          for size in [1, 2] {
            // Requirement 9999-3.1-01
            #expect(size > 0)
          }
        }
      }
      """)
    #expect(found == [.test("The title")])
  }

  @Test("On a function that is no test it belongs to nothing, also right after a test")
  func helper() {
    let found = tests(
      """
      struct Tests {
        @Test("The title")
        func one() {
        }
        // Requirement 9999-3.1-01
        func helper() {
          // Requirement 9999-3.1-02
          print("no test")
        }
      }
      """)
    #expect(found == [.nothing, .nothing])
  }
}
