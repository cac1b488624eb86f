import MPTCPTools
import Testing

@Suite("Rendering")
struct RenderingTests {
  @Test(
    "Numbers keep their places and round",
    arguments: [
      (0.0, 2, "0.00"), (0.005, 2, "0.01"), (1.25, 1, "1.3"), (-1.5, 1, "-1.5"), (-0.01, 1, "0.0"), (12, 0, "12"),
      (.infinity, 1, "–"), (1e300, 1, "–"),
    ])
  func decimals(value: Double, places: Int, expected: String) { #expect(decimal(value, places: places) == expected) }

  @Test(
    "Byte counts take the unit that leaves three digits",
    arguments: [
      (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (67_108_864, "67.1 MB"), (999_600, "1.00 MB"),
      (1 << 40, "1.10 TB"),
    ])
  func byteCounts(count: Int, expected: String) { #expect(text(byteCount: count) == expected) }

  @Test(
    "Times take the unit that leaves three digits",
    arguments: [(0.0005, "500 µs"), (0.0241, "24.1 ms"), (3.5161, "3.52 s")])
  func times(seconds: Double, expected: String) { #expect(text(seconds: seconds) == expected) }

  @Test("A text in a drawing is text, whatever is in it")
  func drawnText() {
    var drawing = Drawing(width: 10)
    drawing.text("a]]><b>&\u{1B}[1m\u{0}\u{FFFE}\t.", x: 0, y: 0)
    #expect(drawing.svg(height: 10).contains(">a]]&gt;&lt;b&gt;&amp;\u{FFFD}[1m\u{FFFD}\u{FFFD}\t.</text>"))
  }

  @Test("A bar is as wide as asked, whatever the share", arguments: [-1, 0, 0.03, 0.5, 0.999, 1, 7, .nan])
  func bars(share: Double) { #expect(bar(share, width: 10).count == (share.isNaN ? 0 : 10)) }

  @Test("A half-full bar is half full")
  func halfBar() {
    #expect(bar(0.5, width: 4) == "██  ")
    #expect(bar(0.5, width: 3) == "█▌ ")
  }

  @Test("A table's columns line up")
  func table() {
    var table = TextTable([("name", .left), ("bytes", .right)])
    table.append(["a", "1"])
    table.append(["longer"])
    #expect(table.lines == ["name    bytes", "──────  ─────", "a           1", "longer"])
    #expect(table.markdown[1] == "| ------ | ----: |")
  }

  @Test("A progress line fits the terminal and carries every number")
  func progressLine() {
    let progress = PathProgress(name: "tun0", byteCount: 18_200_000, bitsPerSecond: 31.2e6, roundTripTime: 0.024)
    let line = progress.line(fullScale: 62.4e6, nameWidth: 6, width: 80)
    #expect(line.count < 80)
    #expect(line.contains("31.2 Mbit/s") && line.contains("24.0 ms") && line.contains("18.2 MB") && line.contains("█"))
    #expect(progress.line(fullScale: 0, nameWidth: 6, width: 20).count < 20)
  }

  @Test("A meter gives the mean of the last second")
  func rate() {
    var meter = RateMeter()
    #expect(meter.rate(at: 0, byteCount: 0) == 0)
    #expect(meter.rate(at: 0.5, byteCount: 500) == 8000)
    _ = meter.rate(at: 1, byteCount: 500)
    #expect(meter.rate(at: 1.5, byteCount: 500) == 0)
  }

  @Test("A live block replaces what it drew before")
  func liveBlock() {
    var block = LiveBlock()
    #expect(block.drawing(["a", "b"]) == "a\nb\n")
    #expect(block.drawing(["c"]) == "\u{1B}[2A\r\u{1B}[Jc\n")
    #expect(block.clearing() == "\u{1B}[1A\r\u{1B}[J")
    #expect(block.clearing() == "")
  }
}
