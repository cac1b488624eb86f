import MPTCPWire

/// Runs an algorithm of the application's own. Each connection works on a copy of the value.
final class CustomController: CongestionController {
  private var control: any CustomCongestionControl

  init(_ control: any CustomCongestionControl) {
    self.control = control
    super.init()
  }

  override var name: String { control.name }

  override func grow(_ slot: Int, _ acknowledgment: CongestionAcknowledgment) {
    let current = windows
    let wanted = control.congestionWindow(after: acknowledgment, of: slot, windows: current.span)
    setWindow(slot, byteCount: wanted)
  }

  override func threshold(_ slot: Int, after used: Int, at: Instant) -> Int {
    let current = windows
    return control.slowStartThreshold(afterCongestionOf: slot, inFlight: used, windows: current.span, at: at)
  }
}
