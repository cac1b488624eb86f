/// A table in plain text: a header, a rule, and rows; columns as wide as their widest cell.
public struct TextTable: Sendable {
  /// Where a column's cells stand.
  public enum Alignment: Sendable {
    /// Text.
    case left
    /// Numbers.
    case right
  }

  private let header: [String]
  private let alignments: [Alignment]
  private var rows: [[String]] = []

  /// Makes an empty table.
  public init(_ columns: [(title: String, alignment: Alignment)]) {
    header = columns.map(\.title)
    alignments = columns.map(\.alignment)
  }

  /// Adds a row; missing cells are empty, surplus ones are not shown.
  public mutating func append(_ cells: [String]) {
    rows.append(Array((cells + Array(repeating: "", count: header.count)).prefix(header.count)))
  }

  /// The lines of the table, for a terminal.
  public var lines: [String] {
    let widths = self.widths
    let rule = widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
    return [line(header, widths), rule] + rows.map { line($0, widths) }
  }

  /// The lines of the table in Markdown.
  public var markdown: [String] {
    let widths = self.widths
    let rule = zip(alignments, widths).map { alignment, width in
      alignment == .left ? String(repeating: "-", count: width) : String(repeating: "-", count: max(width - 1, 1)) + ":"
    }
    return ([header, rule] + rows).map { "| " + cells($0, widths).joined(separator: " | ") + " |" }
  }

  private var widths: [Int] {
    header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
  }

  private func cells(_ row: [String], _ widths: [Int]) -> [String] {
    row.indices.map { column in
      let space = String(repeating: " ", count: max(0, widths[column] - row[column].count))
      return alignments[column] == .left ? row[column] + space : space + row[column]
    }
  }

  private func line(_ row: [String], _ widths: [Int]) -> String {
    var text = cells(row, widths).joined(separator: "  ")
    while text.last == " " { text.removeLast() }
    return text
  }
}
