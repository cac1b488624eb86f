/// Where chance comes from on one of several paths.
///
/// Each direction's link and each end's boxes have chance of their own, and so has each path, even where one text
/// describes them all: without that, two lossy paths lose the same packets. It depends on nothing but the path's number
/// and the seed that the text gives, so that the same description has the same chance in every run.
package struct PathChance: Hashable, Sendable {
  private let index: UInt64

  /// That of the path of this number.
  package init(path index: Int) { self.index = UInt64(index) }

  /// The link of one direction, with its chance.
  package func link(_ configuration: LinkConfiguration, _ direction: PathDirection) -> LinkConfiguration {
    var link = configuration
    link.seed = seed(from: configuration.seed, for: direction == .forward ? 0 : 1)
    return link
  }

  /// The seed of the boxes beside one end; a packet to the second one goes forward.
  package func boxSeed(atFirstEnd isFirst: Bool) -> UInt64 { seed(from: 0, for: isFirst ? 2 : 3) }

  // Drawn, not added up: the sums of small numbers would meet again on other paths.
  private func seed(from seed: UInt64, for use: UInt64) -> UInt64 {
    var path = SeededGenerator(seed: seed, stream: 400 &+ index)
    var place = SeededGenerator(seed: path.next(), stream: use)
    return place.next()
  }
}
