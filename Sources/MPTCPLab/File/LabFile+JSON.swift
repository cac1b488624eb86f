import FoundationEssentials
import MPTCPLink
import MPTCPWire

extension LabFile {
  /// Reads a lab file.
  ///
  /// - Throws: ``LabFileError``, which names the key.
  package init(json: [UInt8]) throws(LabFileError) {
    let json = JSONSyntax.withoutByteOrderMark(json)
    if let fault = JSONSyntax.fault(in: json) { throw LabFileError("", fault) }
    do {
      self = try JSONDecoder().decode(LabFile.self, from: Data(json))
    } catch let error as LabFileError {
      throw error
    } catch let error as DecodingError {
      throw LabFileError(error)
    } catch {
      throw LabFileError("", "\(error)")
    }
    try check()
  }
}

extension LabFileError {
  fileprivate init(_ error: DecodingError) {
    switch error {
    case .keyNotFound(let key, let context):
      self.init((context.codingPath + [key]).place, "is missing")
    case .typeMismatch(let type, let context):
      self.init(
        context.codingPath.place, "\(Self.words[ObjectIdentifier(type)] ?? "another kind of value") is expected")
    case .valueNotFound(_, let context):
      self.init(context.codingPath.place, "null is no value here; leave the key out")
    case .dataCorrupted(let context):
      self.init(context.codingPath.place, context.debugDescription)
    @unknown default:
      self.init("", "\(error)")
    }
  }

  private static let words: [ObjectIdentifier: String] = [
    ObjectIdentifier(String.self): "a text", ObjectIdentifier([Any].self): "a list",
    ObjectIdentifier(Int.self): "a whole number",
    ObjectIdentifier(Bool.self): "true or false", ObjectIdentifier([String: Any].self): "an object in { }",
  ]
}

extension [any CodingKey] {
  /// As people write it: `paths[1].link`.
  fileprivate var place: String {
    var text = ""
    for key in self {
      if let index = key.intValue {
        text += "[\(index)]"
      } else {
        text += (text.isEmpty ? "" : ".") + key.stringValue
      }
    }
    return text
  }
}

/// Any key, so that unknown ones are seen.
private struct Key: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}

/// An object all of whose keys are known.
private struct Fields {
  private let container: KeyedDecodingContainer<Key>

  init(_ decoder: any Decoder, _ known: String...) throws {
    container = try decoder.container(keyedBy: Key.self)
    let unknown = container.allKeys.map(\.stringValue).filter { !known.contains($0) }.sorted()
    if let key = unknown.first {
      throw LabFileError(
        (container.codingPath + [Key(stringValue: key)]).place,
        "unknown; the keys here are \(known.joined(separator: ", "))")
    }
  }

  func required<Value: Decodable>(_ key: String) throws -> Value {
    do {
      return try container.decode(Value.self, forKey: Key(stringValue: key))
    } catch let problem where !(problem is DecodingError || problem is LabFileError) {
      // For a number that its type cannot hold, the decoder has an error of its own, which names no place.
      throw LabFileError(place(key), "a number here is not whole, or too large")
    }
  }

  func optional<Value: Decodable>(_ key: String) throws -> Value? {
    guard has(key) else { return nil }
    let value: Value = try required(key)
    return value
  }

  func has(_ key: String) -> Bool { container.contains(Key(stringValue: key)) }

  func isList(_ key: String) -> Bool { (try? container.nestedUnkeyedContainer(forKey: Key(stringValue: key))) != nil }

  func place(_ key: String) -> String { (container.codingPath + [Key(stringValue: key)]).place }
}

extension LabFile: Decodable {
  package init(from decoder: any Decoder) throws {
    let fields = try Fields(decoder, "hosts", "paths", "run")
    hosts = try fields.optional("hosts") ?? []
    paths = try fields.required("paths")
    commands = try fields.optional("run") ?? []
    for name in paths.flatMap(\.ends).map(\.host) where host(name) == nil { hosts.append(Host(name: name)) }
    // An endpoint of all paths is one of each of the host's paths.
    for index in hosts.indices {
      let own = paths.filter { path in path.ends.contains { $0.host == hosts[index].name } }
      hosts[index].endpoints = hosts[index].endpoints.flatMap { endpoint in
        endpoint.path.isEmpty ? own.map { Endpoint(path: $0.name, uses: endpoint.uses) } : [endpoint]
      }
    }
  }
}

