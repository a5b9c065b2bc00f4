// SPDX-License-Identifier: MIT
// tests/e2e/test_page.py runs the page in a browser.
#include "knockd/client/page.h"

#include <gmock/gmock.h>

#include <variant>

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

Handout handout(std::string host, std::string_view sequence) {
  return {std::move(host), "ssh", Family::kAny,
          std::get<CodedSequence>(parse_coded_sequence(sequence)), "GEZDGNBV"};
}

std::string page(const Handout& given) {
  const auto made = knock_page(given);
  return made ? *made : made.error().message;
}

TEST(PageTest, HasWhatItsScriptNeeds) {
  EXPECT_THAT(page(handout("gate.example", "7000,totp,totp,totp")),
              HasSubstr(R"(<main data-host="gate.example" data-places="7000,totp,totp,totp" )"
                        R"(data-families="4,6" data-secret="GEZDGNBV">)"));
  EXPECT_THAT(page(handout("192.0.2.1", "7000,totp")), HasSubstr(R"(data-families="4" )"));
  EXPECT_THAT(page(handout("2001:DB8::1", "totp")),
              HasSubstr(R"(data-host="[2001:db8::1]" data-places="totp" data-families="6" )"));
  EXPECT_THAT(page(handout("gate.example", "7000,400xx,401xx,402xx")),
              HasSubstr(R"(data-places="7000,400xx,401xx,402xx" data-families="4" )"));
  Handout one_family = handout("gate.example", "totp");
  one_family.family = Family::kV6;
  EXPECT_THAT(page(one_family), HasSubstr(R"(data-families="6" )"));
}

TEST(PageTest, ContainsNoPlaceholderOfTheTemplate) {
  const std::string made = page(handout("gate.example", "7000,totp"));
  EXPECT_THAT(made, testing::StartsWith("<!DOCTYPE html>\n"));
  EXPECT_THAT(made, testing::EndsWith("</html>\n"));
  for (const char* mark : {"{{", "}}", "_HASH@", "\n//", "\n "})
    EXPECT_THAT(made, Not(HasSubstr(mark)));
}

TEST(PageTest, AllowsConnectionsToTheHostOnly) {
  EXPECT_THAT(page(handout("gate.example", "7000")),
              HasSubstr("connect-src ws://gate.example:* wss://gate.example:*;"));
  for (const char* host : {"2001:db8::1", "my_gate.example"}) {
    EXPECT_THAT(page(handout(host, "7000")), HasSubstr("connect-src ws: wss:;")) << host;
  }
}

TEST(PageTest, EscapesTheNameOfTheDoor) {
  Handout given = handout("gate.example", "7000");
  given.name = "<b>\"&\x01\xff";
  EXPECT_THAT(page(given), HasSubstr("<h1>&lt;b>&quot;&amp;\uFFFD\xff</h1>"));
}

TEST(PageTest, RefusesAHost_ThatABrowserReadsDifferently) {
  for (const char* host : {"", ".", "1.2", "10.0.0.256", "gate.0x7f", "0x7f000001", "gate example",
                           "gate/x", "user@gate", "fe80::1%eth0", "gate:80", "g\xc3\xa4te"}) {
    EXPECT_THAT(page(handout(host, "7000")), HasSubstr("expected an address, or a name")) << host;
  }
  for (const char* host :
       {"gate", "gate.example.", "xn--gte-qla.example", "1.example", "a_b-c.x1"}) {
    EXPECT_THAT(page(handout(host, "7000")), HasSubstr("<!DOCTYPE")) << host;
  }
}

TEST(PageTest, RefusesAnAddressOfTheOtherFamily) {
  Handout given = handout("192.0.2.1", "7000");
  given.family = Family::kV6;
  EXPECT_EQ(page(given), "192.0.2.1: -4 or -6 asks for the other family");
}

TEST(PageTest, NamesTheKnocksThatABrowserCannotSend) {
  EXPECT_EQ(page(handout("gate", "7000,22,8000,10080")),
            "--page: browsers refuse to connect to port 22, port 10080");
  EXPECT_EQ(page(handout("gate", "7000,60xx,61xx,50xx")),
            "--page: browsers refuse to connect to ports of 60xx, ports of 50xx");
  EXPECT_EQ(page(handout("gate", "7000:udp,22,8000:udp")),
            "--page: a browser sends no udp knock: 7000:udp, 8000:udp");
}

TEST(KnockOnPortsTest, HasTheFieldsOfVersion1) {
  Handout given = handout("gate.example", "7000,8000:udp");
  given.name = "a\"b\\c\n";
  EXPECT_EQ(*knock_on_ports_file(given, milliseconds(250)),
            R"({"version":1,"sequences":[{"name":"a\"b\\c\u000a","host":"gate.example",)"
            R"("delay":250,"ipv":"both_ipv4_ipv6","steps":[{"type":"tcp","port":7000},)"
            R"({"type":"udp","port":8000}]}]})"
            "\n");
  given.family = Family::kV4;
  EXPECT_THAT(*knock_on_ports_file(given, {}), HasSubstr(R"("delay":0,"ipv":"only_ipv4")"));
}

TEST(KnockOnPortsTest, RefusesCodes) {
  const auto made = knock_on_ports_file(handout("gate", "7000,totp"), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "--export knockonports: the app computes no codes; try --page");
}

}  // namespace
}  // namespace knockd::client
