import MPTCPWire
import Testing

@testable import MPTCPLab

@Suite("Address plans")
struct AddressPlanTests {
  private static let chain = """
    {
      "hosts": [{ "name": "router", "forward": true }],
      "paths": [
        { "name": "wifi", "between": ["client", "router"] },
        { "name": "lte", "between": ["client", "router"], "mtu": 1000 },
        { "name": "back-bone", "between": ["router", "server"], "addresses":
          { "router": ["192.0.2.129/25"], "server": ["192.0.2.130/25"] } }
      ]
    }
    """

  private let lab: LabFile
  private let plan: AddressPlan

  init() throws {
    lab = try LabFile(json: Array(Self.chain.utf8))
    plan = AddressPlan(lab)
  }

  @Test("Paths without addresses are numbered in both families; given addresses stay")
  func addresses() {
    #expect(plan.attachments(of: "client")[0].addresses.map(\.description) == ["10.0.1.1/24", "fd00:0:0:1::1/64"])
    #expect(plan.attachments(of: "router")[0].addresses.map(\.description) == ["10.0.1.2/24", "fd00:0:0:1::2/64"])
    #expect(plan.attachments(of: "client")[1].peerAddresses.map(\.description) == ["10.0.2.2/24"])
    #expect(plan.attachments(of: "server")[0].addresses.map(\.description) == ["192.0.2.130/25"])
    #expect(AddressPlan(lab, hasIPv6: false).attachments(of: "client")[0].addresses.count == 1)
  }

  @Test("Networks behind a host that forwards are reached by it, on the first path that leads there")
  func routes() {
    let client = plan.routes(of: "client")
    #expect(client.map(\.network.description) == ["192.0.2.128/25"])
    #expect(client.map(\.gateway.description) == ["10.0.1.2"])
    #expect(client.map(\.path) == ["wifi"])
    // It has no IPv6 address of its own, and no way for one.
    #expect(plan.routes(of: "server").map(\.network.description) == ["10.0.1.0/24", "10.0.2.0/24"])
    #expect(plan.routes(of: "router") == [])
  }

  @Test("Hosts that do not forward lead nowhere")
  func noForwarding() throws {
    let text = #"{"paths":[{"name":"p","between":["a","b"]},{"name":"q","between":["b","c"]}]}"#
    let plan = AddressPlan(try LabFile(json: Array(text.utf8)))
    #expect(plan.routes(of: "a") == [])
  }

  @Test("Commands find the hosts in their environment and in their arguments")
  func names() {
    let variables = Dictionary(uniqueKeysWithValues: plan.environment(lab).map { ($0.name, $0.value) })
    #expect(variables["MPTCP_LAB_CLIENT"] == "10.0.1.1")
    #expect(variables["MPTCP_LAB_CLIENT_LTE"] == "10.0.2.1")
    #expect(variables["MPTCP_LAB_CLIENT_LTE_IPV6"] == nil)
    #expect(variables["MPTCP_LAB_CLIENT_WIFI_IPV6"] == "fd00:0:0:1::1")
    #expect(variables["MPTCP_LAB_SERVER_BACK_BONE"] == "192.0.2.130")
    #expect(plan.filling("{server}:5000", lab) == "192.0.2.130:5000")
    #expect(plan.filling("[{client/6}]:{x}", lab) == "[fd00:0:0:1::1]:{x}")
    #expect(plan.filling("{client.lte},{router.back-bone}", lab) == "10.0.2.1,192.0.2.129")
  }
}
