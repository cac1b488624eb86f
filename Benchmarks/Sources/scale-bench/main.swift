// How many connections one process bears, in virtual time: memory and time of each.
//
//   scale-bench idle [COUNT] [SUBFLOWS]
//   scale-bench short [COUNT]
//
// `idle` opens COUNT connections (1,000,000) with SUBFLOWS subflows (1), has each carry a little, and leaves them open;
// `short` opens COUNT (10,000,000), one after the other. The status is 1 where memory is beyond the bound that is
// printed.
import Glibc

/// Long runs are watched: each line goes out at once.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

func seconds(_ duration: Duration) -> Double {
  Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
}

/// At most two digits behind the point.
func rounded(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }

func padded(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(width - text.count, 0)) + text }

func padded(_ number: Int, _ width: Int) -> String { padded("\(number)", width) }

func number(_ position: Int, _ usual: Int) -> Int {
  CommandLine.arguments.count > position ? max(Int(CommandLine.arguments[position]) ?? usual, 1) : usual
}

let isRight: Bool
switch CommandLine.arguments.dropFirst().first {
case "idle":
  let subflowCount = number(3, 1)
  let bound = 2048 + 2048 * subflowCount
  say("bound: \(bound) bytes an end")
  isRight = try IdleConnections(count: number(2, 1_000_000), subflowCount: subflowCount).run(bound: bound)
case "short":
  let bound = 256 << 10
  say("bound: \(bound) bytes of growth")
  var connections = try ShortConnections()
  isRight = try connections.run(number(2, 10_000_000), bound: bound)
default:
  say("scale-bench idle [COUNT] [SUBFLOWS] | scale-bench short [COUNT]")
  isRight = false
}
exit(isRight ? 0 : 1)
