import Testing

@testable import MPTCPCore

@Suite struct CongestionAlgorithmTests {
  @Test func `each built-in algorithm has a name and is found by it`() throws {
    #expect(CongestionAlgorithm.allNames == ["newreno", "cubic", "lia", "olia", "balia", "wvegas", "bbr"])
    for name in CongestionAlgorithm.allNames {
      #expect(try #require(CongestionAlgorithm(name: name)).name == name)
      #expect(try #require(CongestionAlgorithm(name: name.uppercased())).name == name)
    }
    #expect(CongestionAlgorithm(name: "reno")?.name == "newreno")
    #expect(CongestionAlgorithm(name: "vegas") == nil)
    #expect(CongestionAlgorithm(name: "") == nil)
  }
}
