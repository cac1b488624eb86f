import Logging

/// Log lines for people: the program's name and the message, on the standard error.
struct LineLog: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) { StandardError.say("\(event.message)") }

  /// A logger that shows what happens if `isVerbose`, and otherwise only what goes wrong.
  static func logger(isVerbose: Bool) -> Logger {
    Logger(label: "mptcp") { _ in LineLog(logLevel: isVerbose ? .info : .error) }
  }
}
