import MPTCPCore
import MPTCPLink
import MPTCPPolicy
import MPTCPWire
import TestSupport
import Testing

/// BBR end to end: 20 Mbit/s, 20 ms a way, and a queue of 1 MB, ten times what fills the path.
@Suite struct BBRTransferTests {
  static let deep = LinkConfiguration(bitsPerSecond: 20_000_000, delay: .milliseconds(20), queueByteCount: 1_000_000)

  private func options(_ algorithm: CongestionAlgorithm, multipath: Bool = false) -> ConnectionOptions {
    var options = ConnectionOptions()
    options.congestionControl = algorithm
    options.multipath = multipath ? .enabled : .disabled
    return options
  }

  /// Octets that arrive in `seconds`, after `warmUp` seconds.
  private func rate(_ exchange: Exchange, after warmUp: Int64, for seconds: Int64) -> Double {
    exchange.pair.run(for: .seconds(warmUp))
    let before = exchange.received[1]
    exchange.pair.run(for: .seconds(seconds))
    #expect(exchange.mismatch == nil)
    return Double(exchange.received[1] - before) * 8 / Double(seconds)
  }

  @Test func `a link is filled and its deep queue is not`() throws {
    let pair = Pair([Self.deep])
    let exchange = try Exchange(pair, clientSends: 200_000_000, serverSends: 0, options: options(.bbr))
    let bits = rate(exchange, after: 3, for: 8)
    // 1,448 of 1,500 octets are payload: 19.3 Mbit/s is all there is.
    #expect(bits > 0.9 * 19_300_000, "\(bits)")
    let smoothed = try #require(pair.endpoints[0].description(of: exchange.ids[0]!)?.subflows[0].smoothedRoundTripTime)
    // CUBIC would have 440 ms of queue.
    #expect(smoothed < .milliseconds(100), "\(smoothed.milliseconds)")
    #expect(pair.endpoints[0].statistics.retransmittedSegments == 0)
  }

  @Test func `the window is cut for the least round-trip time to show, every five seconds or so`() throws {
    let pair = Pair([Self.deep])
    let exchange = try Exchange(pair, clientSends: 200_000_000, serverSends: 0, options: options(.bbr))
    pair.run(for: .seconds(2))
    var cuts: [Instant] = []
    for _ in 0..<1_200 {
      pair.run(for: .milliseconds(10))
      let window = pair.endpoints[0].description(of: exchange.ids[0]!)?.subflows[0].congestionWindowByteCount ?? 0
      // Half of 100,000 octets.
      if window < 60_000, cuts.last.map({ pair.now - $0 > .seconds(1) }) ?? true { cuts.append(pair.now) }
    }
    #expect(cuts.count >= 1 && cuts.count <= 4, "\(cuts)")
  }

  @Test func `losses by chance do not slow it down as they do CUBIC`() throws {
    var lossy = Self.deep
    lossy.lossRate = .percent(1)
    var rates: [Double] = []
    for algorithm in [CongestionAlgorithm.bbr, .cubic] {
      let pair = Pair([lossy], backward: [Self.deep], seed: 3)
      let exchange = try Exchange(pair, clientSends: 200_000_000, serverSends: 0, options: options(algorithm))
      rates.append(rate(exchange, after: 3, for: 8))
    }
    #expect(rates[0] > 0.8 * 19_300_000, "\(rates)")
    #expect(rates[1] < 0.5 * 19_300_000, "\(rates)")
  }

  @Test func `two flows share a link`() throws {
    let pair = Pair([Self.deep])
    let first = try Exchange(pair, clientSends: 400_000_000, serverSends: 0, options: options(.bbr))
    // The other flow sends whatever there is room for.
    var listen = ListenerOptions()
    listen.connection = options(.bbr)
    let listener = try pair.endpoints[1].listen(on: TransportAddress(.anyV4, 81), options: listen, at: pair.now)
    let second = try pair.endpoints[0].connect(
      to: TransportAddress(Pair.address(0, 1, .v4), 81), options: options(.bbr), at: pair.now)
    let chunk = Pattern(seed: 1).slice(at: 0, count: 65_536)
    var accepted: ConnectionID?
    var consumed = 0
    let step = pair.onStep
    pair.onStep = {
      step()
      while consumed < pair.events[1].count {
        let event = pair.events[1][consumed]
        consumed += 1
        if case .established = event.event, event.listener == listener { accepted = event.connection }
      }
      while let taken = try? pair.endpoints[0].write(chunk, to: second, at: pair.now), taken > 0 {}
      if let accepted {
        while let slice = try? pair.endpoints[1].read(from: accepted, upTo: .max, at: pair.now), !slice.isEmpty {}
      }
    }
    pair.run(for: .seconds(10))
    let start = [first.ids[0]!, second].map { acknowledged(pair, $0) }
    pair.run(for: .seconds(10))
    let end = [first.ids[0]!, second].map { acknowledged(pair, $0) }
    let rates = zip(start, end).map { Double($1 - $0) * 8 / 10 }
    #expect(rates[0] + rates[1] > 0.9 * 19_300_000, "\(rates)")
    #expect(min(rates[0], rates[1]) > 0.25 * 19_300_000, "\(rates)")
  }

  private func acknowledged(_ pair: Pair, _ id: ConnectionID) -> Int {
    pair.endpoints[0].description(of: id)?.subflows.reduce(0) { $0 + $1.acknowledgedByteCount } ?? 0
  }

  @Test func `two paths are filled, each by its own model`() throws {
    let slow = LinkConfiguration(bitsPerSecond: 10_000_000, delay: .milliseconds(40), queueByteCount: 1_000_000)
    let pair = Pair([Self.deep, slow])
    var wanted = self.options(.bbr, multipath: true)
    wanted.receiveBufferByteCount = 64 << 20
    let exchange = try Exchange(pair, clientSends: 300_000_000, serverSends: 0, options: wanted)
    let bits = rate(exchange, after: 4, for: 4)
    // 30 Mbit/s less headers.
    #expect(bits > 0.85 * 28_500_000, "\(bits)")
    for subflow in pair.endpoints[0].description(of: exchange.ids[0]!)?.subflows ?? [] {
      #expect(subflow.smoothedRoundTripTime ?? .zero < .milliseconds(250))
    }
  }
}
