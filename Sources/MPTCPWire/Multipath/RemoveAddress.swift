/// REMOVE_ADDR: the sender no longer has these addresses (RFC 8684 §3.4.2).
/// Requirement 8684-3.4.2-04
public struct RemoveAddress: Sendable {
  /// How many IDs one option holds at most.
  public static let limit = 37

  /// How many IDs there are.
  public private(set) var count: Int
  @usableFromInline var octets: InlineArray<37, UInt8>

  /// No IDs yet; such an option cannot be written.
  public init() {
    count = 0
    octets = InlineArray(repeating: 0)
  }

  /// The given IDs in their order; those beyond the first 37 are left out.
  public init(_ ids: AddressID...) {
    self.init()
    for id in ids { append(id) }
  }

  /// Adds an ID at the end; false, and no change, if the option is full.
  @discardableResult
  public mutating func append(_ id: AddressID) -> Bool {
    guard count < Self.limit else { return false }
    octets[count] = id.rawValue
    count += 1
    return true
  }

  /// The ID at `index`, in the option's order.
  ///
  /// - Precondition: `index` is in `0 ..< count`.
  @inlinable
  public subscript(index: Int) -> AddressID {
    precondition(index >= 0 && index < count)
    return AddressID(octets[index])
  }

  /// The octets that the option takes; 0 if there are no IDs.
  @inlinable
  public var encodedByteCount: Int { count == 0 ? 0 : 3 + count }

  init(decoding option: RawSpan, at offset: Int, length: Int) throws(WireError) {
    guard length >= 4, length <= 3 + Self.limit else { throw WireError(.removeAddress, .badLength, at: offset) }
    self.init()
    for position in offset + 3..<offset + length { append(AddressID(option.octet(position))) }
  }

  func write(_ writer: inout OctetWriter) {
    guard count > 0 else { return }
    writer.putMultipath(.removeAddress, nibble: 0, length: encodedByteCount)
    for index in 0..<count { writer.put8(octets[index]) }
  }
}

extension RemoveAddress: Hashable {
  /// Whether both hold the same IDs in the same order.
  public static func == (lhs: RemoveAddress, rhs: RemoveAddress) -> Bool {
    guard lhs.count == rhs.count else { return false }
    for index in 0..<lhs.count where lhs.octets[index] != rhs.octets[index] { return false }
    return true
  }

  /// Hashes the IDs that are there.
  public func hash(into hasher: inout Hasher) {
    for index in 0..<count { hasher.combine(octets[index]) }
  }
}
