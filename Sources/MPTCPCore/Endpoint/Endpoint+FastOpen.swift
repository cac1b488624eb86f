import MPTCPWire

// The listener's side of TCP Fast Open (RFC 7413 §4.1.2, §4.2, §5.1).
extension Endpoint {
  /// What a listener makes of the option on a SYN.
  struct FastOpenAnswer {
    /// The cookie for the SYN/ACK.
    var offer: FastOpenOffer?
    /// Whether the SYN's data is taken.
    var takesData = false
  }

  /// For how long a request that ended in a RST keeps its place: were places free again at once, who has made others'
  /// hosts answer our SYN/ACKs with RSTs could go on for ever (RFC 7413 §5.1).
  private static let resetPenalty = Nanoseconds.seconds(60)

  /// Looks at the option of a SYN for `listener`, which has a place in ``listeners``. Beyond the bound on requests
  /// under way there is neither data nor cookie, as under SYN cookies: the handshake goes on as any other.
  /// Requirement 7413-4-02, 7413-4.2-02, 7413-4.2-03
  func fastOpenAnswer(to segment: Segment, listener index: Int, isVersion0: Bool, now: Instant) -> FastOpenAnswer {
    let limit = listeners[index].options.fastOpenBacklog
    guard limit > 0, !isVersion0, let theirs = segment.options.fastOpen else { return FastOpenAnswer() }
    fastOpenCookies?.age(at: now) { random() }
    guard let cookies = fastOpenCookies else { return FastOpenAnswer() }
    let ours = FastOpenOffer(cookie: cookies.cookie(for: segment.tuple))
    guard theirs.count > 0 else { return FastOpenAnswer(offer: ours) }
    let verdict = cookies.verdict(on: theirs, from: segment.tuple)
    guard verdict != .wrong else {
      statistics.badFastOpenCookies += 1
      return FastOpenAnswer(offer: ours)
    }
    listeners[index].forgetFastOpenResets(olderThan: Self.resetPenalty, at: now)
    guard listeners[index].fastOpenCount < limit else {
      statistics.refusedFastOpens += 1
      return FastOpenAnswer()
    }
    return FastOpenAnswer(offer: verdict == .outdated ? ours : nil, takesData: true)
  }

  /// A request has its place.
  func fastOpenBegan(_ connection: Connection) {
    if let index = listenerIndex(of: connection) { listeners[index].pendingFastOpenCount += 1 }
  }

  /// Its handshake is done, or over; after a RST its place stays taken for a while.
  func fastOpenEnded(_ connection: Connection, byReset: Bool = false) {
    guard let index = listenerIndex(of: connection) else { return }
    listeners[index].pendingFastOpenCount -= 1
    if byReset { listeners[index].fastOpenResets.append(now) }
  }

  private func listenerIndex(of connection: Connection) -> Int? {
    connection.listener.flatMap { id in listeners.firstIndex { $0.id == id } }
  }

  /// The first listener that takes data on SYNs has the cookies' first key drawn.
  func prepareFastOpen(_ options: ListenerOptions) {
    guard options.fastOpenBacklog > 0, fastOpenCookies == nil else { return }
    fastOpenCookies = FastOpenCookies(
      key: (random(), random()), lifetime: configuration.fastOpenKeyLifetime, at: now)
  }
}
