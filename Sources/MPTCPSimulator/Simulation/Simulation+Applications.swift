import MPTCPCore
import MPTCPPolicy
import MPTCPWire

// What applications do: connect, accept, write, read, end.
extension Simulation {
  // MARK: Setting up

  /// Connection `n`'s client is talker 2n and its server talker 2n + 1.
  func addTalkers(of index: Int) {
    let transfer = scenario.transfers[index]
    let rounds = transfer.rounds ?? 1
    let (upload, download) = (transfer.uploadByteCount, transfer.downloadByteCount)
    for count in 0..<max(transfer.connectionCount, 1) {
      let number = plan.transfers[index].firstConnection + count
      let origins = (0..<2).map { StreamPattern.origin(seed: dataSeed, number: 2 * number + $0) }
      for isClient in [true, false] {
        let (sends, receives) = isClient ? (upload, download) : (download, upload)
        var talker = Talker(
          host: isClient ? plan.transfers[index].client : plan.transfers[index].server, transfer: index,
          isClient: isClient, application: isClient ? transfer.clientApplication : transfer.serverApplication,
          sendOrigin: origins[isClient ? 0 : 1], receiveOrigin: origins[isClient ? 1 : 0],
          sendByteCount: sends * rounds, receiveByteCount: receives * rounds,
          round: transfer.rounds == nil ? nil : (sends, receives))
        talker.connects = isClient || transfer.isSimultaneous
        talker.nextWrite = Self.start + transfer.start + transfer.interval * Int64(count)
        talkers.append(talker)
      }
    }
  }

  func listen(_ index: Int) {
    let transfer = plan.transfers[index]
    guard transfer.clientAddress == nil else { return }
    let host = hosts[transfer.server]
    var options = ListenerOptions()
    options.connection = transfer.serverOptions
    options.versions = scenario.transfers[index].serverOptions.listenerVersions
    options.backlog = .max
    options.fastOpenBacklog = scenario.transfers[index].serverOptions.fastOpenBacklog
    let wildcard: IPAddress = transfer.address.address.family == .v4 ? .anyV4 : .anyV6
    // The plan has made sure that the port is free.
    guard
      let id = try? host.endpoint.listen(
        on: TransportAddress(wildcard, transfer.address.port), options: options, at: now)
    else { return }
    host.listeners.append((id, index))
  }

  /// The time of a talker's application has come.
  func wake(_ index: Int) {
    let talker = talkers[index]
    let host = hosts[talker.host]
    if host.pausedUntil > now {
      agenda.schedule(Self.number(firstTalker + index), at: host.pausedUntil)
    } else if talker.connects, talker.connection == nil {
      connect(index)
    } else {
      act(index)
    }
    markBusy(talker.host)
  }

  private func connect(_ index: Int) {
    let transfer = plan.transfers[talkers[index].transfer]
    let host = hosts[talkers[index].host]
    let isClient = talkers[index].isClient
    var options = isClient ? transfer.clientOptions : transfer.serverOptions
    if isClient { options.path = transfer.interface.flatMap { host.interfaces[$0].path } }
    if transfer.clientAddress != nil { options.localPort = transfer.address.port }
    let address = isClient ? transfer.address : transfer.clientAddress ?? transfer.address
    talkers[index].startedAt = now
    // What an application gives with the call is its first write.
    let data = options.fastOpen ? nextWrite(of: index) ?? ByteSlice([]) : ByteSlice([])
    do {
      let (id, taken) = try host.endpoint.connect(to: address, sending: data, options: options, at: now)
      talkers[index].connection = id
      note(id, of: index, on: host)
      if !data.isEmpty { noteWrite(of: data, taken: taken, by: index) }
      guard let subflow = host.endpoint.description(of: id)?.subflows.first else { return }
      let interface = host.interfaces[host.interfaceOfPath[Int(subflow.path.rawValue)]]
      guard let route = interface.route(to: address.address) else { return }
      for end in [index, index ^ 1] { talkers[end].path = plan.routes[route].path }
    } catch {
      talkers[index].refusal = error
      end(index)
    }
  }

