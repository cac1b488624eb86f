import MPTCPPolicy
import MPTCPWire

@testable import MPTCPCore

/// A subflow with segments of 1,000 octets, as a scheduler sees it.
func snapshot(
  _ id: Int32 = 0, milliseconds: Int64, variation: Int64 = 0, window: Int, threshold: Int = .max, inFlight: Int = 0,
  room: Int = 0
) -> SubflowSnapshot {
  SubflowSnapshot(
    id: SubflowID(id), smoothedRoundTripTime: .milliseconds(milliseconds),
    roundTripTimeVariation: .milliseconds(variation), congestionWindowByteCount: window,
    slowStartThresholdByteCount: threshold, inFlightByteCount: inFlight, roomByteCount: room, segmentByteCount: 1000,
    isBackup: false, isStalled: false, isRepairing: false)
}
