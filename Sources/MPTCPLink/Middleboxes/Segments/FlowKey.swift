import MPTCPWire

/// A TCP flow as a box between a client and a server knows it; the names say on which side of the box an end is, not
/// which of them opened the flow.
struct FlowKey: Hashable, Sendable {
  var client: TransportAddress
  var server: TransportAddress

  init(_ source: TransportAddress, _ destination: TransportAddress, _ direction: PathDirection) {
    client = direction == .forward ? source : destination
    server = direction == .forward ? destination : source
  }

  init(_ segment: EditableSegment, _ direction: PathDirection) {
    self.init(segment.source, segment.destination, direction)
  }

  /// The end that sends in a direction.
  func source(_ direction: PathDirection) -> TransportAddress { direction == .forward ? client : server }
}

/// One value for each direction.
struct Both<Value: Sendable>: Sendable {
  var forward: Value
  var backward: Value

  init(_ value: Value) {
    forward = value
    backward = value
  }

  subscript(direction: PathDirection) -> Value {
    get { direction == .forward ? forward : backward }
    _modify {
      if direction == .forward { yield &forward } else { yield &backward }
    }
  }
}

extension Both: Equatable where Value: Equatable {}
