import MPTCPCapture
import MPTCPWire

/// Every packet at every interface as pcapng, with the times of the simulation: its start is the epoch.
public final class PcapngTrace: PacketRecorder {
  private var writer: PcapngWriter<any Error>
  private var interfaces: [[CaptureInterface]] = []
  /// What went wrong with writing, the first time; nothing was written since.
  public private(set) var failure: (any Error)?

  /// A capture of a simulation, whose blocks go to `sink`.
  ///
  /// - Throws: what the sink throws.
  public init(of simulation: Simulation, to sink: @escaping @Sendable (RawSpan) throws -> Void) throws {
    writer = try PcapngWriter(epoch: .zero - (Simulation.start - .zero), application: "mptcp sim", sink: sink)
    for names in simulation.interfaceNames {
      var added: [CaptureInterface] = []
      for name in names { added.append(try writer.addInterface(name: name)) }
      interfaces.append(added)
    }
  }

  /// Writes a packet.
  public func record(_ packet: RawSpan, at time: Instant, on interface: InterfaceID, direction: CaptureDirection) {
    guard failure == nil else { return }
    do {
      try writer.write(packet, on: interfaces[interface.host][interface.interface], direction: direction, at: time)
    } catch {
      failure = error
    }
  }

  /// Ends the capture with each interface's counters.
  ///
  /// - Throws: what the sink throws now, or threw before.
  public func finish(at time: Instant) throws {
    if let failure { throw failure }
    try writer.finish(at: time)
  }
}
