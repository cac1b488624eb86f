// What two unlike paths give together, in virtual time, by scheduler: the measurement of docs/schedulers.md.
//
//   aggregation-bench aggregation [SCHEDULER,…] [BUFFERS] [PER-ENVIRONMENT] [PACKETS] [FIRST] [LAST]
//   aggregation-bench failover [SCHEDULER,…] [PER-ENVIRONMENT] [FIRST] [LAST] [RUN]
//   aggregation-bench table < LINES
//   aggregation-bench setting INDEX SCHEDULER BUFFERS
//
// BUFFERS is large, small or both. The benefit is (goodput − better) ÷ the other's goodput, and where the goodput is
// below the better path's own, that difference ÷ the better one's: 1 is the sum of both, 0 the better path alone.
// Goodput is what the application reads in the last two thirds of a bulk transfer; the paths' own are plain TCP's, with
// the same congestion control, seed and buffer.
//
// RUN, 0 by default, is a number that chance comes from: the same settings with other losses.
//
// Each result is a line of its own, so that the grid may be measured in pieces; `table` makes the tables of
// docs/schedulers.md from such lines, be they one run's or several runs'.
import MPTCPCore
import MPTCPWire

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Long runs are watched: each line goes out at once.
func say(_ line: String) {
  print(line)
  fflush(nil)
}

func goodput(
  _ setting: Setting, only: Int? = nil, scheduler: Scheduler, buffer: Int, packets: Double
) throws -> (rate: Double, simulation: Simulation) {
  let simulation = try Simulation(
    setting, only: only, scheduler: scheduler, bufferByteCount: buffer, seed: UInt64(setting.index) + 1)
  let duration = setting.duration(packets: packets)
  let start = simulation.now
  simulation.run(until: start + Nanoseconds(Int64(duration / 2 * 1e9)))
  let before = simulation.receivedByteCount
  simulation.run(until: start + Nanoseconds(Int64(duration * 1.5 * 1e9)))
  return (Double(simulation.receivedByteCount - before) / duration, simulation)
}

func benefit(_ together: Double, _ alone: [Double]) -> Double {
  let better = max(alone[0], alone[1])
  let other = min(alone[0], alone[1])
  return together >= better ? (together - better) / max(other, 1) : (together - better) / max(better, 1)
}

func schedulers(_ text: String?) -> [Scheduler] {
  guard let text, text != "all" else { return Scheduler.allNames.compactMap { Scheduler(name: $0) } }
  return text.split(separator: ",").compactMap { Scheduler(name: String($0)) }
}

/// The settings that are asked for: FIRST to LAST of a design with so many in each environment.
func settings(_ arguments: [String], count countIndex: Int, first firstIndex: Int) -> ArraySlice<Setting> {
  func number(_ index: Int) -> Int? { arguments.count > index ? Int(arguments[index]) : nil }
  let all = grid(perEnvironment: number(countIndex) ?? 52)
  let first = min(max(number(firstIndex) ?? 0, 0), all.count)
  let last = min(number(firstIndex + 1) ?? .max, all.count - 1)
  return first <= last ? all[first...last] : []
}

func aggregation(_ arguments: [String]) throws {
  let schedulers = schedulers(arguments.first)
  let buffers = arguments.count > 1 && arguments[1] != "both" ? [arguments[1]] : ["large", "small"]
  let packets = arguments.count > 3 ? Double(arguments[3]) ?? 60_000 : 60_000
  for setting in settings(arguments, count: 2, first: 4) {
    for buffer in buffers {
      let byteCount = buffer == "large" ? setting.largeBuffer : setting.smallBuffer
      let alone = try (0..<2).map {
        try goodput(setting, only: $0, scheduler: .standard, buffer: byteCount, packets: packets).rate
      }
      for scheduler in schedulers {
        let together = try goodput(setting, scheduler: scheduler, buffer: byteCount, packets: packets).rate
        say(
          AggregationResult(
            scheduler: scheduler.name, buffer: buffer, setting: setting.index, benefit: benefit(together, alone),
            text: "\(rounded(together * 8 / 1e6)) of \(alone.map { rounded($0 * 8 / 1e6) }.joined(separator: " + ")), "
              + "\(byteCount >> 10) KiB: \(setting.text)"
          ).line)
      }
    }
  }
}

