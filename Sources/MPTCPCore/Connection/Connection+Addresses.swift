import MPTCPPolicy
import MPTCPWire

// Our addresses: their IDs, and what the peer is told of them.
extension Connection {
  /// Our addresses, each with its ID in this connection: 0 for the initial subflow's.
  func localAddresses() -> [LocalAddress] {
    var addresses: [LocalAddress] = []
    for path in endpoint.paths {
      for (index, prefix) in path.configuration.addresses.enumerated() {
        addresses.append(
          LocalAddress(
            path: path.id, address: prefix.address, id: addressID(path: path, index: index, prefix.address),
            isUp: path.isUp, isBackup: path.configuration.isBackup))
      }
    }
    return addresses
  }

  private func addressID(path: Path, index: Int, _ address: IPAddress) -> AddressID {
    address == initialTuple.local.address
      ? .initial : AddressID(UInt8(truncatingIfNeeded: (path.firstAddressNumber + index) % 255 + 1))
  }

  func localAddressID(of address: IPAddress) -> AddressID {
    localAddresses().first { $0.address == address }?.id ?? .initial
  }

  // MARK: Announcing (RFC 8684 §3.4.1, §3.4.2)

  func announce(_ local: LocalAddress, port: Port?, now: Instant) {
    guard isConfirmed else { return }
    if let index = announcements.firstIndex(where: { $0.id == local.id }) {
      // Said again it invites the peer anew; what was not echoed yet is repeated anyway.
      guard announcements[index].isEchoed, announcements[index].repeatsAt <= now + .seconds(2) else { return }
      announcements[index].isEchoed = false
      announcements[index].attempts = 0
      sendAnnouncement(index, now: now)
    } else if announcements.count < 32 {
      announcements.append(Announcement(id: local.id, address: local.address, port: port))
      sendAnnouncement(announcements.count - 1, now: now)
    }
  }

  private func sendAnnouncement(_ index: Int, now: Instant) {
    announcements[index].repeatsAt = now + .seconds(3)
    announceDeadline = min(announceDeadline, announcements[index].repeatsAt)
    guard let carrier = carrierForControl() else { return }
    let announcement = announcements[index]
    announcements[index].attempts += 1
    let hmac = JoinAuthentication.addAddressHMAC(
      senderKey: localKey, receiverKey: remoteKey, addressID: announcement.id, address: announcement.address,
      port: announcement.port)
    queue(
      .addAddress(
        AddAddress(
          version: .v1, isEcho: false, addressID: announcement.id, address: announcement.address,
          port: announcement.port, hmac: hmac)),
      on: carrier)
  }

  /// Unechoed announcements go out again, three times in all.
  func repeatAnnouncements(now: Instant) {
    announceDeadline = .distantFuture
    guard isConfirmed, phase == .open else { return }
    for index in announcements.indices where !announcements[index].isEchoed && announcements[index].attempts < 3 {
      if announcements[index].repeatsAt <= now {
        sendAnnouncement(index, now: now)
      } else {
        announceDeadline = min(announceDeadline, announcements[index].repeatsAt)
      }
    }
  }

  /// Addresses that left with their path, whether announced or known from a join (RFC 8684 §3.4.2).
  func withdrawAddresses(of gone: [Subflow]) {
    guard isConfirmed, phase == .open else { return }
    var ids: [AddressID] = []
    for subflow in gone where !endpoint.isLocal(subflow.tuple.local.address) && !ids.contains(subflow.localAddressID) {
      ids.append(subflow.localAddressID)
    }
    for announcement in announcements where !endpoint.isLocal(announcement.address) && !ids.contains(announcement.id) {
      ids.append(announcement.id)
    }
    for id in ids { withdraw(id) }
  }

  func withdraw(_ id: AddressID) {
    announcements.removeAll { $0.id == id }
    // Not on a subflow that uses the address, where another is to be had.
    let carrier = subflows.first { $0.isFullyEstablished && $0.isOpen && $0.localAddressID != id }
    tell(.removeAddress(RemoveAddress(id)), on: carrier ?? carrierForControl())
  }

  /// A subflow uses the address again: a removal that has not been sent would end it, as Linux has it.
  func takeBackRemoval(of id: AddressID) {
    let removal = MultipathOption.removeAddress(RemoveAddress(id))
    waitingOptions.removeAll { $0 == removal }
    for subflow in subflows { subflow.pendingOptions.removeAll { $0 == removal } }
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
