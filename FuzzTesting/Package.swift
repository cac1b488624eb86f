// swift-tools-version: 6.2
import PackageDescription

// libFuzzer's targets, for `make fuzz`: swift build -c release --sanitize=fuzzer --sanitize=address.
// The root package's tests run the same targets over the corpus, in debug and without libFuzzer.

let strict: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"), .enableUpcomingFeature("ExistentialAny"), .treatAllWarnings(as: .error),
]
// libFuzzer has the main function.
let entry: [SwiftSetting] = strict + [.unsafeFlags(["-parse-as-library"])]

func fuzzer(_ name: String) -> Target {
  .executableTarget(name: name, dependencies: ["FuzzTargets"], swiftSettings: entry)
}

let package = Package(
  name: "FuzzTesting",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "swift-multipath", path: "..")],
  targets: [
    .target(
      name: "FuzzTargets",
      dependencies: [
        .product(name: "MPTCPCore", package: "swift-multipath"),
        .product(name: "MPTCPPolicy", package: "swift-multipath"),
        .product(name: "MPTCPWire", package: "swift-multipath"),
      ],
      swiftSettings: strict),
    fuzzer("fuzz-packet"),
    fuzzer("fuzz-endpoint"),
    fuzzer("fuzz-pair"),
  ],
  swiftLanguageModes: [.v6]
)
