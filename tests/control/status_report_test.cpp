// SPDX-License-Identifier: MIT
#include "knockd/control/status_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <string>
#include <utility>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/control/happening.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

StatusReport report() {
  setenv("TZ", "UTC", 1);
  tzset();
  StatusReport report;
  report.version = "1.2.3";
  report.pid = 812;
  report.time = 1'800'000'000s;
  report.uptime = 3 * 24h + 4h + 12min + 9s;
  report.config_file = "/etc/knockd.conf";
  report.config_read = 1'799'990'000s;
  report.clock_is_kept = true;
  report.max_sources = 65536;
  report.commands_running = 1;
  report.commands_waiting = 2;
  InterfaceReport wan;
  wan.name = "eth0";
  wan.addresses = {address("192.0.2.1"), address("2001:db8::1")};
  wan.link_type = "Ethernet";
  wan.packets = 100;
  wan.lost = 3;
  wan.sources = 7;
  wan.age = 20ms;
  InterfaceReport ppp;
  ppp.name = "ppp0";
  ppp.waits_because = "interface ppp0 does not exist, waiting for it";
  report.interfaces = {wan, ppp};
  report.doors = {{"ssh", {11, 12, 13, 14, 15, 16, 17}, 1, 60500ms, true},
                  {"<img \"a\\b\">\n", {}, 0}};
  OpeningReport opening;
  opening.id = 42;
  opening.door = "ssh";
  opening.address = address("192.0.2.7");
  opening.network = "192.0.2.0/24";
  opening.interface = "eth0";
  opening.since = 1'799'999'000s;
  opening.until = 1'800'003'600s;
  opening.left = 3600s;
  report.openings.push_back(opening);
  opening.id = 43;
  opening.since.reset();
  report.openings.push_back(opening);
  FailedAttempt attempt;
  attempt.time = 1'799'999'999s;
  attempt.source = address("2001:db8::9");
  attempt.door = "ssh";
  attempt.interface = "eth0";
  attempt.stage = 2;
  attempt.came = Knock{1, Protocol::kTcp};
  attempt.expected = Knock{9000, Protocol::kUdp};
  report.attempts.push_back(attempt);
  return report;
}

TEST(StatusReportTest, Json) {
  EXPECT_EQ(
      to_json(report()),
      R"({"version":"1.2.3","pid":812,"time":1800000000.000,"uptime":274329.000,)"
      R"("config":{"file":"/etc/knockd.conf","read":1799990000.000,"changed":false},)"
      R"("clock_is_kept":true,"max_sources":65536,"commands":{"running":1,"waiting":2},)"
      R"("interfaces":[{"name":"eth0","listening":true,"addresses":["192.0.2.1","2001:db8::1"],)"
      R"("link_type":"Ethernet","filter_in_kernel":true,"packets":100,"lost":3,"sources":7,)"
      R"("age":0.020},{"name":"ppp0","listening":false,)"
      R"("waits_because":"interface ppp0 does not exist, waiting for it","addresses":[]}],)"
      R"("doors":[{"name":"ssh","open":1,"begun":11,"opened":12,"timed_out":13,"wrong":14,)"
      R"("discarded":15,"refused":16,"commands_failed":17,"open_for":60.500,"closes":true},)"
      R"({"name":"<img \"a\\b\">\n","open":0,"begun":0,"opened":0,"timed_out":0,"wrong":0,)"
      R"("discarded":0,"refused":0,"commands_failed":0,"open_for":0.000,"closes":false}],)"
      R"("openings":[{"id":42,"door":"ssh","address":"192.0.2.7","network":"192.0.2.0/24",)"
      R"("interface":"eth0","since":1799999000.000,"until":1800003600.000,"left":3600.000},)"
      R"({"id":43,"door":"ssh","address":"192.0.2.7","network":"192.0.2.0/24",)"
      R"("interface":"eth0","since":null,"until":1800003600.000,"left":3600.000}],)"
      R"("attempts":[{"time":1799999999.000,"address":"2001:db8::9","door":"ssh",)"
      R"("interface":"eth0","stage":2,"reason":"wrong_knock","came":{"port":1,"protocol":"tcp"},)"
      R"("expected":{"port":9000,"protocol":"udp"},)"
      R"("text":"wrong knock tcp 1, expected udp 9000"}]})");
}