/// From the moment one path goes silent to the next in-order byte: in seconds, with the bound that it is to keep.
func failover(_ setting: Setting, dead: Int, scheduler: Scheduler, run: UInt64) throws -> (
  first: Double, longest: Double, bound: Double
) {
  let simulation = try Simulation(
    setting, scheduler: scheduler, bufferByteCount: setting.largeBuffer, seed: UInt64(setting.index) + 1 + run << 16)
  let warmUp = min(max(10, 30 * (setting.paths.map(\.longestRoundTrip).max() ?? 0)), 60)
  simulation.run(until: simulation.now + Nanoseconds(Int64(warmUp * 1e9)))
  let survivor = 1 - dead
  var roundTrip = setting.paths[survivor].roundTripMilliseconds / 1000 + simulation.queueingDelay(survivor)
  var probe = 0.0
  for subflow in simulation.description?.subflows ?? [] where Int(subflow.path.rawValue) == dead {
    let smoothed = (subflow.smoothedRoundTripTime ?? .milliseconds(500)).seconds
    // RFC 8985 §7.2, with the delayed acknowledgement of a lone segment.
    probe = max(2 * smoothed, 0.01) + (subflow.inFlightByteCount <= 1448 ? 0.2 : 0)
  }
  simulation.silence(dead)
  let start = simulation.now
  let before = simulation.receivedByteCount
  simulation.run(until: start + .seconds(60)) { simulation.receivedByteCount == before }
  let first = (simulation.now - start).seconds
  // The queue that the reinjected data finds counts as well.
  var longest = roundTrip
  for _ in 0..<40 {
    longest = max(longest, setting.paths[survivor].roundTripMilliseconds / 1000 + simulation.queueingDelay(survivor))
    simulation.run(until: simulation.now + Nanoseconds(Int64((2 * roundTrip + probe) / 20 * 1e9)))
  }
  roundTrip = longest
  return (first, simulation.longestPause.seconds, 2 * roundTrip + probe)
}

func failovers(_ arguments: [String]) throws {
  let run = arguments.count > 4 ? UInt64(arguments[4]) ?? 0 : 0
  for setting in settings(arguments, count: 1, first: 2) {
    for scheduler in schedulers(arguments.first) {
      for dead in 0..<2 {
        let result = try failover(setting, dead: dead, scheduler: scheduler, run: run)
        say(
          FailoverResult(
            scheduler: scheduler.name, setting: setting.index, dead: dead, first: result.first / result.bound,
            longest: result.longest / result.bound,
            text: "first \(rounded(result.first * 1000)) longest \(rounded(result.longest * 1000)) "
              + "bound \(rounded(result.bound * 1000)) ms: \(setting.text)"
          ).line)
      }
    }
  }
}

func single(_ arguments: [String]) throws {
  let settings = grid(perEnvironment: 52)
  guard arguments.count >= 3, let index = Int(arguments[0]), settings.indices.contains(index),
    let scheduler = Scheduler(name: arguments[1])
  else { return print("setting INDEX SCHEDULER BUFFERS") }
  let setting = settings[index]
  let byteCount = arguments[2] == "large" ? setting.largeBuffer : setting.smallBuffer
  print(setting.text, "buffer", byteCount)
  for path in 0..<2 {
    let alone = try goodput(setting, only: path, scheduler: scheduler, buffer: byteCount, packets: 60_000)
    print("alone \(path): \(rounded(alone.rate * 8 / 1e6)) Mbit/s", alone.simulation.description?.subflows.first as Any)
  }
  let simulation = try Simulation(
    setting, scheduler: scheduler, bufferByteCount: byteCount, seed: UInt64(setting.index) + 1)
  let step = setting.duration(packets: 60_000) * 1.5 / 40
  var before = 0
  for _ in 0..<40 {
    simulation.run(until: simulation.now + Nanoseconds(Int64(step * 1e9)))
    var line = "\(rounded(simulation.now.nanosecondsSince))"
    line += " \(rounded(Double(simulation.receivedByteCount - before) * 8 / step / 1e6)) Mbit/s"
    before = simulation.receivedByteCount
    for subflow in simulation.description?.subflows ?? [] {
      line += " | \(subflow.path.rawValue) srtt \(rounded(subflow.smoothedRoundTripTime?.milliseconds ?? 0))"
      line += " cwnd \(subflow.congestionWindowByteCount >> 10)K in flight \(subflow.inFlightByteCount >> 10)K"
      line += " sent \(subflow.sentByteCount >> 10)K again \(subflow.retransmittedByteCount >> 10)K"
      line +=
        " reinjected \(subflow.reinjectedByteCount >> 10)K queue \(rounded(simulation.queueingDelay(Int(subflow.path.rawValue)) * 1000))"
    }
    say(line)
  }
}

extension Instant {
  var nanosecondsSince: Double { Double(nanoseconds - 1_000_000_000) / 1e9 }
}

let arguments = Array(CommandLine.arguments.dropFirst())
switch arguments.first {
case "aggregation": try aggregation(Array(arguments.dropFirst()))
case "failover": try failovers(Array(arguments.dropFirst()))
case "table": tables()
case "setting": try single(Array(arguments.dropFirst()))
default: print("aggregation-bench aggregation|failover|table|setting …")
}
