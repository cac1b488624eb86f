import MPTCPLink
import MPTCPWire

/// What a lab is built from: hosts, the paths between them, and the commands that run beside the one that is measured.
///
/// As JSON, two hosts with two paths are
///
/// ```json
/// {
///   "hosts": [{ "name": "client", "mptcp": { "endpoints": "subflow" } }, "server"],
///   "paths": [
///     { "name": "wifi", "between": ["client", "server"], "link": "40mbit,10ms" },
///     { "name": "lte", "between": ["client", "server"], "link": "20mbit,30ms,loss=0.1%" }
///   ],
///   "run": [{ "in": "server", "command": ["mptcp-peer", "server", "--echo", "0.0.0.0:5000"], "listens": 5000 }]
/// }
/// ```
///
/// `docs/lab.md` lists every key.
package struct LabFile: Hashable, Sendable {
  /// The hosts, in the order of the file; those that only paths name come behind the others.
  package var hosts: [Host]
  /// The paths, in the order of the file.
  package var paths: [Path]
  /// What runs in the background, started in this order.
  package var commands: [BackgroundCommand]

  /// A network namespace with a kernel's stack of its own.
  package struct Host: Hashable, Sendable {
    /// The name, by which paths and commands refer to it.
    package var name: String
    /// Whether it passes packets on from one path to another.
    package var forwards = false
    /// Kernel settings below `net.`, in the order of their names.
    package var settings: [Setting] = []
    /// How many further subflows a connection of its kernel may have.
    package var subflowLimit = 8
    /// How many announced addresses of a peer its kernel takes up.
    package var acceptedAddressLimit = 8
    /// The addresses that its kernel uses for further subflows, or announces.
    package var endpoints: [Endpoint] = []

    package init(name: String) { self.name = name }
  }

  /// A kernel setting (sysctl).
  package struct Setting: Hashable, Sendable {
    /// Its name, with points: `net.mptcp.scheduler`.
    package var name: String
    /// What is written to it.
    package var value: String
  }

  /// What the kernel's path manager makes of a path's addresses (RFC 8684 §3.4 to §3.8).
  package struct Endpoint: Hashable, Sendable {
    /// What the addresses are for, as `ip mptcp endpoint` has it.
    package enum Use: String, CaseIterable, Hashable, Sendable {
      /// Announced to the peer by ADD_ADDR.
      case signal
      /// The source of a further subflow.
      case subflow
      /// Of a subflow that carries data only when no other can.
      case backup
      /// The source of a subflow to each of the peer's addresses.
      case fullmesh
    }

    /// The path's name.
    package var path: String
    package var uses: [Use]
  }

  /// What a path's packets pass through between the kernels and the links.
  package enum Device: String, CaseIterable, Hashable, Sendable {
    /// TUN devices where `/dev/net/tun` may be opened, otherwise Ethernet pairs.
    case automatic = "auto"
    /// A TUN device in each host.
    case tun
    /// An Ethernet pair for each host, whose other end the lab reads: a stack of a program's own can use it as well.
    case ethernet = "veth"
  }

  /// One end of a path.
  package struct End: Hashable, Sendable {
    /// The host's name.
    package var host: String
    /// Its addresses there; empty for those that the plan gives.
    package var addresses: [IPPrefix] = []
    /// What happens to packets that the host sends, with the seed that the text gives (`PathChance`).
    package var link = LinkConfiguration()
    /// The middleboxes between the host and the links, in the order in which a packet to the second end meets them.
    package var boxes: [MiddleboxConfiguration] = []
  }

  /// Two devices, one in each of two hosts, and the links between them.
  package struct Path: Hashable, Sendable {
    /// The name, which both devices have too.
    package var name: String
    package var device = Device.automatic
    /// The devices' MTU in bytes.
    package var maximumTransmissionUnit = 1500
    package var first: End
    package var second: End

    package init(name: String, first: End, second: End) {
      (self.name, self.first, self.second) = (name, first, second)
    }

    /// Both ends.
    package var ends: [End] { [first, second] }
  }

  /// A program that runs while the measured command does.
  package struct BackgroundCommand: Hashable, Sendable {
    /// The name of the host that it runs in.
    package var host: String
    /// The program and its arguments.
    package var arguments: [String]
    /// The TCP port that must have a listener before anything else is started.
    package var listeningPort: UInt16?
  }

  /// The host of that name.
  package func host(_ name: String) -> Host? { hosts.first { $0.name == name } }
}

/// What is wrong with a lab file: where, and what should be there.
package struct LabFileError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The place, such as `paths[1].link`; empty for the whole file.
  package let place: String
  package let problem: String

  package init(_ place: String, _ problem: String) { (self.place, self.problem) = (place, problem) }

  /// One line.
  package var description: String { place.isEmpty ? problem : "\(place): \(problem)" }
}
