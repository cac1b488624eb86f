#if os(Linux)
  import Multipath

  extension MultipathPath {
    /// The paths that options describe, each with chance of its own.
    public static func paths(_ options: [PathOption]) -> [MultipathPath] {
      options.enumerated().map { index, option in MultipathPath(option, index: index) }
    }

    private init(_ option: PathOption, index: Int) {
      let addresses = option.addresses.map(\.local)
      let others = option.addresses.compactMap(\.other)
      self =
        switch option.kind {
        case .tun: .tun(option.interface, addresses: addresses, hosts: others)
        case .packet: .packet(option.interface, addresses: addresses, gateways: others)
        }
      if let links = option.links(index: index) { self = shaped(outgoing: links.outgoing, incoming: links.incoming) }
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
