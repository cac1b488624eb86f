import MPTCPWire

extension LabFile {
  /// What no single key can know: names that occur twice, or that nobody has.
  func check() throws(LabFileError) {
    guard !paths.isEmpty else { throw LabFileError("paths", "at least one path is wanted") }
    // 64 networks of each family are planned for.
    guard paths.count <= 64 else { throw LabFileError("paths", "more than 64") }
    for (index, host) in hosts.enumerated() {
      try checkName(host.name, limit: 32, at: "hosts[\(index)].name")
      if hosts[..<index].contains(where: { $0.name == host.name }) {
        throw LabFileError("hosts[\(index)].name", "'\(host.name)' is another host's name already")
      }
      for endpoint in host.endpoints where !isPath(endpoint.path, of: host.name) {
        throw LabFileError(
          "hosts[\(index)].mptcp.endpoints", "'\(endpoint.path)' is no path of \(host.name)")
      }
    }
    for (index, path) in paths.enumerated() {
      try checkName(path.name, limit: 15, at: "paths[\(index)].name")
      guard path.name != "lo" else {
        throw LabFileError("paths[\(index)].name", "'lo' is the loopback's; take another")
      }
      if paths[..<index].contains(where: { $0.name == path.name }) {
        throw LabFileError("paths[\(index)].name", "'\(path.name)' is another path's name already")
      }
      guard path.first.host != path.second.host else {
        throw LabFileError("paths[\(index)].between", "both ends are \(path.first.host); a path leads to another host")
      }
      try checkAddresses(of: path, at: index)
    }
    for (index, command) in commands.enumerated() {
      guard host(command.host) != nil else { throw LabFileError("run[\(index)].in", unknownHost(command.host)) }
      for argument in command.arguments {
        if let problem = strayPlaceholder(in: argument) { throw LabFileError("run[\(index)].command", problem) }
      }
    }
  }

  /// What is wrong with an argument that names a host in braces, and behind it a path that the host does not have; nil
  /// if nothing is. Other braces mean something to somebody else.
  package func strayPlaceholder(in argument: String) -> String? {
    for host in hosts {
      for rest in argument.split(separator: "{\(host.name).", omittingEmptySubsequences: false).dropFirst() {
        guard let end = rest.firstIndex(of: "}") else { continue }
        var name = String(rest[..<end])
        if name.hasSuffix("/6") { name.removeLast(2) }
        if isPath(name, of: host.name) || !Self.isPlain(name) { continue }
        let known = paths.filter { path in path.ends.contains { $0.host == host.name } }.map(\.name)
        return "'{\(host.name).\(rest[..<end])}': \(host.name) has no path '\(name)'; its paths are "
          + known.joined(separator: ", ")
      }
    }
    return nil
  }

  /// What an argument seems to mean that has a word in braces which is almost a host's name; nil if it has none. It
  /// stays as it is: it may mean something to the command.
  package func misspelledPlaceholder(in argument: String) -> String? {
    var before: Character?
    for piece in argument.split(separator: "{", omittingEmptySubsequences: false) {
      defer { before = piece.last ?? "{" }
      // (The first piece has no brace in front of it.)
      guard piece.startIndex != argument.startIndex, before != "$", let end = piece.firstIndex(of: "}") else {
        continue
      }
      let word = piece[..<end], name = String(word.prefix { $0 != "." && $0 != "/" })
      guard Self.isPlain(name), !name.isEmpty, host(name) == nil else { continue }
      let rest = String(word.dropFirst(name.count))
      guard rest.allSatisfy({ $0 == "." || $0 == "/" || Self.isPlain(String($0)) }) else { continue }
      guard let meant = hosts.first(where: { Self.isAlmost(name, $0.name) }) else { continue }
      return "'{\(word)}' stays as it is, since there is no host '\(name)'; is '{\(meant.name)\(rest)}' meant?"
    }
    return nil
  }

  /// Whether a name is another one with a slip or two of the finger; the shorter it is, the fewer.
  private static func isAlmost(_ name: String, _ other: String) -> Bool {
    let (name, other) = (Array(name.lowercased()), Array(other.lowercased()))
    let limit = min(2, other.count / 3)
    guard abs(name.count - other.count) <= limit else { return false }
    // Levenshtein's distance, row by row.
    var row = Array(0...other.count)
    for (index, letter) in name.enumerated() {
      var (diagonal, left) = (row[0], index + 1)
      row[0] = left
      for column in other.indices {
        let distance = min(diagonal + (letter == other[column] ? 0 : 1), row[column + 1] + 1, left + 1)
        (diagonal, left) = (row[column + 1], distance)
        row[column + 1] = distance
      }
    }
    return row[other.count] <= limit
  }

  /// That there is no such host, and which there are.
  package func unknownHost(_ name: String) -> String {
    "there is no host '\(name)'; the hosts are \(hosts.map(\.name).joined(separator: ", "))"
  }

  private func isPath(_ name: String, of host: String) -> Bool {
    paths.contains { path in path.name == name && path.ends.contains { $0.host == host } }
  }

  /// Names become devices, variables and files.
  /// Whether a text has only what a name may have.
  private static func isPlain(_ name: String) -> Bool {
    name.utf8.allSatisfy { octet in
      switch octet {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
        true
      default: false
      }
    }
  }

  private func checkName(_ name: String, limit: Int, at place: String) throws(LabFileError) {
    guard Self.isPlain(name), (1...limit).contains(name.utf8.count) else {
      throw LabFileError(place, "'\(name)': 1 to \(limit) letters, digits, '-' and '_'")
    }
  }

  private func checkAddresses(of path: Path, at index: Int) throws(LabFileError) {
    for (end, other) in [(path.first, path.second), (path.second, path.first)] {
      for prefix in end.addresses {
        let place = "paths[\(index)].addresses.\(end.host)"
        guard other.addresses.contains(where: { $0.address.family == prefix.address.family }) else {
          throw LabFileError(place, "\(prefix.address) has no address of its family at \(other.host)'s end")
        }
        guard !other.addresses.contains(where: { $0.address == prefix.address }) else {
          throw LabFileError(place, "\(prefix.address) is \(other.host)'s address too")
        }
      }
    }
  }
}
