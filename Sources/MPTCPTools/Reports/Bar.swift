/// A horizontal bar of block characters, drawn to an eighth of a cell.
public func bar(_ share: Double, width: Int) -> String {
  guard width > 0, share.isFinite else { return "" }
  let eighths = Int((min(max(share, 0), 1) * Double(width) * 8).rounded())
  let blocks: [Character] = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
  var text = String(repeating: "█", count: eighths / 8)
  if eighths % 8 > 0 { text.append(blocks[eighths % 8]) }
  return text + String(repeating: " ", count: width - text.count)
}
