import MPTCPPolicy
import MPTCPWire

// Our addresses: their IDs, and what the peer is told of them.
extension Connection {
  /// Our addresses, each with its ID in this connection: 0 for the initial subflow's. What the peer has is the
  /// connection's too: nothing is shared among those to one host.
  /// Requirement 8684-4-09, 8684-3.2-08
  func localAddresses() -> [LocalAddress] {
    var addresses: [LocalAddress] = []
    for path in endpoint.paths {
      for (index, prefix) in path.configuration.addresses.enumerated() {
        addresses.append(
          LocalAddress(
            path: path.id, address: prefix.address, id: addressID(path: path, index: index, prefix.address),
            isUp: path.isUp, isBackup: path.configuration.isBackup, reach: path.configuration.reach))
      }
    }
    return addresses
  }

  /// Requirement 8684-3.2-05, 8684-3.4.1-04, 8684-3.4.1-22
  private func addressID(path: Path, index: Int, _ address: IPAddress) -> AddressID {
    // Requirement 8684-3.2-07
    address == initialTuple.local.address
      ? .initial : AddressID(UInt8(truncatingIfNeeded: (path.firstAddressNumber + index) % AddressID.further + 1))
  }

  func localAddressID(of address: IPAddress) -> AddressID {
    localAddresses().first { $0.address == address }?.id ?? .initial
  }

  // MARK: Announcing (RFC 8684 §3.4.1, §3.4.2)

  /// Requirement 8684-3.4.1-18
  func announce(_ local: LocalAddress, port: Port?, now: Instant) {
    guard isConfirmed else { return }
    if let index = announcements.firstIndex(where: { $0.id == local.id }) {
      // Said again it invites the peer anew; while it is still being repeated that is enough.
      let known = announcements[index]
      guard known.isEchoed || known.isGivenUp, let sentAt = known.sentAt, now - sentAt >= .seconds(1) else { return }
      announcements[index] = Announcement(id: known.id, address: known.address, port: known.port)
    } else {
      guard announcements.count < Limits.announcements else { return }
      announcements.append(Announcement(id: local.id, address: local.address, port: port))
    }
    sendAnnouncements(now: now)
  }

  /// Sends what is due, one address after the other: Linux drops an announcement that comes while it is at another one
  /// (its counter AddAddrDrop). The next goes when the last is echoed or has had its time. Unechoed ones go again after
  /// ``announcementTimeout``, three times in all.
  /// Requirement 8684-3.4.1-17
  func sendAnnouncements(now: Instant) {
    announceDeadline = .distantFuture
    guard isConfirmed, phase == .open else { return }
    // Without a subflow that could carry them they wait for one.
    while let (index, due) = nextAnnouncement, let carrier = carrierForControl() {
      guard due <= now else {
        announceDeadline = due
        return
      }
      announcements[index].sentAt = now
      announcements[index].attempts += 1
      let option = MultipathOption.addAddress(option(for: announcements[index]))
      for subflow in carriers(or: carrier) { queue(option, on: subflow) }
    }
  }

  /// Where a change of addresses is said: in version 1 on one subflow, in version 0, where nothing confirms it, on all
  /// that work (RFC 6824 §3.4.1).
  /// Requirement 6824-3.4.1-03
  private func carriers(or one: Subflow?, but id: AddressID? = nil) -> [Subflow] {
    let all = version == .v0 ? subflows.filter { $0.isFullyEstablished && $0.isOpen && $0.localAddressID != id } : []
    return all.isEmpty ? one.map { [$0] } ?? [] : all
  }

  /// The peer can hear us again, or on a further subflow: what was given up unheard is said once more.
  func resumeAnnouncements(now: Instant) {
    for (index, known) in announcements.enumerated() where known.isGivenUp {
      announcements[index] = Announcement(id: known.id, address: known.address, port: known.port)
    }
    sendAnnouncements(now: now)
  }

  /// From one change of addresses to the next. Version 0 has no echo that would end the wait, and wants a round trip
  /// between two, lest they arrive in another order (RFC 6824 §3.4.1).
  private var announcementGap: Nanoseconds {
    let gap = Nanoseconds.milliseconds(50)
    guard version == .v0 else { return gap }
    return subflows.reduce(gap) { max($0, $1.isFullyEstablished ? $1.roundTrip.smoothed ?? gap : gap) }
  }
  private static let announcementTimeout = Nanoseconds.seconds(3)

