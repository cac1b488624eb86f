// swift-tools-version: 6.2
import PackageDescription

// Floors, lowest first: a target imports only targets below it (docs/architecture.md).

let strict: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  .enableUpcomingFeature("ExistentialAny"),
  .treatAllWarnings(as: .error),
]

#if os(Linux)
  let api: [Target.Dependency] = ["Multipath"]
#else
  let api: [Target.Dependency] = []
#endif

let package = Package(
  name: "swift-multipath",
  platforms: [.macOS(.v26)],
  products: [
    .library(name: "MPTCPWire", targets: ["MPTCPWire"]),
    .library(name: "MPTCPPolicy", targets: ["MPTCPPolicy"]),
    .library(name: "MPTCPLink", targets: ["MPTCPLink"]),
    .library(name: "MPTCPCapture", targets: ["MPTCPCapture"]),
    .library(name: "MPTCPCore", targets: ["MPTCPCore"]),
    .library(name: "MPTCPSimulator", targets: ["MPTCPSimulator"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // Ground
    .target(
      name: "MPTCPWire",
      dependencies: [.product(name: "Crypto", package: "swift-crypto")],
      swiftSettings: strict),
    .target(name: "MPTCPPolicy", dependencies: ["MPTCPWire"], swiftSettings: strict),
    .target(name: "MPTCPLink", dependencies: ["MPTCPWire"], swiftSettings: strict),
    .target(name: "MPTCPCapture", dependencies: ["MPTCPWire"], swiftSettings: strict),

    // Engine
    .target(
      name: "MPTCPCore",
      dependencies: [
        "MPTCPWire", "MPTCPPolicy",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: strict),

    // Hosts of the engine
    .target(
      name: "MPTCPSimulator", dependencies: ["MPTCPCore", "MPTCPLink", "MPTCPCapture"], swiftSettings: strict),

    // Tools: what they share
    .target(
      name: "MPTCPTools",
      dependencies: ["MPTCPLink", "MPTCPSimulator", "MPTCPWire", .product(name: "Crypto", package: "swift-crypto")]
        + api,
      swiftSettings: strict),

    // Ties the requirements in docs/requirements to code and tests (make conformance).
    .executableTarget(name: "Conformance", swiftSettings: strict),

    .testTarget(name: "ConformanceTests", dependencies: ["Conformance"], swiftSettings: strict),
    .testTarget(name: "MPTCPWireTests", dependencies: ["MPTCPWire", "PacketFactory"], swiftSettings: strict),
    .target(name: "PacketFactory", dependencies: ["MPTCPWire"], path: "Tests/PacketFactory", swiftSettings: strict),
    .testTarget(name: "MPTCPLinkTests", dependencies: ["MPTCPLink", "PacketFactory"], swiftSettings: strict),
    .testTarget(name: "MPTCPCaptureTests", dependencies: ["MPTCPCapture", "PacketFactory"], swiftSettings: strict),
    .target(
      name: "TestSupport", dependencies: ["MPTCPCore", "MPTCPLink"], path: "Tests/TestSupport", swiftSettings: strict),
    .testTarget(
      name: "MPTCPCoreTests",
      dependencies: ["MPTCPCore", "MPTCPPolicy", "MPTCPWire", "PacketFactory", "TestSupport"],
      swiftSettings: strict),
    .testTarget(name: "MPTCPSimulatorTests", dependencies: ["MPTCPSimulator", "MPTCPTools"], swiftSettings: strict),
    // What libFuzzer runs (FuzzTesting), here over the corpus.
    .target(
      name: "FuzzTargets", dependencies: ["MPTCPCore", "MPTCPPolicy", "MPTCPWire"],
      path: "FuzzTesting/Sources/FuzzTargets", swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: strict),
    .testTarget(name: "ToolTests", dependencies: ["MPTCPTools", "MPTCPSimulator"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)

#if os(Linux)
  // The hosts, and what stands on them: Linux's devices, and its Multipath TCP as the other side.
  package.products += [
    .library(name: "Multipath", targets: ["Multipath"]),
    .executable(name: "mptcp", targets: ["mptcp"]),
    .executable(name: "mptcp-peer", targets: ["KernelPeer"]),
    .executable(name: "stack-peer", targets: ["StackPeer"]),
  ]
  package.targets += [
    .target(name: "CLinux"),
    .target(
      name: "MPTCPStack",
      dependencies: [
        "MPTCPCore", "MPTCPLink", "MPTCPCapture", "CLinux",
        .product(name: "DequeModule", package: "swift-collections"),
      ],
      swiftSettings: strict),
    .target(name: "Multipath", dependencies: ["MPTCPStack"], swiftSettings: strict),
    // Links in real time, between the kernels of network namespaces.
    .target(
      name: "MPTCPLab",
      dependencies: ["MPTCPStack", "MPTCPCore", "MPTCPLink", "MPTCPCapture", "MPTCPWire", "CLinux"],
      swiftSettings: strict),
    .executableTarget(
      name: "mptcp",
      dependencies: [
        "Multipath", "MPTCPSimulator", "MPTCPStack", "MPTCPLab", "MPTCPTools", "CLinux",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict),
    // Both sides of the interop tests and benchmarks.
    .executableTarget(
      name: "KernelPeer",
      cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra")]),
    .executableTarget(
      name: "StackPeer",
      dependencies: ["MPTCPTools", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: strict),
    .testTarget(name: "MPTCPStackTests", dependencies: ["MPTCPStack", "CLinux"], swiftSettings: strict),
    .testTarget(name: "MultipathTests", dependencies: ["Multipath", "MPTCPStack"], swiftSettings: strict),
    .testTarget(
      name: "MPTCPLabTests", dependencies: ["MPTCPLab", "MPTCPLink", "MPTCPStack", "MPTCPWire", "CLinux"],
      swiftSettings: strict),
    .testTarget(name: "InteropTests", swiftSettings: strict),
  ]
#endif