TEST(StatusReportTest, Table) {
  EXPECT_EQ(to_table(report()), R"(knockd 1.2.3, pid 812, up 3d 04:12:09
configuration /etc/knockd.conf, read 2027-01-15 05:13:20
clock in sync
commands: 1 running, 2 waiting; at most 65536 sources an interface
interface eth0: Ethernet, 192.0.2.1, 2001:db8::1; 100 packets, 3 lost, 7 sources
interface ppp0 does not exist, waiting for it

  door                open  begun  opened  too slow  wrong  scans  refused  commands failed
  ssh                 1     11     12      13        14     15     16       17
  <img "a\x5cb">\x0a  0     0      0       0         0      0      0        0

open, 2:
  ssh  192.0.2.0/24  since 2027-01-15 07:43:20  60 min left  eth0
  ssh  192.0.2.0/24  since an earlier run       60 min left  eth0

attempts that opened nothing, the last at the end:
  2027-01-15 07:59:59  2001:db8::9  ssh  after knock 2  wrong knock tcp 1, expected udp 9000
)");
}

TEST(StatusReportTest, TableOfLittle) {
  StatusReport little = report();
  little.doors.clear();
  little.openings.clear();
  little.attempts.clear();
  little.config_changed = true;
  little.clock_is_kept = false;
  little.interfaces[0].filter_in_kernel = false;
  little.interfaces[0].age = 90s;
  const std::string table = to_table(little);
  EXPECT_THAT(table, HasSubstr("; the file has changed since, it is read on SIGHUP\n"));
  EXPECT_THAT(table, HasSubstr("clock not in sync\n"));
  EXPECT_THAT(table, HasSubstr("2001:db8::1; the kernel refused the filter; 100 packets"));
  EXPECT_THAT(table, HasSubstr("7 sources (90 s ago)\n"));
  EXPECT_THAT(table, HasSubstr("\nno doors\n\nnobody is in\n"));
  EXPECT_THAT(table, Not(HasSubstr("attempts")));
}

TEST(StatusReportTest, UsersOfCodesAreShown) {
  StatusReport with = report();
  with.doors[0].users = {"alice", "bob"};
  with.openings[0].user = "bob";
  EXPECT_THAT(to_json(with), HasSubstr(R"("closes":true,"users":["alice","bob"]})"));
  EXPECT_THAT(to_json(with), HasSubstr(R"("network":"192.0.2.0/24","user":"bob","interface")"));
  EXPECT_THAT(to_table(with), HasSubstr("\nusers of ssh: alice, bob\n"));
  EXPECT_THAT(to_table(with), HasSubstr("60 min left  eth0  by bob\n"));
  with.openings[0].fleet = "site-b";
  EXPECT_THAT(to_json(with), HasSubstr(R"("user":"bob","fleet":"site-b","interface")"));
  EXPECT_THAT(to_table(with), HasSubstr("60 min left  eth0  by bob  gateway site-b\n"));
}

TEST(StatusReportTest, TimesInTheTableAreRough) {
  StatusReport one = report();
  one.openings.resize(1);
  const std::pair<Duration, const char*> kTable[] = {{119s, "119 s"},    {120s, "2 min"},
                                                     {7199s, "119 min"}, {2h, "2 h"},
                                                     {172799s, "47 h"},  {48h, "2 days"}};
  for (const auto& [left, text] : kTable) {
    one.openings[0].left = left;
    EXPECT_THAT(to_table(one), HasSubstr(std::string("  ") + text + " left  eth0\n"));
  }
}

// The samples, without their help and type.
std::vector<std::string> samples_of(const StatusReport& report) {
  const std::string text = to_prometheus(report);
  std::vector<std::string> samples;
  for (const std::string_view line : split(text, '\n')) {
    if (!line.empty() && line.front() != '#') samples.emplace_back(line);
  }
  return samples;
}

