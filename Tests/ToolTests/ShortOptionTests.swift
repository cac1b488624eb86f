import MPTCPTools
import Testing

@Suite("Short options")
struct ShortOptionTests {
  @Test(
    "Letters come apart, and a value may stand right behind its letter or look like an option",
    arguments: [
      ("-zv host 80", "-z -v host 80"), ("-w2 host 80", "-w=2 host 80"), ("-zvw2 host", "-z -v -w=2 host"),
      ("-lp80", "-l -p=80"), ("-lvp 80", "-l -v -p=80"), ("-q -1 host", "-q=-1 host"), ("-w=-1 host", "-w=-1 host"),
      ("-w", "-w"), ("-zx", "-zx"), ("-4 -6", "-4 -6"), ("--pcap -zv", "--pcap -z -v"), ("-- -zv", "-- -zv"),
      ("-", "-"),
      ("--verbose -", "--verbose -"), ("-pw 5", "-p=w 5"),
    ])
  func split(joined: String, apart: String) {
    let words = { (text: String) in text.split(separator: " ").map(String.init) }
    #expect(ShortOptions(flags: "lkdNz46vn", valued: "pwq").split(words(joined)) == words(apart))
  }
}
