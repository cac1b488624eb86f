/// The requirements beside the code that obeys them and the tests that prove it.
struct ConformanceTable: Sendable {
  /// What stands behind a requirement.
  struct Entry: Sendable {
    var requirement: Requirement
    var code: [Annotation] = []
    var tests: [Annotation] = []
    var status: Status = .open
  }

  enum Status: Equatable, Sendable {
    /// A test proves it.
    case tested
    /// Something else is done on purpose, and the catalogue says what and why.
    case departs
    /// A reason stands in the catalogue.
    case reasoned
    /// Neither.
    case open
  }

  let catalogues: [Catalogue]
  private let entries: [String: Entry]
  /// What must be mended: IDs that do not exist or exist twice, annotations on nothing.
  let faults: [String]

  /// Ties annotations to requirements.
  init(catalogues: [Catalogue], annotations: [Annotation], faults: [String] = []) {
    self.catalogues = catalogues.sorted(by: Catalogue.precedes)
    var faults = faults
    var entries: [String: Entry] = [:]
    let requirements = self.catalogues.flatMap(\.requirements)
    for requirement in requirements {
      if entries.updateValue(Entry(requirement: requirement), forKey: requirement.id) != nil {
        faults.append("\(requirement.id) exists twice")
      }
    }
    let order = annotations.sorted { ($0.file, $0.commentLine) < ($1.file, $1.commentLine) }
    for annotation in order {
      let place = "\(annotation.file):\(annotation.commentLine)"
      if annotation.subject == .nothing { faults.append("\(place): the requirement stands on no test") }
      for id in annotation.ids {
        guard entries[id] != nil else {
          faults.append("\(place): there is no requirement \(id)")
          continue
        }
        switch annotation.subject {
        case .code: entries[id]?.code.append(annotation)
        case .test: entries[id]?.tests.append(annotation)
        case .nothing: break
        }
      }
    }
    for requirement in requirements {
      guard let original = requirement.restates else { continue }
      guard let source = entries[original], source.requirement.restates == nil else {
        faults.append("\(requirement.id) repeats \(original), which is no requirement of its own")
        continue
      }
      entries[requirement.id]?.code += source.code
      entries[requirement.id]?.tests += source.tests
      entries[requirement.id]?.requirement.reason = source.requirement.reason
      entries[requirement.id]?.requirement.departure = source.requirement.departure
      entries[requirement.id]?.requirement.means = source.requirement.means
    }
    for requirement in requirements {
      guard let entry = entries[requirement.id] else { continue }
      entries[requirement.id]?.status = Self.status(of: entry)
    }
    for requirement in requirements {
      guard let entry = entries[requirement.id] else { continue }
      if entry.status == .departs, entry.tests.isEmpty {
        faults.append("\(requirement.id) departs, and no test shows what is done instead: \(requirement.text)")
      }
      if !entry.tests.isEmpty, entry.code.isEmpty, entry.requirement.means == nil {
        faults.append("\(requirement.id) has tests, and no code: \(requirement.text)")
      }
    }
    self.entries = entries
    self.faults = faults
  }

  /// A departure stays one however well it is tested.
  private static func status(of entry: Entry) -> Status {
    if entry.requirement.departure != nil { return .departs }
    if !entry.tests.isEmpty { return .tested }
    return entry.requirement.reason != nil ? .reasoned : .open
  }

  /// What stands behind a requirement of one of the catalogues.
  func entry(_ requirement: Requirement) -> Entry { entries[requirement.id] ?? Entry(requirement: requirement) }

  /// The requirements with neither test nor reason, in order.
  var open: [Requirement] { catalogues.flatMap(\.requirements).filter { entry($0).status == .open } }

  /// How many requirements of a document have a status.
  func count(_ status: Status, in catalogue: Catalogue) -> Int {
    catalogue.requirements.count { entry($0).status == status }
  }
}
