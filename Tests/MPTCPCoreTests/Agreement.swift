import Testing

/// `#expect(actual == expected)` for loops of many thousand steps: the macro, which costs microseconds, runs only when
/// they differ.
func agree<Value: Equatable>(
  _ actual: @autoclosure () -> Value, _ expected: @autoclosure () -> Value,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let pair = (actual(), expected())
  if pair.0 != pair.1 { #expect(pair.0 == pair.1, sourceLocation: sourceLocation) }
}
