import Crypto

/// The SHA-256 of a stream and its length, taken piece by piece.
public struct StreamDigest: Sendable {
  private var hash = SHA256()
  /// Bytes taken so far.
  public private(set) var byteCount = 0

  /// Starts with nothing.
  public init() {}

  /// Takes the next bytes of the stream.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    hash.update(bufferPointer: bytes)
    byteCount += bytes.count
  }

  /// The digest of what was taken, as 64 hexadecimal digits.
  public var hexadecimal: String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    for octet in hash.finalize() { text += [digits[Int(octet >> 4)], digits[Int(octet & 15)]] }
    return String(decoding: text, as: UTF8.self)
  }
}
