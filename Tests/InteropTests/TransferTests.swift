import Foundation
import Testing

extension InteropSuite {
  /// Bulk and patterns of use on clean paths, our stack as client and as server.
  @Suite("Transfers", .serialized, .enabled(if: Machine.obstacle == nil, "\(Machine.obstacle ?? "")"))
  struct TransferTests {
    /// Every kind of device with every family.
    static let places: [(Arena.Device, Arena.Family)] = Arena.Device.available.flatMap { device in
      Arena.Family.allCases.map { (device, $0) }
    }

    /// Runs a transfer, whose paths lose nothing, and judges what the kernel counted meanwhile: no trouble, and nearly
    /// no duplicates and retransmissions.
    ///
    /// A processor that is taken away for longer than a retransmission time-out makes either side send again, on paths
    /// that are as clean as ever. Such a run is repeated once, and said so; bytes, joins and troubles count in both.
    @discardableResult
    private func expectClean(
      _ arena: Arena, byteCount: Int, location: SourceLocation = #_sourceLocation,
      _ transfer: () async throws -> Void
    ) async throws -> Counters {
      let segments = byteCount / 1400
      var attempt = 1
      while true {
        let before = try arena.kernel.counters()
        try await transfer()
        let counted = try arena.kernel.counters().since(before)
        #expect(counted.troubles == [:], sourceLocation: location)
        let duplicates = counted["MPTcpExtDuplicateData"]
        let retransmissions = counted["TcpRetransSegs"]
        let isClean = duplicates <= segments / 1000 + 1 && retransmissions <= counted["TcpOutSegs"] / 1000 + 1
        if isClean || attempt == 2 {
          #expect(isClean, "\(counted.summary)\nTcpRetransSegs \(retransmissions)", sourceLocation: location)
          return counted
        }
        print("\(arena): \(duplicates) duplicates, \(retransmissions) retransmissions; measured once more")
        attempt += 1
      }
    }

    @Test("netcat sends 1 GiB over two paths", .timeLimit(.minutes(10)), arguments: places)
    func netcatUpload(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      let counted = try await expectClean(arena, byteCount: 1 << 30) {
        let server = try await arena.kernelServer("--connections", "1", "--receive", "1g")
        let client = try arena.netcat("\(Machine.peer) pattern 1g 1 | nc -v \(arena.kernelAddress(1)) 5000")
        let outcome = try await client.finish(within: 120)
        let received = try await server.finish(within: 20)
        #expect(outcome.status == 0, "\(outcome.summary)")
        #expect(received.status == 0, "\(received.summary)")
        // How much each carries is the processor's choice where neither link has a rate: a first path that never fills
        // its window leaves little to the second, or nothing.
        #expect(try received.connection.subflowsTotal == 2, "\(received.summary)")
      }
      #expect(counted["MPTcpExtMPJoinAckRx"] >= 1, "\(counted.summary)")
    }

    @Test(
      "Where links have a rate, both paths carry their share, either way", .timeLimit(.minutes(10)),
      arguments: Arena.Place.all)
    func shares(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family, links: ["100mbit,5ms"])
      for (ours, theirs) in [(["--send", "24m"], ["--receive", "24m"]), (["--receive", "24m"], ["--send", "24m"])] {
        let (outcome, _) = try await arena.pair(as: place.role, ours: ours, kernel: theirs).finish()
        // Ours reports both directions of each of its subflows.
        let carried = try outcome.connection.subflows?.map { max($0.bytesSent, $0.bytesReceived) } ?? []
        #expect(carried.count == 2 && carried.allSatisfy { $0 > 6 << 20 }, "\(outcome.summary)")
      }
    }

