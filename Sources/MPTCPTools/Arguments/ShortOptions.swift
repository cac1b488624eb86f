/// Short options as netcat's users write them: several letters in one word, a value right behind its letter.
///
/// `-zvw2` becomes `-z -v -w 2`, `-lp80` becomes `-l -p 80`. Words that hold a letter which is none of them stay as
/// they are, for the parser to refuse; so does everything behind `--`.
public struct ShortOptions: Sendable {
  private let flags: Set<Character>
  private let valued: Set<Character>

  /// Makes the splitter for these letters: those that stand alone, and those that take a value.
  public init(flags: String, valued: String) {
    self.flags = Set(flags)
    self.valued = Set(valued)
  }

  /// The arguments, each letter a word of its own.
  public func split(_ arguments: [String]) -> [String] {
    var words: [String] = []
    var rest = arguments[...]
    while let word = rest.popFirst() {
      if word == "--" { return words + [word] + rest }
      guard let pieces = pieces(of: word) else {
        words.append(word)
        continue
      }
      words += pieces
      // A letter that ends its word takes the next one, whatever that looks like.
      if let letter = pieces.last?.dropFirst().first, pieces.last?.count == 2, valued.contains(letter),
        let value = rest.popFirst()
      {
        // Joined by '=', a value that begins with '-' is no option.
        words[words.count - 1] += "=" + value
      }
    }
    return words
  }

  private func pieces(of word: String) -> [String]? {
    guard word.count > 1, word.hasPrefix("-"), !word.hasPrefix("--") else { return nil }
    var pieces: [String] = []
    var letters = word.dropFirst()
    while let letter = letters.popFirst() {
      pieces.append("-\(letter)")
      if valued.contains(letter) {
        guard !letters.isEmpty else { return pieces }
        pieces[pieces.count - 1] += letters.hasPrefix("=") ? String(letters) : "=" + letters
        return pieces
      }
      guard flags.contains(letter) else { return nil }
    }
    return pieces
  }
}
