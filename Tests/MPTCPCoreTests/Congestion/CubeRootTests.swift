import Testing

@testable import MPTCPCore

@Suite struct CubeRootTests {
  @Test func `the cube root is the greatest whole number whose cube does not exceed the value`() {
    var generator = SeededGenerator(seed: 11)
    var values: [UInt128] = [0, 1, 7, 8, 9, 26, 27, 28, 1 << 126, .max]
    for _ in 0..<2_000 {
      let wide = UInt128(generator.next()) << 64 | UInt128(generator.next())
      values.append(wide >> UInt128.random(in: 0..<128, using: &generator))
    }
    for value in values {
      let root = UInt128(Cubic.cubeRoot(value))
      agree(root * root * root <= value, true)
      let next = (root + 1).multipliedReportingOverflow(by: (root + 1) * (root + 1))
      agree(next.overflow || next.partialValue > value, true)
    }
  }
}