extension LabFile.Host: Decodable {
  package init(from decoder: any Decoder) throws {
    if let name = try? decoder.singleValueContainer().decode(String.self) {
      self.init(name: name)
      return
    }
    let fields = try Fields(decoder, "name", "forward", "sysctl", "mptcp")
    self.init(name: try fields.required("name"))
    forwards = try fields.optional("forward") ?? false
    let settings: [String: SettingValue] = try fields.optional("sysctl") ?? [:]
    self.settings = settings.sorted { $0.key < $1.key }.map { LabFile.Setting(name: $0.key, value: $0.value.text) }
    if let setting = self.settings.first(where: { !$0.name.hasPrefix("net.") || $0.name.contains("/") }) {
      throw LabFileError(
        "\(fields.place("sysctl")).\(setting.name)",
        "only settings below net. belong to a host, such as net.mptcp.scheduler")
    }
    guard let multipath: MultipathSettings = try fields.optional("mptcp") else { return }
    subflowLimit = multipath.subflowLimit ?? subflowLimit
    acceptedAddressLimit = multipath.acceptedAddressLimit ?? acceptedAddressLimit
    endpoints = multipath.endpoints
  }
}

/// The value of a kernel setting: a text or a number.
private struct SettingValue: Decodable {
  let text: String

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let number = try? container.decode(Int.self) {
      text = "\(number)"
    } else {
      text = try container.decode(String.self)
    }
  }
}

private struct MultipathSettings: Decodable {
  let subflowLimit: Int?
  let acceptedAddressLimit: Int?
  let endpoints: [LabFile.Endpoint]

  init(from decoder: any Decoder) throws {
    let fields = try Fields(decoder, "subflows", "add_addr_accepted", "endpoints")
    func limit(_ key: String) throws -> Int? {
      guard let value: Int = try fields.optional(key) else { return nil }
      guard (0...8).contains(value) else { throw LabFileError(fields.place(key), "\(value) is not in 0 to 8") }
      return value
    }
    subflowLimit = try limit("subflows")
    acceptedAddressLimit = try limit("add_addr_accepted")
    if let uses: Uses = try fields.optionalText("endpoints") {
      endpoints = [LabFile.Endpoint(path: "", uses: uses.values)]
    } else {
      endpoints = try fields.optional("endpoints") ?? []
    }
  }
}

/// `"subflow"` or `"signal,fullmesh"`.
private struct Uses: Decodable {
  let values: [LabFile.Endpoint.Use]

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    values = try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
      guard let use = LabFile.Endpoint.Use(rawValue: word.filter { $0 != " " }) else {
        let all = LabFile.Endpoint.Use.allCases.map(\.rawValue).joined(separator: ", ")
        throw LabFileError(container.codingPath.place, "'\(word)' is none of \(all)")
      }
      return use
    }
  }
}

extension LabFile.Endpoint: Decodable {
  package init(from decoder: any Decoder) throws {
    let fields = try Fields(decoder, "path", "use")
    path = try fields.required("path")
    uses = (try fields.required("use") as Uses).values
  }
}

extension LabFile.Device: Decodable {
  package init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard let device = Self(rawValue: text) else {
      let all = Self.allCases.map(\.rawValue).joined(separator: ", ")
      throw LabFileError(container.codingPath.place, "'\(text)' is none of \(all)")
    }
    self = device
  }
}

