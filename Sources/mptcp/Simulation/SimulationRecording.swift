import ArgumentParser
import FoundationEssentials
import MPTCPCapture
import MPTCPSimulator
import MPTCPTools
import MPTCPWire

/// The files that a simulation's packets go to.
final class SimulationRecording: PacketRecorder {
  private var capture: PcapngTrace?
  private var trace: TextTrace?
  private let files: [(handle: RecordingFile, option: String, path: String)]

  /// Opens the files and lets the simulation show its packets.
  init(of simulation: Simulation, pcapng: String?, trace: String?) throws {
    var files: [(handle: RecordingFile, option: String, path: String)] = []
    if let pcapng {
      let file = RecordingFile(pcapng)
      files.append((file, "--pcapng", pcapng))
      capture = try PcapngTrace(of: simulation) { block in file.write(block) }
    }
    if let trace {
      let file = RecordingFile(trace)
      files.append((file, "--trace", trace))
      self.trace = TextTrace(of: simulation) { line in
        let bytes = Array((line + "\n").utf8)
        file.write(bytes.span.bytes)
      }
    }
    self.files = files
    if !files.isEmpty { simulation.recorder = self }
  }

  func record(_ packet: RawSpan, at time: Instant, on interface: InterfaceID, direction: CaptureDirection) {
    capture?.record(packet, at: time, on: interface, direction: direction)
    trace?.record(packet, at: time, on: interface, direction: direction)
  }

  /// Writes what is left, and says so if something could not be written.
  func finish(at time: Instant) throws {
    try capture?.finish(at: time)
    for file in files { try file.handle.finish(file.option, file.path) }
  }
}
