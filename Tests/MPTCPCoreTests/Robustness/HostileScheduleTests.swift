import Testing

@Suite struct HostileScheduleTests {
  @Test(arguments: Seeds.range(fast: 60))
  func everyByteArrivesOnceAndNothingIsLeftBehind(seed: Int) throws {
    let failure = try HostileRun(seed: seed).run()
    #expect(failure == nil, "\(failure ?? "")")
  }
}