extension LabFile.Path: Decodable {
  package init(from decoder: any Decoder) throws {
    let fields = try Fields(decoder, "name", "between", "device", "mtu", "link", "boxes", "addresses")
    let hosts: [String] = try fields.required("between")
    guard hosts.count == 2 else {
      throw LabFileError(fields.place("between"), "a path has two ends, such as [\"client\", \"server\"]")
    }
    self.init(name: try fields.required("name"), first: .init(host: hosts[0]), second: .init(host: hosts[1]))
    device = try fields.optional("device") ?? .automatic
    maximumTransmissionUnit = try fields.optional("mtu") ?? 1500
    guard (68...65_535).contains(maximumTransmissionUnit) else {
      throw LabFileError(fields.place("mtu"), "\(maximumTransmissionUnit) is not in 68 to 65535")
    }
    if let both: LinkText = try fields.optionalText("link") {
      first.link = both.configuration
      second.link = both.configuration
    } else if let links: [String: LinkText] = try fields.optional("link") {
      try fields.refuseOthers(in: links, "link", hosts)
      if let link = links[hosts[0]] { first.link = link.configuration }
      if let link = links[hosts[1]] { second.link = link.configuration }
    }
    if let boxes: [MiddleboxConfiguration] = try fields.optionalList("boxes") {
      first.boxes = boxes
    } else if let boxes: [String: [MiddleboxConfiguration]] = try fields.optional("boxes") {
      try fields.refuseOthers(in: boxes, "boxes", hosts)
      first.boxes = boxes[hosts[0]] ?? []
      second.boxes = boxes[hosts[1]] ?? []
    }
    if let addresses: [String: [AddressText]] = try fields.optional("addresses") {
      try fields.refuseOthers(in: addresses, "addresses", hosts)
      first.addresses = (addresses[hosts[0]] ?? []).map(\.prefix)
      second.addresses = (addresses[hosts[1]] ?? []).map(\.prefix)
    }
  }
}

extension Fields {
  /// The value if it is a text; other kinds of value have another reading.
  fileprivate func optionalText<Value: Decodable>(_ key: String) throws -> Value? {
    guard has(key), (try? required(key) as String) != nil else { return nil }
    let value: Value = try required(key)
    return value
  }

  /// The value if it is a list; an object has another reading.
  fileprivate func optionalList<Value: Decodable>(_ key: String) throws -> [Value]? {
    guard has(key), isList(key) else { return nil }
    let values: [Value] = try required(key)
    return values
  }

  fileprivate func refuseOthers<Value>(in values: [String: Value], _ key: String, _ hosts: [String]) throws {
    if let other = values.keys.sorted().first(where: { !hosts.contains($0) }) {
      throw LabFileError("\(place(key)).\(other)", "no end of this path; its ends are \(hosts[0]) and \(hosts[1])")
    }
  }
}

private struct LinkText: Decodable {
  let configuration: LinkConfiguration

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    do throws(LinkTextError) {
      var configuration = try LinkConfiguration(parsing: text)
      // A line with a rate and an endless queue would be filled by any sender until its memory ends.
      if let rate = configuration.highestRate, configuration.queueByteCount == nil,
        configuration.queuePacketCount == nil
      {
        configuration.queueByteCount = max(rate / 80, 30_000)
      }
      self.configuration = configuration
    } catch {
      throw LabFileError(container.codingPath.place, error.description)
    }
  }
}

extension LinkConfiguration {
  /// The highest of the line's rates, now and later; nil for a line that never has one.
  fileprivate var highestRate: Int? {
    let later = schedule.compactMap { event in if case .rate(let rate) = event.change { rate } else { nil } }
    return (later + [bitsPerSecond].compactMap { $0 }).max()
  }
}

private struct AddressText: Decodable {
  let prefix: IPPrefix

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    let text = try container.decode(String.self)
    guard text.contains("/"), let prefix = IPPrefix(text) else {
      throw LabFileError(
        container.codingPath.place, "'\(text)': an address and its network's length such as 10.0.1.1/24")
    }
    self.prefix = prefix
  }
}

extension LabFile.BackgroundCommand: Decodable {
  package init(from decoder: any Decoder) throws {
    let fields = try Fields(decoder, "in", "command", "listens")
    host = try fields.required("in")
    arguments = try fields.required("command")
    let port: Int? = try fields.optional("listens")
    if let port, !(1...65_535).contains(port) { throw LabFileError(fields.place("listens"), "a port of 1 to 65535") }
    listeningPort = port.map { UInt16($0) }
    guard !arguments.isEmpty else { throw LabFileError(fields.place("command"), "a program and its arguments") }
  }
}
