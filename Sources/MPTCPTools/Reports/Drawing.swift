/// A picture in SVG, drawn from the top down: text, areas, lines. Colours are readable on light and dark pages.
public struct Drawing: Sendable {
  /// The colours of things that are told apart by them.
  public static let colours = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#a855f7", "#22d3ee", "#f472b6", "#a3e635"]

  private let width: Double
  private var body = ""

  /// An empty picture.
  public init(width: Double) { self.width = width }

  /// The colour of the thing with this number.
  public static func colour(_ index: Int) -> String { colours[index % colours.count] }

  /// The document.
  ///
  /// - Parameter height: where the last thing ends.
  public func svg(height: Double) -> String {
    """
    <svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 \(number(width)) \(number(height))' width='\(number(width))' \
    height='\(number(height))' font-family='ui-sans-serif, system-ui, sans-serif'>
    <rect width='100%' height='100%' rx='8' fill='#0f172a'/>
    \(body)</svg>

    """
  }

  /// Writes text whose base line begins, is centred or ends at a point.
  public mutating func text(
    _ content: String, x: Double, y: Double, size: Int = 12, bold: Bool = false, anchor: String = "start"
  ) {
    var escaped = ""
    for scalar in content.unicodeScalars {
      switch scalar {
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "&": escaped += "&amp;"
      // No XML document has these (XML 1.0 §2.2).
      case "\0"..."\u{8}", "\u{B}", "\u{C}", "\u{E}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": escaped += "\u{FFFD}"
      case _: escaped.unicodeScalars.append(scalar)
      }
    }
    body += "<text x='\(number(x))' y='\(number(y))' font-size='\(size)' fill='#e2e8f0' text-anchor='\(anchor)'"
    body += (bold ? " font-weight='600'" : "") + ">\(escaped)</text>\n"
  }

  /// Fills a rectangle.
  public mutating func rectangle(x: Double, y: Double, width: Double, height: Double, fill: String, opacity: Double = 1)
  {
    body += "<rect x='\(number(x))' y='\(number(y))' width='\(number(width))' height='\(number(height))' "
    body += "fill='\(fill)'\(opacity < 1 ? " fill-opacity='\(decimal(opacity, places: 2))'" : "")/>\n"
  }

  /// Draws a line through points.
  public mutating func line(_ points: [(x: Double, y: Double)], colour: String, width: Double = 1.5) {
    guard points.count > 1 else { return }
    let text = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    body += "<polyline points='\(text)' fill='none' stroke='\(colour)' stroke-width='\(number(width))'/>\n"
  }

  /// Fills the area between points.
  public mutating func area(_ points: [(x: Double, y: Double)], fill: String, opacity: Double = 1) {
    guard points.count > 2 else { return }
    let text = points.map { "\(number($0.x)),\(number($0.y))" }.joined(separator: " ")
    body += "<polygon points='\(text)' fill='\(fill)' fill-opacity='\(decimal(opacity, places: 2))'/>\n"
  }

  private func number(_ value: Double) -> String { decimal(value, places: 1) }
}
