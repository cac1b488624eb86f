import MPTCPLink

extension FaultKind {
  /// What boxes of a kind can do, as faults.
  static func effects(of kind: MiddleboxConfiguration.Kind) -> [(FaultKind, MiddleboxEffect)] {
    switch kind {
    case .strip: [(.optionRemoved, .optionRemoved)]
    case .rewriteSequence: [(.sequenceRewritten, .sequenceTranslated)]
    case .cut: [(.segmentCut, .segmentCut)]
    case .merge: [(.segmentMerged, .segmentMerged)]
    case .clampSegmentSize: [(.segmentSizeClamped, .segmentSizeClamped)]
    case .changePayload: [(.payloadChanged, .payloadChanged)]
    case .resizePayload: [(.payloadResized, .payloadResized)]
    case .drop: [(.segmentDropped, .segmentDropped)]
    case .stripSYNData: [(.synDataRemoved, .synDataRemoved)]
    case .acknowledgeEarly: [(.acknowledgedEarly, .acknowledgedEarly)]
    case .nat: [(.addressTranslated, .addressTranslated), (.mappingForgotten, .mappingForgotten)]
    case .firewall: [(.firewalled, .unknownFlowDropped), (.firewalled, .outOfWindowDropped)]
    case .reset: [(.resetInjected, .resetSent)]
    case .replay: [(.replayed, .replayed)]
    }
  }

  /// The fault that a box asks for.
  init?(_ box: MiddleboxConfiguration) {
    if case .nat(let details) = box, !details.rebind.isEmpty || details.idle != nil {
      self = .mappingForgotten
    } else if let first = Self.effects(of: box.kind).first {
      self = first.0
    } else {
      return nil
    }
  }
}
