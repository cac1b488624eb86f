#if os(Linux)
  import Multipath

  extension MultipathPath {
    /// The path that an option describes.
    public init(_ option: PathOption) {
      let addresses = option.addresses.map(\.local)
      let others = option.addresses.compactMap(\.other)
      self =
        switch option.kind {
        case .tun: .tun(option.interface, addresses: addresses, hosts: others)
        case .packet: .packet(option.interface, addresses: addresses, gateways: others)
        }
      if var link = option.link {
        let outgoing = link
        // The same link both ways, with chance of its own each way.
        link.seed ^= 0x9e37_79b9_7f4a_7c15
        self = shaped(outgoing: outgoing, incoming: link)
      }
      isBackup = option.isBackup
    }
  }

  extension ExitStatus {
    /// The status that says what went wrong.
    public init(_ error: MultipathError) {
      self =
        switch error.kind {
        case .refused, .unreachable, .unknownHost, .noPath, .notAnotherHost: .notConnected
        case .timedOut: .notConnected
        case .reset, .closed, .protocolViolation, .notMultipath, .unknownSubflow: .cutShort
        case .permissionDenied: .noPermission
        case .portInUse, .limitReached, .device: .system
        }
    }
  }
#endif