  private func note(_ id: ConnectionID, of talker: Int, on host: SimulatedHost) {
    let slot = id.slot
    while host.talkerOfSlot.count <= slot { host.talkerOfSlot.append(-1) }
    host.talkerOfSlot[slot] = Int32(truncatingIfNeeded: talker)
  }

  // MARK: Events

  func hear(_ event: EndpointEvent, on hostIndex: Int) {
    let host = hosts[hostIndex]
    guard let index = talker(of: event, on: host) else { return }
    switch event.event {
    case .established(let isMultipath):
      talkers[index].isEstablished = true
      talkers[index].isMultipath = isMultipath
      talkers[index].establishedAt = now
      talkers[index].subflowCount = 1
      if !isMultipath { notePlain(index) }
    case .closed(let reason): talkers[index].closeReason = reason
    case .writable: talkers[index].mayWrite = true
    case .fellBack(let reason):
      talkers[index].fallback = reason
      notePlain(index)
    case .subflowEstablished(let subflow): if !subflow.isInitial { talkers[index].subflowCount += 1 }
    case .readable: break
    case .subflowClosed, .addressAnnounced, .addressRemoved, .priorityChanged, .pathStalled, .pathRecovered, .softError:
      return
    }
    act(index)
  }

  /// Which talker has a connection.
  func talker(of id: ConnectionID, on host: SimulatedHost) -> Int? {
    guard id.slot < host.talkerOfSlot.count, host.talkerOfSlot[id.slot] >= 0 else { return nil }
    let index = Int(host.talkerOfSlot[id.slot])
    return talkers[index].connection == id ? index : nil
  }

  private func talker(of event: EndpointEvent, on host: SimulatedHost) -> Int? {
    if let index = talker(of: event.connection, on: host) { return index }
    guard case .established = event.event, let listener = event.listener,
      let transfer = host.listeners.first(where: { $0.id == listener })?.transfer
    else { return nil }
    guard let connection = claim(event.connection, transfer, host) ?? reclaim(transfer, host),
      !talkers[2 * connection + 1].isOver
    else {
      // Nobody's: something old that came again. Who knows nothing of a connection does not end it in peace.
      host.endpoint.abort(event.connection, at: now)
      return nil
    }
    let index = 2 * connection + 1
    if talkers[index].connection == nil { openTalkerCount += 1 }
    talkers[index].connection = event.connection
    talkers[index].startedAt = now
    note(event.connection, of: index, on: host)
    return index
  }

  /// With TCP Fast Open a SYN that comes again by another way makes another connection, and its data comes twice
  /// (RFC 7413 §6.1). Of two such the one that comes later is the client's, if nobody has confirmed the first: the
  /// server's application lets that go, and begins anew.
  private func reclaim(_ transfer: Int, _ host: SimulatedHost) -> Int? {
    let connection = plan.transfers[transfer].firstConnection
    let index = 2 * connection + 1
    guard scenario.transfers[transfer].connectionCount == 1, let id = talkers[index].connection, !talkers[index].isOver,
      let first = host.endpoint.description(of: id)?.subflows.first, first.isInitial, first.state == .synReceived
    else { return nil }
    host.endpoint.close(id, at: now)
    talkers[index].beginAnew()
    return connection
  }

  /// Which of a transfer's connections a server has accepted: the one whose SYN last came from that address.
  private func claim(_ id: ConnectionID, _ transfer: Int, _ host: SimulatedHost) -> Int? {
    guard let client = host.endpoint.description(of: id)?.subflows.first?.tuple.remote,
      let connection = connectionOfClient[ClientAddress(transfer: transfer, address: client)]
    else { return nil }
    return talkers[2 * connection + 1].connection == nil ? connection : nil
  }

