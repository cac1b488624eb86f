// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v26)],
  dependencies: [.package(name: "swift-multipath", path: "..")],
  targets: [
    .executableTarget(
      name: "engine-bench",
      dependencies: [.product(name: "MPTCPCore", package: "swift-multipath")],
      swiftSettings: [.treatAllWarnings(as: .error)])
  ],
  swiftLanguageModes: [.v6]
)