  /// The unechoed announcement that is due first, and when it may go.
  /// Requirement 8684-3.4.1-17
  private var nextAnnouncement: (index: Int, due: Instant)? {
    var next: (index: Int, due: Instant)?
    var latest = version == .v0 ? addressesChangedAt : nil
    for (index, announcement) in announcements.enumerated() where !announcement.isEchoed {
      if let sentAt = announcement.sentAt { latest = max(latest ?? sentAt, sentAt) }
      guard !announcement.isGivenUp else { continue }
      let due = announcement.sentAt.map { $0 + Self.announcementTimeout } ?? .zero
      if next.map({ due < $0.due }) ?? true { next = (index, due) }
    }
    guard let next else { return nil }
    return (next.index, max(next.due, latest.map { $0 + announcementGap } ?? .zero))
  }

  private func option(for announcement: Announcement) -> AddAddress {
    let isPlain = version == .v0 && options.version0Announcements == .plain
    return AddAddress(
      version: version, addressID: announcement.id, address: announcement.address, port: announcement.port,
      hmac: isPlain
        ? nil
        : JoinAuthentication.addAddressHMAC(
          version: version, senderKey: localKey, receiverKey: remoteKey, addressID: announcement.id,
          address: announcement.address, port: announcement.port))
  }

  /// Addresses that left with their path, whether announced or known from a join (RFC 8684 §3.4.2).
  /// Requirement 8684-3.4.2-01
  func withdrawAddresses(of gone: [Subflow]) {
    guard isConfirmed, phase == .open else { return }
    var ids: [AddressID] = []
    for subflow in gone where !endpoint.isLocal(subflow.tuple.local.address) && !ids.contains(subflow.localAddressID) {
      ids.append(subflow.localAddressID)
    }
    // Requirement 8684-3.4.2-02
    for announcement in announcements where !endpoint.isLocal(announcement.address) && !ids.contains(announcement.id) {
      ids.append(announcement.id)
    }
    for id in ids { withdraw(id) }
  }

  /// Requirement 8684-3.4.2-03
  func withdraw(_ id: AddressID) {
    announcements.removeAll { $0.id == id }
    takeBackAnnouncement(of: id)
    // Not on a subflow that uses the address, where another is to be had.
    let carrier = subflows.first { $0.isFullyEstablished && $0.isOpen && $0.localAddressID != id }
    let removal = MultipathOption.removeAddress(RemoveAddress(id))
    let carriers = carriers(or: carrier ?? carrierForControl(), but: id)
    if carriers.isEmpty { tell(removal, on: nil) }
    for carrier in carriers { tell(removal, on: carrier) }
    if version == .v0 { addressesChangedAt = endpoint.now }
  }

  /// A subflow uses the address again: a removal that has not been sent would end it, as Linux has it.
  func takeBackRemoval(of id: AddressID) {
    let removal = MultipathOption.removeAddress(RemoveAddress(id))
    waitingOptions.removeAll { $0 == removal }
    for subflow in subflows { subflow.pendingOptions.removeAll { $0 == removal } }
  }

  /// An announcement that still waited would follow its removal.
  private func takeBackAnnouncement(of id: AddressID) {
    func announces(_ option: MultipathOption) -> Bool {
      if case .addAddress(let address) = option { return !address.isEcho && address.addressID == id }
      return false
    }
    waitingOptions.removeAll(where: announces)
    for subflow in subflows { subflow.pendingOptions.removeAll(where: announces) }
  }

  /// Has a one-shot option sent on `carrier`, or, where there is none, on the next subflow.
  private func tell(_ option: MultipathOption, on carrier: Subflow?) {
    if let carrier {
      queue(option, on: carrier)
    } else if waitingOptions.count < Limits.pendingOptions, !waitingOptions.contains(option) {
      waitingOptions.append(option)
    }
  }

  /// What a subflow did not get to say any more. A priority was its own; addresses are the connection's.
  func passOn(_ options: [MultipathOption]) {
    for option in options {
      switch option {
      case .addAddress, .removeAddress: tell(option, on: carrierForControl())
      default: break
      }
    }
  }
}

extension AddressID {
  /// How many IDs there are besides that of the initial subflow's address.
  static let further = 255
}