    @Test("netcat receives 1 GiB over two paths as a listener", .timeLimit(.minutes(10)), arguments: places)
    func netcatListener(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family)
      let counted = try await expectClean(arena, byteCount: 1 << 30) {
        let listener = try arena.netcat("nc -l -d -v -p 5000 | \(Machine.peer) check 1g 1")
        try await listener.waits(for: "listening")
        if family == .v6 { try await Task.sleep(for: .seconds(1)) }
        let client = try arena.kernelClient("--send", "1g")
        let outcome = try await client.finish(within: 120)
        let received = try await listener.finish(within: 20)
        #expect(outcome.status == 0, "\(outcome.summary)")
        #expect(received.status == 0, "\(received.summary)")
        #expect(received.reports("checked").first?.verified == true, "\(received.summary)")
      }
      #expect(counted["MPTcpExtMPJoinSynAckRx"] + counted["MPTcpExtMPJoinAckRx"] >= 1, "\(counted.summary)")
    }

    @Test("Both directions at once over two paths", .timeLimit(.minutes(10)), arguments: Arena.Place.all)
    func bothDirections(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let workload = ["--send", "256m", "--receive", "256m"]
      let counted = try await expectClean(arena, byteCount: 512 << 20) {
        _ = try await arena.pair(as: place.role, ours: workload, kernel: workload).finish(within: 90)
      }
      #expect(counted["MPTcpExtMPJoinAckRx"] + counted["MPTcpExtMPJoinSynAckRx"] >= 1, "\(counted.summary)")
    }

    @Test(
      "The kernel sends 1 GiB to a client of ours",
      .timeLimit(.minutes(10)),
      arguments: Arena.Device.available)
    func download(device: Arena.Device) async throws {
      let arena = try await Arena(device)
      try await expectClean(arena, byteCount: 1 << 30) {
        let server = try await arena.kernelServer("--connections", "1", "--send", "1g")
        let client = try arena.client("--receive", "1g")
        let outcome = try await client.finish(within: 90)
        #expect(outcome.status == 0, "\(outcome.summary)")
        #expect(try await server.finish(within: 20).status == 0)
      }
    }

    @Test(
      "tshark finds nothing malformed in what crosses the paths",
      .enabled(if: Machine.hasTShark),
      .timeLimit(.minutes(10)), arguments: places)
    func wellFormed(device: Arena.Device, family: Arena.Family) async throws {
      let arena = try await Arena(device, family, links: ["200mbit,5ms", "100mbit,10ms"])
      let capture = try await PacketCapture(on: "any", in: arena.kernel)
      let server = try await arena.kernelServer("--connections", "1", "--receive", "5m", "--send", "5m")
      let client = try arena.client("--receive", "5m", "--send", "5m")
      let outcome = try await client.finish(within: 60)
      #expect(outcome.status == 0, "\(outcome.summary)")
      #expect(try await server.finish(within: 20).status == 0)
      let malformed = try await capture.malformed()
      #expect(malformed == [])
    }

    @Test(
      "10,000 connections of 1 KiB, one after another", .timeLimit(.minutes(10)),
      arguments: Arena.Place.all)
    func sequence(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family, paths: 1)
      let before = try arena.kernel.counters()
      let pair = try await arena.pair(
        as: place.role, server: ["--connections", "10000", "--echo"],
        client: ["--connections", "10000", "--bytes", "1024"])
      let (ours, kernel) = try await pair.finish(within: 100)
      let totals = try (place.role == .client ? ours : kernel).totals
      #expect(totals.connections == 10_000)
      #expect(totals.multipathConnections == 10_000)
      let troubles = try arena.kernel.counters().since(before).troubles
      #expect(troubles == [:])
    }

    @Test("500 connections at once", .timeLimit(.minutes(10)), arguments: Arena.Place.all)
    func manyAtOnce(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let pair = try await arena.pair(
        as: place.role, server: ["--connections", "500", "--echo"],
        client: ["--connections", "500", "--in-flight", "500", "--bytes", "1024"])
      _ = try await pair.finish()
    }

    @Test(
      "100 bulk connections at once", .timeLimit(.minutes(10)),
      arguments: Arena.Place.all)
    func manyBulk(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let pair = try await arena.pair(
        as: place.role, server: ["--connections", "100", "--receive", "4m"],
        client: ["--connections", "100", "--in-flight", "100", "--send", "4m"])
      _ = try await pair.finish()
    }

    @Test("One byte at a time, both ways", .timeLimit(.minutes(10)), arguments: Arena.Place.all)
    func byteByByte(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let workload = ["--receive", "20000", "--send", "20000", "--write-size", "1", "--no-delay"]
      _ = try await arena.pair(as: place.role, ours: workload, kernel: workload).finish()
    }

    @Test(
      "The kernel reads slowly: its window closes and opens again", .timeLimit(.minutes(10)), arguments: Arena.Place.all
    )
    func slowKernel(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let before = try arena.kernel.counters()
      let pair = try await arena.pair(
        as: place.role, ours: ["--send", "3m", "--write-size", "65536"],
        kernel: [
          "--receive", "3m", "--read-delay-us", "700000", "--read-pause-us", "20000", "--receive-buffer", "100000",
        ])
      _ = try await pair.finish()
      let counted = try arena.kernel.counters().since(before)
      #expect(counted["TcpExtTCPWantZeroWindowAdv"] + counted["TcpExtTCPToZeroWindowAdv"] > 0, "\(counted.summary)")
      #expect(counted.troubles == [:])
    }

    @Test("We read slowly: the kernel waits and goes on", .timeLimit(.minutes(10)), arguments: Arena.Place.all)
    func slowUs(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let pair = try await arena.pair(
        as: place.role,
        ours: ["--receive", "24m", "--read-delay-us", "1500000", "--read-pause-us", "2000", "--read-size", "65536"],
        kernel: ["--send", "24m"])
      _ = try await pair.finish()
    }

    @Test("Half-close: the other direction goes on, either way", .timeLimit(.minutes(10)), arguments: Arena.Place.all)
    func halfClose(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let first = ["--send", "2m", "--receive", "5m"]
      let second = ["--receive", "2m", "--send", "5m", "--send-after-eof"]
      for (ours, kernel) in [(first, second), (second, first)] {
        _ = try await arena.pair(as: place.role, ours: ours, kernel: kernel).finish()
      }
    }

    @Test(
      "Fast close by either side ends the connection at the other", .timeLimit(.minutes(5)), arguments: Arena.Place.all)
    func fastClose(place: Arena.Place) async throws {
      let arena = try await Arena(place.device, place.family)
      let before = try arena.kernel.counters()
      let aborting = ["--send", "20m", "--abort-after", "10m"]
      _ = try await arena.pair(as: place.role, ours: aborting, kernel: ["--expect-reset"]).finish()
      #expect(try arena.kernel.counters().since(before)["MPTcpExtMPFastcloseRx"] >= 1)
      _ = try await arena.pair(as: place.role, ours: ["--expect-reset"], kernel: aborting).finish()
      #expect(try arena.kernel.counters().since(before)["MPTcpExtMPFastcloseTx"] >= 1)
    }
  }
}
