// What two unlike paths give together, in virtual time, by scheduler: the measurement of docs/performance.md.
//
//   aggregation-bench aggregation [SCHEDULER,…] [BUFFERS] [PER-ENVIRONMENT] [PACKETS] [FIRST] [LAST]
//   aggregation-bench failover [SCHEDULER,…] [PER-ENVIRONMENT]
//   aggregation-bench setting INDEX SCHEDULER BUFFERS
//
// BUFFERS is large, small or both. The benefit is (goodput − better) ÷ the other's goodput, and where the goodput is
// below the better path's own, that difference ÷ the better one's: 1 is the sum of both, 0 the better path alone.
// Goodput is what the application reads in the last two thirds of a bulk transfer; the paths' own are plain TCP's, with
// the same congestion control, seed and buffer.
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

/// What a mapping with its DATA_ACK takes of a segment: a share of the goodput that no scheduler can win back.
let optionShare = 1424.0 / 1448.0

func benefit(_ together: Double, _ alone: [Double]) -> Double {
  let better = max(alone[0], alone[1])
  let other = min(alone[0], alone[1])
  return together >= better ? (together - better) / max(other, 1) : (together - better) / max(better, 1)
}

func quantile(_ sorted: [Double], _ share: Double) -> Double {
  guard !sorted.isEmpty else { return .nan }
  let position = share * Double(sorted.count - 1)
  let low = Int(position)
  let high = min(low + 1, sorted.count - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
}

func distribution(_ name: String, _ values: [Double]) {
  let sorted = values.sorted()
  let points = [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1].map { rounded(quantile(sorted, $0)) }
  print("\(name): min, 5 %, 25 %, 50 %, 75 %, 95 %, max: \(points.joined(separator: "  "))")
}

func schedulers(_ text: String?) -> [Scheduler] {
  guard let text, text != "all" else { return Scheduler.allNames.compactMap { Scheduler(name: $0) } }
  return text.split(separator: ",").compactMap { Scheduler(name: String($0)) }
}

func aggregation(_ arguments: [String]) throws {
  let schedulers = schedulers(arguments.first)
  let buffers = arguments.count > 1 && arguments[1] != "both" ? [arguments[1]] : ["large", "small"]
  let count = arguments.count > 2 ? Int(arguments[2]) ?? 52 : 52
  let packets = arguments.count > 3 ? Double(arguments[3]) ?? 60_000 : 60_000
  let settings = grid(perEnvironment: count)
  let first = arguments.count > 4 ? Int(arguments[4]) ?? 0 : 0
  let last = arguments.count > 5 ? Int(arguments[5]) ?? settings.count - 1 : settings.count - 1
  var results: [String: [Double]] = [:]
  for setting in settings[first...min(last, settings.count - 1)] {
    for buffer in buffers {
      let byteCount = buffer == "large" ? setting.largeBuffer : setting.smallBuffer
      let alone = try (0..<2).map {
        try goodput(setting, only: $0, scheduler: .standard, buffer: byteCount, packets: packets).rate
      }
      var line = "\(setting.index) \(setting.text) \(buffer) \(byteCount >> 10) KiB"
      line += " alone \(alone.map { rounded($0 * 8 / 1e6) }.joined(separator: " "))"
      for scheduler in schedulers {
        let together = try goodput(setting, scheduler: scheduler, buffer: byteCount, packets: packets).rate
        let value = benefit(together, alone)
        results["\(scheduler.name) \(buffer)", default: []].append(value)
        results["\(scheduler.name) \(buffer) option", default: []].append(
          benefit(together, alone.map { $0 * optionShare }))
        line += " \(scheduler.name) \(rounded(together * 8 / 1e6)) = \(rounded(value))"
      }
      say(line)
    }
  }
  for buffer in buffers {
    for scheduler in schedulers {
      let name = "\(scheduler.name) \(buffer)"
      distribution(name, results[name] ?? [])
      distribution("\(name), options of a mapping taken from the paths' own too", results["\(name) option"] ?? [])
    }
  }
}

/// From the moment one path goes silent to the next in-order byte: in seconds, with the bound that it is to keep.
func failover(_ setting: Setting, dead: Int, scheduler: Scheduler) throws -> (
  first: Double, longest: Double, bound: Double
) {
  let simulation = try Simulation(
    setting, scheduler: scheduler, bufferByteCount: setting.largeBuffer, seed: UInt64(setting.index) + 1)
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
  let settings = grid(perEnvironment: arguments.count > 1 ? Int(arguments[1]) ?? 52 : 52)
  for scheduler in schedulers(arguments.first) {
    var firsts: [Double] = []
    var longest: [Double] = []
    var late = 0
    var pausedLonger = 0
    for setting in settings {
      for dead in 0..<2 {
        let result = try failover(setting, dead: dead, scheduler: scheduler)
        firsts.append(result.first / result.bound)
        longest.append(result.longest / result.bound)
        if result.first > result.bound { late += 1 }
        guard result.longest > result.bound else { continue }
        pausedLonger += 1
        print(
          "\(setting.index) dead \(dead) \(setting.text) first \(rounded(result.first * 1000)) "
            + "longest \(rounded(result.longest * 1000)) bound \(rounded(result.bound * 1000)) ms")
      }
    }
    distribution("\(scheduler.name) next byte ÷ bound", firsts)
    distribution("\(scheduler.name) longest pause ÷ bound", longest)
    print(
      "\(scheduler.name): later than the bound \(late), paused for longer later on \(pausedLonger) of \(firsts.count)")
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
case "setting": try single(Array(arguments.dropFirst()))
default: print("aggregation-bench aggregation|failover|setting …")
}