  /// Whose initial subflow a host opens with a SYN: the client's talker, and nil for any other packet.
  func talker(opening packet: RawSpan, on host: SimulatedHost) -> Int? {
    guard let ends = SynEnds(packet),
      let id = host.endpoint.connection(of: FourTuple(local: ends.source, remote: ends.destination)),
      let index = talker(of: id, on: host), talkers[index].isClient, !talkers[index].isEstablished
    else { return nil }
    return index
  }

  /// A client's SYN goes on behind the boxes at its end of a path: this is how the server will know it.
  func note(syn packet: RawSpan, of index: Int) {
    guard let ends = SynEnds(packet) else { return }
    connectionOfClient[ClientAddress(transfer: talkers[index].transfer, address: ends.source)] = index / 2
  }

  // MARK: Reading, writing, ending

  /// Lets an application do all that it can do now.
  func act(_ index: Int) {
    guard let id = talkers[index].connection, !talkers[index].isOver else { return }
    let endpoint = hosts[talkers[index].host].endpoint
    if talkers[index].isEstablished {
      read(index, id, endpoint)
      write(index, id, endpoint)
    }
    switch talkers[index].application.ending {
    case .finish:
      let isRead = talkers[index].hasEnded || talkers[index].closeReason.map { $0 != .finished } ?? false
      if talkers[index].closeReason != nil, isRead { release(index) }
    case .close:
      let isDone = talkers[index].hasFinished && talkers[index].hasEnded
      if isDone || talkers[index].closeReason.map({ $0 != .finished }) ?? false { release(index) }
    case .leave:
      if talkers[index].hasFinished || talkers[index].closeReason != nil { release(index) }
    case .abort(let byteCount):
      if talkers[index].closeReason != nil {
        release(index)
      } else if talkers[index].isEstablished, talkers[index].sent + talkers[index].received >= byteCount {
        abort(index, id, endpoint)
      }
    case .abortAtEnd(let delay):
      if talkers[index].closeReason != nil {
        release(index)
      } else if talkers[index].hasFinished, talkers[index].hasEnded {
        let doneAt = talkers[index].doneAt ?? now
        talkers[index].doneAt = doneAt
        if now >= doneAt + delay { abort(index, id, endpoint) } else { schedule(index, at: doneAt + delay) }
      }
    }
  }

  private func abort(_ index: Int, _ id: ConnectionID, _ endpoint: Endpoint) {
    let transfer = scenario.transfers[talkers[index].transfer]
    let options = talkers[index].isClient ? transfer.clientOptions : transfer.serverOptions
    endpoint.abort(id, form: options.fastCloseForm ?? .reset, at: now)
    end(index)
  }

  private func read(_ index: Int, _ id: ConnectionID, _ endpoint: Endpoint) {
    var budget = Int.max
    if let rate = talkers[index].application.readBitsPerSecond {
      guard talkers[index].nextRead <= now else {
        schedule(index, at: talkers[index].nextRead)
        return
      }
      budget = max(Self.byteCount(at: rate, in: Self.readInterval), 1)
    }
    while !talkers[index].hasEnded, budget > 0 {
      guard let slice = try? endpoint.read(from: id, upTo: budget, at: now) else { return }
      guard !slice.isEmpty else {
        talkers[index].hasEnded = true
        if talkers[index].received != talkers[index].receiveByteCount, !isPeerForceful(index),
          !isBeyondProof(index, at: talkers[index].received)
        {
          let (received, count) = (talkers[index].received, talkers[index].receiveByteCount)
          failOnData("\(name(of: index)): ended after \(received) of \(count) bytes")
        }
        return
      }
      let position = talkers[index].received
      let agreement = StreamPattern.shared.agreement(slice, at: talkers[index].receiveOrigin + position)
      if agreement < slice.count, !isBeyondProof(index, at: position + agreement) {
        failOnData("\(name(of: index)): wrong byte at \(position + agreement)")
      }
      talkers[index].received += slice.count
      if talkers[index].received > talkers[index].receiveByteCount,
        !isBeyondProof(index, at: talkers[index].received)
      {
        failOnData("\(name(of: index)): more than the \(talkers[index].receiveByteCount) bytes that were sent")
      }
      if talkers[index].lastReadAt != .distantFuture {
        talkers[index].longestReadGap = max(talkers[index].longestReadGap, now - talkers[index].lastReadAt)
      }
      talkers[index].lastReadAt = now
      budget -= slice.count
      if let rate = talkers[index].application.readBitsPerSecond {
        // What was read is paid for with time.
        let price = Nanoseconds(Int64(slice.count) * 8_000_000_000 / Int64(rate))
        talkers[index].nextRead = max(talkers[index].nextRead, now) + price
      }
    }
    if !talkers[index].hasEnded { schedule(index, at: talkers[index].nextRead) }
  }

