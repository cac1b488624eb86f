extension Exploration {
  /// Runs scenarios on several processors. What comes of it is the same for any number of jobs.
  ///
  /// - Parameters:
  ///   - generator: Where the scenarios come from.
  ///   - numbers: The numbers of the scenarios.
  ///   - jobs: How many run at the same time; each takes numbers of its own.
  ///   - progress: Is called, on any thread, with how many more are done, and how many of these broke a rule.
  public static func run(
    _ generator: ScenarioGenerator, _ numbers: Range<Int>, jobs: Int,
    progress: @escaping @Sendable (_ count: Int, _ failureCount: Int) -> Void = { _, _ in }
  ) async -> Exploration {
    let jobs = max(min(jobs, numbers.count), 1)
    return await withTaskGroup(of: Exploration.self) { group in
      for job in 0..<jobs {
        group.addTask {
          var exploration = Exploration(generator)
          var number = numbers.lowerBound + job
          while number < numbers.upperBound, !Task.isCancelled {
            let (count, failureCount) = (exploration.counts.scheduleCount, exploration.counts.failureCount)
            let (last, overflow) = number.addingReportingOverflow(pieceCount * jobs)
            let end = overflow ? numbers.upperBound : min(last, numbers.upperBound)
            exploration.run(stride(from: number, to: end, by: jobs))
            progress(exploration.counts.scheduleCount - count, exploration.counts.failureCount - failureCount)
            number = last
            // Where every thread explores, whoever wants it to end has none.
            await Task.yield()
          }
          return exploration
        }
      }
      var sum = Exploration(generator)
      for await exploration in group { sum.add(exploration) }
      return sum
    }
  }

  /// So many scenarios are run between two reports of progress.
  private static let pieceCount = 32
}
