// The three goals of RFC 6356 §2 at shared bottlenecks, in virtual time: the table of docs/congestion.md.
//
//   coupled-bench [SEEDS] [SECONDS] [NAME,…]
//
// Each figure is the median of SEEDS runs (5) of SECONDS (240) after 30 s, with the least and the most in brackets.
import MPTCPSimulator

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

let arguments = Array(CommandLine.arguments.dropFirst())
let seedCount = max(arguments.first.flatMap { Int($0) } ?? 5, 1)
let duration = max(arguments.dropFirst().first.flatMap { Int($0) } ?? 240, 10)
let names = arguments.dropFirst(2).first?.split(separator: ",").map(String.init)

/// Long runs are watched: each line goes out at once.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

func rounded(_ value: Double) -> String {
  let hundredths = Int((value * 100).rounded())
  return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10)"
}

/// The median, and in brackets the least and the most.
func spread(_ values: [Double]) -> String {
  let sorted = values.sorted()
  return "\(rounded(sorted[sorted.count / 2])) (\(rounded(sorted[0]))–\(rounded(sorted[sorted.count - 1])))"
}

// Two paths with a bottleneck each, of 10 and 4 Mbit/s, and one TCP on each.
let separate = Setting(trunks: [10, 4], paths: [0, 1], rivals: [1, 1])
// Both paths over one bottleneck of 20 Mbit/s, with one TCP, and alone.
let shared = Setting(trunks: [20], paths: [0, 0], rivals: [1])
let alone = Setting(trunks: [20], paths: [0, 0], rivals: [0])
// Two paths of 10 Mbit/s; four TCPs on the first, one on the second.
let congested = Setting(trunks: [10, 10], paths: [0, 1], rivals: [4, 1])

say(
  "| controller | one TCP is | queue | a path's worth | share of one TCP | instead of it | bottleneck in use | alone "
    + "| on the congested path |")
say("|---|---|--:|--:|--:|--:|--:|--:|--:|")
for contestant in Contestant.all where names?.contains(contestant.name) ?? true {
  var worth: [Double] = []
  var harm: [Double] = []
  var place: [Double] = []
  var use: [Double] = []
  var aloneUse: [Double] = []
  var move: [Double] = []
  for seed in 1...UInt64(seedCount) {
    func run(_ setting: Setting) throws -> Outcome {
      try setting.run(contestant, seed: seed, warmUp: 30, seconds: duration)
    }
    var single = separate
    single.isMultipath = false
    worth.append(try run(separate).rates[0] / run(single).rates[0])
    let together = try run(shared)
    harm.append(together.rates[0] / together.rates[1])
    var instead = shared
    instead.isMultipath = false
    place.append(together.rates[0] / (try run(instead).rates[0]))
    use.append(together.use[0])
    aloneUse.append(try run(alone).use[0])
    let busy = try run(congested)
    let rivals = busy.rates[1...4].reduce(0, +) / 4
    move.append(busy.pathRates[0] / rivals)
  }
  say(
    "| `\(contestant.name)` | `\(contestant.rival)` | \(contestant.queueDepth) | \(spread(worth)) | \(spread(harm)) | "
      + "\(spread(place)) | \(spread(use)) | \(spread(aloneUse)) | \(spread(move)) |")
}