TEST(StatusReportTest, Prometheus) {
  StatusReport one = report();
  one.doors.resize(1);
  EXPECT_THAT(
      samples_of(one),
      ::testing::ElementsAre(
          "knockd_info{version=\"1.2.3\"} 1", "knockd_start_time_seconds 1799725671.000",
          "knockd_config_read_time_seconds 1799990000.000", "knockd_config_changed 0",
          "knockd_clock_kept 1", "knockd_commands_running 1", "knockd_commands_waiting 2",
          "knockd_attempts_begun_total{door=\"ssh\"} 11", "knockd_openings_total{door=\"ssh\"} 12",
          "knockd_attempts_timed_out_total{door=\"ssh\"} 13",
          "knockd_attempts_wrong_total{door=\"ssh\"} 14",
          "knockd_attempts_discarded_total{door=\"ssh\"} 15",
          "knockd_knocks_refused_total{door=\"ssh\"} 16",
          "knockd_commands_failed_total{door=\"ssh\"} 17", "knockd_open{door=\"ssh\"} 1",
          "knockd_listening{interface=\"eth0\"} 1", "knockd_listening{interface=\"ppp0\"} 0",
          "knockd_filter_in_kernel{interface=\"eth0\"} 1",
          "knockd_filter_in_kernel{interface=\"ppp0\"} 0",
          "knockd_packets_total{interface=\"eth0\"} 100",
          "knockd_packets_total{interface=\"ppp0\"} 0",
          "knockd_packets_lost_total{interface=\"eth0\"} 3",
          "knockd_packets_lost_total{interface=\"ppp0\"} 0", "knockd_sources{interface=\"eth0\"} 7",
          "knockd_sources{interface=\"ppp0\"} 0"));
}

// The case of a router without a clock chip, until its clock is set.
TEST(StatusReportTest, PrometheusHasNoTimeBefore1970) {
  StatusReport early = report();
  early.time = 1500ms;
  early.uptime = 5s;
  EXPECT_THAT(samples_of(early), ::testing::Contains("knockd_start_time_seconds 0.000"));
}

TEST(StatusReportTest, PrometheusHasNoAddress_AndEscapesLabels) {
  StatusReport odd = report();
  odd.interfaces[1].name = "w\"l\\n";  // the kernel allows it
  const std::string text = to_prometheus(odd);
  EXPECT_THAT(text, HasSubstr("knockd_packets_total{interface=\"w\\\"l\\\\n\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE knockd_openings_total counter\n"
                              "knockd_openings_total{door=\"ssh\"} 12\n"
                              "knockd_openings_total{door=\"<img \\\"a\\\\b\\\">\\n\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("192.0.2")));
  EXPECT_THAT(text, Not(HasSubstr("2001:db8")));
}

// A scraper refuses all metrics if two have the same label.
TEST(StatusReportTest, PrometheusDistinguishesNamesThatAreNotUtf8) {
  StatusReport odd = report();
  odd.doors[0].name = "b\xfcr";
  odd.doors[1].name = "b\xe4r";
  const std::string text = to_prometheus(odd);
  EXPECT_THAT(text, HasSubstr("knockd_open{door=\"b\\\\xfcr\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("knockd_open{door=\"b\\\\xe4r\"} 0\n"));
}

TEST(StatusReportTest, PrometheusTellsThemApartFromOneThatLooksAsTheyArePrinted) {
  StatusReport odd = report();
  odd.doors[0].name = "b\xfcr";
  odd.doors[1].name = "b\\xfcr";
  const std::string text = to_prometheus(odd);
  EXPECT_THAT(text, HasSubstr("knockd_open{door=\"b\\\\xfcr\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("knockd_open{door=\"b\\\\x5cxfcr\"} 0\n"));
}

TEST(StatusReportTest, LinesOfTheLog) {
  EXPECT_THAT(
      to_log_lines(report()),
      ::testing::ElementsAre(
          "status: up 3d 04:12:09; 2 doors, 2 open; 1 command running, 2 waiting",
          "status: eth0: listening on 192.0.2.1, 2001:db8::1; 100 packets, 3 lost, 7 sources",
          "status: ppp0: waiting for it"));
}

TEST(HappeningTest, HasOnlyTheRelevantKeys) {
  Happening happening;
  happening.event = HappeningKind::kOpen;
  happening.time = 1500ms;
  EXPECT_EQ(to_json(happening), R"({"time":1.500,"event":"open"})");
  happening.id = 7;
  happening.door = "a\"b";
  happening.address = address("192.0.2.7");
  happening.network = "192.0.2.0/24";
  happening.interface = "eth0";
  happening.until = 2s;
  happening.stage = 1;
  happening.came = Knock{1, Protocol::kUdp};
  happening.expected = Knock{2, Protocol::kTcp};
  happening.why = "because";
  EXPECT_EQ(to_json(happening),
            R"({"time":1.500,"event":"open","id":7,"door":"a\"b","address":"192.0.2.7",)"
            R"("network":"192.0.2.0/24","interface":"eth0","until":2.000,"stage":1,)"
            R"("came":{"port":1,"protocol":"udp"},"expected":{"port":2,"protocol":"tcp"},)"
            R"("why":"because"})");
  EXPECT_EQ(overrun_json(1s), R"({"time":1.000,"event":"overrun"})");
}

}  // namespace
}  // namespace knockd
