import FuzzTargets

/// What libFuzzer calls with each input.
@c(LLVMFuzzerTestOneInput)
public func fuzz(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  PairTarget.run(UnsafeRawBufferPointer(start: bytes, count: count))
  return 0
}
