import Testing

@testable import MPTCPSimulator

/// A scenario that exploration found, made small.
struct FoundScenario: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let json: String

  init(_ description: String, _ json: String) {
    testDescription = description
    self.json = json
  }
}

@Suite("Scenarios that broke a rule once break none")
struct FoundScenarioTests {
  static let found: [FoundScenario] = [
    FoundScenario(
      "A SYN comes again to a host that has lost the connection",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "112ms",
            "interfaceRemoved": "server.a"
          },
          {
            "at": "262ms",
            "interfaceAdded": "server.a"
          }
        ],
        "paths": [
          {
            "back": "30mbit,900us,loss=4%",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "replay": {
                  "after": "733ms",
                  "chance": "2.7%",
                  "direction": "forward"
                }
              }
            ],
            "link": "34mbit,1900us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2046824505388716,
        "transfers": [
          {
            "client": "client",
            "options": {
              "keepAlive": "1s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "18s"
            },
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box takes keys off data: a peer that has sent mappings becomes plain TCP, behind a path that is down",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "23ms",
            "pathDown": "a"
          },
          {
            "at": "1327ms",
            "pathUp": "a"
          }
        ],
        "paths": [
          {
            "back": "8mbit,2100us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "on": [
                    "data"
                  ],
                  "option": "mptcp.capable",
                  "shortensHeader": true
                }
              }
            ],
            "link": "39mbit,2100us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 516004989734192,
        "transfers": [
          {
            "client": "client",
            "download": "23625B",
            "options": {
              "keepAlive": "7s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "3s"
            },
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box takes keys off data: a peer that has sent mappings becomes plain TCP, behind a line that is cut",
      """
      {
        "duration": "1800s",
        "hosts": [
          {
            "interfaces": [
              {
                "family": "ipv6",
                "name": "a"
              },
              {
                "name": "b"
              }
            ],
            "name": "client",
            "offload": false
          },
          {
            "interfaces": [
              {
                "family": "ipv6",
                "name": "a"
              }
            ],
            "name": "server"
          }
        ],
        "paths": [
          {
            "back": "5mbit,500us,down=23ms,up=849ms",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "on": [
                    "data"
                  ],
                  "option": "mptcp.capable"
                }
              }
            ],
            "link": "8mbit,5900us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 439299886084931,
        "transfers": [
          {
            "client": "client",
            "download": "5681B",
            "options": {
              "keepAlive": "5s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "15s"
            },
            "upload": "2525B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box takes keys off data: a peer that has sent mappings becomes plain TCP, behind both",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "69ms",
            "pathDown": "a"
          },
          {
            "at": "945ms",
            "pathUp": "a"
          }
        ],
        "paths": [
          {
            "back": "20mbit,1900us,down=13ms,up=144ms",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "on": [
                    "data"
                  ],
                  "option": "mptcp.capable"
                }
              }
            ],
            "link": "20mbit,1900us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2137666217185093,
        "transfers": [
          {
            "client": "client",
            "download": "13187B",
            "options": {
              "keepAlive": "14s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "11s"
            },
            "upload": "1648B"
          }
        ]
      }
      """),
    FoundScenario(
      "Bytes without a mapping that wait behind others in version 0, on one of two paths",
      """
      {
        "duration": "900s",
        "paths": [
          {
            "back": "22mbit,1900us",
            "between": ["client.a", "server.a"],
            "link": "40mbit,3800us",
            "name": "a"
          },
          {
            "between": ["client.b", "server.b"],
            "boxes": [{"merge": {"byteCount": "5634B", "hold": "2600us"}}],
            "link": "13mbit,600us",
            "name": "b"
          }
        ],
        "sample": "0ns",
        "seed": 622846302740267,
        "transfers": [
          {
            "client": "client",
            "options": {"keepAlive": "4s", "scheduler": "round-robin-strict", "version": "0"},
            "server": "server",
            "serverOptions": {"keepAlive": "14s"},
            "upload": "78KB"
          }
        ]
      }
      """),
    FoundScenario(
      "Bytes without a mapping that wait behind others in version 0, on the only path",
      """
      {
        "duration": "900s",
        "paths": [
          {
            "back": "2mbit,3800us",
            "between": ["client.a", "server.a"],
            "boxes": [{"merge": {"byteCount": "4646B", "hold": "2500us"}}],
            "link": "39mbit,5300us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2664110998885302,
        "transfers": [
          {
            "client": "client",
            "options": {"keepAlive": "12s", "version": "0"},
            "server": "server",
            "serverOptions": {"keepAlive": "18s"},
            "upload": "27625B"
          }
        ]
      }
      """),
    FoundScenario(
      "A path that comes back after the peer fell back unnoticed",
      """
      {
        "duration": "900s",
        "events": [{"at": "7ms", "interfaceDown": "client.a"}, {"at": "493ms", "interfaceUp": "client.a"}],
        "paths": [
          {
            "back": "29mbit,2600us",
            "between": ["client.a", "server.a"],
            "boxes": [{"strip": {"on": ["data", "ack", "fin"]}}],
            "link": "3mbit,2600us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 118978682511997,
        "transfers": [
          {
            "client": "client",
            "options": {"keepAlive": "20s"},
            "server": "server",
            "serverOptions": {"keepAlive": "1s"},
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "An end that fell back counts what the subflow has, and the other one what its mappings brought",
      """
      {
        "duration": "900s",
        "paths": [
          {
            "between": ["client.a", "server.a"],
            "boxes": [{"strip": {"on": ["data"], "option": "mptcp.capable"}}],
            "link": "3mbit,2300us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 310905864481938,
        "transfers": [
          {
            "client": "client",
            "download": "3220B",
            "options": {"checksum": true, "keepAlive": "19s"},
            "server": "server",
            "serverOptions": {"keepAlive": "20s"},
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "Options that are taken out of all but the handshake, and a retransmission that meets the fallback",
      """
      {
        "duration": "900s",
        "events": [{"at": "18ms", "interfaceDown": "client.a"}, {"at": "847ms", "interfaceUp": "client.a"}],
        "paths": [
          {
            "back": "36mbit,4ms",
            "between": ["client.a", "server.a"],
            "boxes": [{"strip": {"on": ["data"], "option": "mptcp.capable"}}],
            "link": "31mbit,2200us,jitter=8100us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 847424497465077,
        "transfers": [
          {
            "client": "client",
            "options": {"keepAlive": "17s"},
            "server": "server",
            "serverOptions": {"keepAlive": "1s"},
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box that leaves options on the first part of what it cuts, after the peer has shown that it knows the mapping",
      """
      {
        "duration": "900s",
        "paths": [
          {
            "back": "26mbit,1100us,jitter=7100us:reorder",
            "between": ["client.a", "server.a"],
            "boxes": [
              {
                "cut": {"byteCount": "737B", "chance": "82%", "copiesOptions": false, "direction": "forward"}
              }
            ],
            "link": "34mbit,800us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 3523256786236209,
        "transfers": [
          {
            "client": "client",
            "download": "1434B",
            "options": {"keepAlive": "10s"},
            "server": "server",
            "serverOptions": {"checksum": true, "keepAlive": "16s"},
            "upload": "20400B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box takes mappings off the first subflow when there is another: what waits there takes the window of both",
      """
      {
        "duration": "1800s",
        "paths": [
          {
            "back": "2mbit,1700us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "on": [
                    "data"
                  ]
                }
              }
            ],
            "link": "1mbit,1700us",
            "name": "a"
          },
          {
            "back": "34mbit,5900us",
            "between": [
              "client.b",
              "server.b"
            ],
            "link": "21mbit,200us",
            "name": "b"
          }
        ],
        "sample": "0ns",
        "seed": 2806621694434768,
        "transfers": [
          {
            "client": "client",
            "options": {
              "keepAlive": "14s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "18s",
              "receiveBuffer": "9216B"
            },
            "upload": "25625B"
          }
        ]
      }
      """),
    FoundScenario(
      "A box that acknowledges data, and another that takes its mapping away: what waits for one waits for ever",
      """
      {
        "duration": "900s",
        "paths": [
          {
            "back": "38mbit,3600us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "acknowledgeEarly": {
                  "byteCount": "128KB"
                }
              },
              {
                "merge": {
                  "byteCount": "4476B",
                  "direction": "forward",
                  "hold": "4ms"
                }
              }
            ],
            "link": "15mbit,1500us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2716301937004152,
        "transfers": [
          {
            "client": "client",
            "download": "1B",
            "options": {
              "keepAlive": "15s"
            },
            "rounds": 2,
            "server": "server",
            "serverOptions": {
              "keepAlive": "9s"
            },
            "upload": "1585B"
          }
        ]
      }
      """),
    FoundScenario(
      "The keys acknowledge what a listener answered to data on a SYN, and the DATA_ACK gets lost",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "206ms",
            "pathDown": "a"
          },
          {
            "at": "1409ms",
            "pathUp": "a"
          }
        ],
        "paths": [
          {
            "between": [
              "client.a",
              "server.a"
            ],
            "link": "21mbit,3800us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2843550766694967,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "10s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 8,
              "keepAlive": "16s"
            }
          },
          {
            "client": "client",
            "download": "1B",
            "options": {
              "fastOpen": true,
              "keepAlive": "5s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 6,
              "keepAlive": "14s"
            },
            "start": "188ms",
            "upload": "12562B"
          }
        ]
      }
      """),
    FoundScenario(
      "The keys acknowledge what a listener answered to data on a SYN, on one of two paths",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "45ms",
            "pathDown": "a"
          },
          {
            "at": "1160ms",
            "pathUp": "a"
          },
          {
            "at": "58ms",
            "interfaceRemoved": "client.b"
          },
          {
            "at": "1468ms",
            "interfaceAdded": "client.b"
          }
        ],
        "paths": [
          {
            "between": [
              "client.a",
              "server.a"
            ],
            "link": "18mbit,4200us",
            "name": "a"
          },
          {
            "back": "8mbit,700us",
            "between": [
              "client.b",
              "server.b"
            ],
            "link": "3mbit,700us",
            "name": "b"
          }
        ],
        "sample": "0ns",
        "seed": 853023114295892,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "19s",
              "scheduler": "redundant"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 4,
              "keepAlive": "6s"
            },
            "upload": "52250B"
          },
          {
            "client": "client",
            "download": "1B",
            "options": {
              "fastOpen": true,
              "keepAlive": "16s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 5,
              "keepAlive": "8s"
            },
            "start": "17ms",
            "upload": "13250B"
          }
        ]
      }
      """),
    FoundScenario(
      "Data on a SYN reaches a server whose client is gone",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "103ms",
            "interfaceRemoved": "client.a"
          },
          {
            "at": "1377ms",
            "interfaceAdded": "client.a"
          }
        ],
        "paths": [
          {
            "back": "14mbit,2400us",
            "between": [
              "client.a",
              "server.a"
            ],
            "link": "14mbit,2400us,change=118ms delay 23700us,change=58ms delay 9900us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 1711612374118040,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "4s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 2,
              "keepAlive": "1s"
            }
          },
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "7s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 2,
              "keepAlive": "16s"
            },
            "start": "94ms",
            "upload": "1B"
          }
        ]
      }
      """),
    FoundScenario(
      "A SYN with data comes twice through a NAT that has forgotten it, and makes two connections",
      """
      {
        "duration": "1800s",
        "paths": [
          {
            "back": "14mbit,4700us,burst=1.4%:13%",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "nat": {
                  "idle": "37s",
                  "rebind": [
                    "33ms",
                    "215ms"
                  ]
                }
              }
            ],
            "link": "14mbit,4700us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 3755947924445214,
        "transfers": [
          {
            "client": "client",
            "download": "93150B",
            "options": {
              "fastOpen": true,
              "keepAlive": "1s",
              "multipath": false
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 3,
              "keepAlive": "10s"
            }
          },
          {
            "client": "client",
            "download": "22612B",
            "options": {
              "fastOpen": true,
              "keepAlive": "16s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 6,
              "keepAlive": "2s"
            },
            "start": "139ms",
            "upload": "2512B"
          }
        ]
      }
      """),
    FoundScenario(
      "A SYN with data comes twice, the second time without, and the first one waits for its third ACK",
      """
      {
        "duration": "1800s",
        "paths": [
          {
            "back": "38mbit,2700us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "nat": {
                  "rebind": [
                    "122ms",
                    "133ms"
                  ]
                }
              }
            ],
            "link": "1mbit,2700us,change=223ms loss 10%,change=440ms loss 0%,change=82ms mtu 1349,change=151ms delay 10200us,change=17ms delay 6500us,change=29ms delay 17100us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 3576642802980869,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "16s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 3,
              "keepAlive": "20s"
            },
            "upload": "10400B"
          },
          {
            "client": "client",
            "download": "1B",
            "options": {
              "fastOpen": true,
              "keepAlive": "15s"
            },
            "server": "server",
            "serverOptions": {
              "checksum": true,
              "fastOpenBacklog": 3,
              "keepAlive": "11s"
            },
            "start": "10ms",
            "upload": "1640B"
          }
        ]
      }
      """),
    FoundScenario(
      "The only subflow stalls, as its path carries less than before, and is back at a peer that has fallen back",
      """
      {
        "duration": "1800s",
        "paths": [
          {
            "back": "35mbit,2200us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "on": [
                    "thirdAck",
                    "data",
                    "ack",
                    "fin"
                  ]
                }
              }
            ],
            "link": "35mbit,2200us,jitter=9700us:reorder,change=16ms mtu 1408",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 2888905287028795,
        "transfers": [
          {
            "client": "client",
            "options": {
              "keepAlive": "4s"
            },
            "server": "server",
            "serverOptions": {
              "keepAlive": "6s"
            }
          },
          {
            "client": "client",
            "download": "1B",
            "options": {
              "fastOpen": true,
              "keepAlive": "12s",
              "noDelay": true
            },
            "rounds": 6,
            "server": "server",
            "serverOptions": {
              "keepAlive": "9s"
            },
            "start": "98ms",
            "upload": "1683B"
          }
        ]
      }
      """),
    FoundScenario(
      "Who was given data on a SYN and fell back is sent mapped data anew",
      """
      {
        "duration": "1800s",
        "hosts": [
          {
            "name": "client"
          },
          {
            "interfaces": [
              {
                "name": "a"
              },
              {
                "family": "ipv6",
                "name": "b"
              }
            ],
            "name": "server"
          }
        ],
        "paths": [
          {
            "back": "26mbit,4200us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "strip": {
                  "option": "mptcp.addAddress",
                  "shortensHeader": true
                }
              }
            ],
            "link": "24mbit,4200us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 3294701682648004,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "10s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 7,
              "keepAlive": "7s"
            }
          },
          {
            "client": "client",
            "download": "23062B",
            "options": {
              "fastOpen": true,
              "keepAlive": "11s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 6,
              "keepAlive": "17s"
            },
            "start": "228ms",
            "upload": "2562B"
          }
        ]
      }
      """),
    FoundScenario(
      "Data sent before the third ACK is given up like any other",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "216ms",
            "interfaceDown": "server.a"
          },
          {
            "at": "1715ms",
            "interfaceUp": "server.a"
          }
        ],
        "paths": [
          {
            "back": "36mbit,4700us",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "nat": {
                  "rebind": [
                    "150ms",
                    "244ms"
                  ]
                }
              }
            ],
            "link": "7mbit,3800us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 1379338254217078,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "15s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 1,
              "keepAlive": "13s"
            }
          },
          {
            "client": "client",
            "download": "25875B",
            "options": {
              "fastOpen": true,
              "keepAlive": "18s"
            },
            "server": "server",
            "serverOptions": {
              "acceptedVersions": [
                0
              ],
              "fastOpenBacklog": 6,
              "keepAlive": "9s"
            },
            "start": "198ms",
            "upload": "6468B"
          }
        ]
      }
      """),
    FoundScenario(
      "A request whose first connection died with its interface comes again",
      """
      {
        "duration": "1800s",
        "events": [
          {
            "at": "227ms",
            "interfaceRemoved": "server.a"
          },
          {
            "at": "928ms",
            "interfaceAdded": "server.a"
          }
        ],
        "paths": [
          {
            "back": "14mbit,4200us,down=37ms,up=776ms",
            "between": [
              "client.a",
              "server.a"
            ],
            "boxes": [
              {
                "cut": {
                  "byteCount": "409B",
                  "chance": "70%",
                  "direction": "forward"
                }
              }
            ],
            "link": "13mbit,4800us",
            "name": "a"
          }
        ],
        "sample": "0ns",
        "seed": 880366244875204,
        "transfers": [
          {
            "client": "client",
            "options": {
              "fastOpen": true,
              "keepAlive": "10s"
            },
            "server": "server",
            "serverOptions": {
              "fastOpenBacklog": 8,
              "keepAlive": "11s"
            }
          },
          {
            "client": "client",
            "download": "1B",
            "options": {
              "fastOpen": true,
              "keepAlive": "11s"
            },
            "server": "server",
            "serverOptions": {
              "checksum": true,
              "fastOpenBacklog": 6,
              "keepAlive": "15s"
            },
            "start": "50ms",
            "upload": "414B"
          }
        ]
      }
      """),
  ]

  @Test("A scenario that broke a rule once", arguments: found)
  func replayed(_ scenario: FoundScenario) throws {
    #expect(try ScenarioRun(SmallScenarios.parse(scenario.json)).failure == nil)
  }
}
