// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "swift-multipath", path: "..")],
  targets: [
    // malloc.h, which Swift's Glibc module leaves out.
    .target(name: "CMalloc"),
    .executableTarget(
      name: "engine-bench",
      dependencies: [
        .product(name: "MPTCPCore", package: "swift-multipath"),
        .target(name: "CMalloc", condition: .when(platforms: [.linux])),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]),
    .executableTarget(
      name: "aggregation-bench",
      dependencies: [
        .product(name: "MPTCPCore", package: "swift-multipath"),
        .product(name: "MPTCPLink", package: "swift-multipath"),
        .product(name: "MPTCPPolicy", package: "swift-multipath"),
        .product(name: "MPTCPWire", package: "swift-multipath"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]),
    .executableTarget(
      name: "coupled-bench",
      dependencies: [
        .product(name: "MPTCPLink", package: "swift-multipath"),
        .product(name: "MPTCPSimulator", package: "swift-multipath"),
        .product(name: "MPTCPWire", package: "swift-multipath"),
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]),
  ],
  swiftLanguageModes: [.v6]
)

#if os(Linux)
  package.targets.append(
    .executableTarget(
      name: "scale-bench",
      dependencies: [
        .product(name: "MPTCPCore", package: "swift-multipath"),
        .product(name: "MPTCPLink", package: "swift-multipath"),
        .product(name: "MPTCPPolicy", package: "swift-multipath"),
        .product(name: "MPTCPSimulator", package: "swift-multipath"),
        .product(name: "MPTCPWire", package: "swift-multipath"),
        "CMalloc",
      ],
      swiftSettings: [.treatAllWarnings(as: .error)]))
#endif