  /// How much time's worth a reader with a rate takes at once.
  private static let readInterval = Nanoseconds.milliseconds(10)

  private static func byteCount(at bitsPerSecond: Int, in time: Nanoseconds) -> Int {
    let (bits, overflow) = bitsPerSecond.multipliedReportingOverflow(by: Int(time.count / 1_000_000))
    return overflow ? .max : bits / 8000
  }

  private func isPeerForceful(_ index: Int) -> Bool { talkers[index ^ 1].endsByForce }

  private func write(_ index: Int, _ id: ConnectionID, _ endpoint: Endpoint) {
    let pause = talkers[index].application.writePause
    while talkers[index].mayWrite, talkers[index].closeReason == nil {
      guard let slice = nextWrite(of: index) else { break }
      if pause > .zero, talkers[index].nextWrite > now {
        schedule(index, at: talkers[index].nextWrite)
        return
      }
      noteWrite(of: slice, taken: (try? endpoint.write(slice, to: id, at: now)) ?? 0, by: index)
    }
    if talkers[index].sent == talkers[index].sendByteCount, !talkers[index].hasFinished {
      talkers[index].hasFinished = true
      endpoint.finish(id, at: now)
    }
  }

  /// What an application would write next; nil while it has nothing to say.
  private func nextWrite(of index: Int) -> ByteSlice? {
    let room = talkers[index].writableByteCount - talkers[index].sent
    guard room > 0 else { return nil }
    return StreamPattern.shared.slice(
      at: talkers[index].sendOrigin + talkers[index].sent, count: min(room, talkers[index].application.writeByteCount))
  }

  private func noteWrite(of slice: ByteSlice, taken: Int, by index: Int) {
    talkers[index].sent += taken
    if taken < slice.count { talkers[index].mayWrite = false }
    let pause = talkers[index].application.writePause
    if pause > .zero { talkers[index].nextWrite = now + pause }
  }

  private func schedule(_ index: Int, at time: Instant) {
    let number = Self.number(firstTalker + index)
    if let known = agenda.deadline(of: number), known <= time { return }
    agenda.schedule(number, at: time)
  }

  /// The application lets its connection go.
  func release(_ index: Int) {
    if let id = talkers[index].connection {
      hosts[talkers[index].host].endpoint.close(id, at: now)
      markBusy(talkers[index].host)
    }
    end(index)
  }

  private func end(_ index: Int) {
    guard !talkers[index].isOver else { return }
    talkers[index].isOver = true
    talkers[index].overAt = now
    if talkers[index].connects || talkers[index].connection != nil { openTalkerCount -= 1 }
    agenda.cancel(Self.number(firstTalker + index))
  }

  func name(of index: Int) -> String {
    "\(name(ofConnection: index / 2)) \(talkers[index].isClient ? "client" : "server")"
  }

  func name(ofConnection number: Int) -> String {
    let index = talkers[2 * number].transfer
    let transfer = scenario.transfers[index]
    let name = transfer.name.isEmpty ? "transfer \(index)" : transfer.name
    return transfer.connectionCount > 1 ? "\(name) #\(number - plan.transfers[index].firstConnection)" : name
  }
}
