import MPTCPWire
import Testing

@testable import MPTCPCore

@Suite struct DeliveryForecastTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func note(
    _ forecast: inout DeliveryForecast, _ delivered: Int, at milliseconds: Int64, sent: Int? = nil, repeated: Int = 0,
    isIdle: Bool = false
  ) {
    forecast.note(
      delivered: delivered, roundTrip: .milliseconds(100), least: .milliseconds(20), sent: sent ?? delivered,
      repeated: repeated, isIdle: isIdle, at: start + .milliseconds(milliseconds))
  }

  @Test func beforeARoundTripTheRateIsAWindowInARoundTrip() {
    let forecast = DeliveryForecast()
    // 14,600 octets in 100 ms.
    #expect(forecast.rate(window: 14_600, roundTrip: .milliseconds(100)) == 146_000)
  }

  @Test func theRateIsTheBestThatARoundTripShowed() {
    var forecast = DeliveryForecast()
    note(&forecast, 1000, at: 0)
    note(&forecast, 50_000, at: 50)
    // 125,000 octets in 100 ms are 1,250,000 a second.
    note(&forecast, 126_000, at: 100)
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 1_250_000)
    // A round in which it was stopped says nothing.
    note(&forecast, 126_500, at: 200)
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 1_250_000)
  }

  @Test func fewSegmentsAreCountedOverThreeRounds() {
    var forecast = DeliveryForecast()
    note(&forecast, 0, at: 0)
    // 6,000 octets in one round and none in the next: by the best round alone it would be 60,000 a second.
    for round in 1...7 { note(&forecast, (round + 1) / 2 * 6000, at: Int64(round) * 100) }
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 40_000)
  }

  @Test func whatIsTwoEpochsOldIsForgotten() {
    var forecast = DeliveryForecast()
    note(&forecast, 0, at: 0)
    note(&forecast, 125_000, at: 100)
    for round in 2...40 { note(&forecast, 125_000 + (round - 1) * 1000, at: Int64(round) * 100) }
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 10_000)
  }

  @Test func theLastOctetWaitsForThoseBeforeItAndAtLeastARoundTrip() {
    var forecast = DeliveryForecast()
    note(&forecast, 0, at: 0)
    // 250,000 octets at 1,250,000 a second take 200 ms; 1,000 would take 0.8 ms, but the path takes 20 ms.
    #expect(forecast.time(of: 250_000, rate: 1_250_000) == .milliseconds(200))
    #expect(forecast.time(of: 1000, rate: 1_250_000) == .milliseconds(20))
  }

  /// A segment now and then says nothing about what the path holds, unless it shows more than was known.
  @Test func roundsWithNothingInFlightDoNotSlowThePathDown() {
    var forecast = DeliveryForecast()
    note(&forecast, 0, at: 0)
    note(&forecast, 125_000, at: 100)
    var delivered = 125_000
    for round in 2...60 {
      delivered += round % 10 == 0 ? 1448 : 0
      note(&forecast, delivered, at: Int64(round) * 100, isIdle: true)
    }
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 1_250_000)
    // It is used again and shows less: that counts.
    for round in 61...90 {
      delivered += 50_000
      note(&forecast, delivered, at: Int64(round) * 100)
    }
    #expect(forecast.rate(window: 1, roundTrip: .milliseconds(100)) == 500_000)
  }

  @Test func theShareOfLossesIsThatOfLateAndForgottenWhereNothingIsSent() {
    var forecast = DeliveryForecast()
    note(&forecast, 0, at: 0)
    note(&forecast, 100_000, at: 1_000, repeated: 5_000)
    #expect(forecast.lossShare == 0.05)
    // Few octets say nothing yet.
    note(&forecast, 110_000, at: 2_000, repeated: 10_000)
    #expect(forecast.lossShare == 0.05)
    note(&forecast, 110_000, at: 3_000, repeated: 10_000, isIdle: true)
    #expect(forecast.lossShare == 0.025)
    note(&forecast, 210_000, at: 4_000, repeated: 10_000)
    #expect(forecast.lossShare == Float(5_000) / 110_000)
    note(&forecast, 310_000, at: 5_000, repeated: 10_000)
    #expect(forecast.lossShare == 0)
  }

  @Test func extremesSaturate() {
    var forecast = DeliveryForecast()
    note(&forecast, .max, at: 0)
    note(&forecast, 0, at: 100)
    #expect(forecast.time(of: .max, rate: 0) > .seconds(1 << 30))
    #expect(DeliveryForecast.octets(at: .max, in: .max) == .max)
    #expect(DeliveryForecast.rate(.max, in: Nanoseconds(1)) == .max)
  }
}
