// SPDX-License-Identifier: MIT
#include "knockd/client/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>

#include <initializer_list>

#include "knockd/client/failure.h"

namespace knockd::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

OrFailure<Options> try_to_parse(std::initializer_list<const char*> arguments) {
  std::vector<std::string> words = {"/usr/bin/knock"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  return parse_options(static_cast<int>(words.size()), argv.data());
}

Options parse(std::initializer_list<const char*> arguments) { return *try_to_parse(arguments); }

// The message for a refused command line.
std::string complaint(std::initializer_list<const char*> arguments) {
  const auto options = try_to_parse(arguments);
  if (options) return "(accepted)";
  EXPECT_EQ(options.error().status, ExitStatus::kUsage);
  return options.error().message;
}

TEST(Options, HostAndKnocks_InTheUsualForm) {
  const Options options = parse({"192.0.2.1", "7000", "8000:udp", "9000"});
  EXPECT_EQ(options.host, "192.0.2.1");
  EXPECT_EQ(to_string(options.knocks), "7000,8000:udp,9000");
  EXPECT_EQ(options.family, Family::kAny);
  EXPECT_FALSE(options.verbose);
  EXPECT_FALSE(options.check_port);
}

TEST(Options, ExplicitTcp_WinsOverUdp) {
  const Options options = parse({"-vu", "host", "2222:tcp", "3333", "4444:tcp"});
  EXPECT_TRUE(options.verbose);
  EXPECT_EQ(to_string(options.knocks), "2222,3333:udp,4444");
}

TEST(Options, UdpIsAcceptedAfterThePorts) {
  EXPECT_EQ(to_string(parse({"host", "1", "2", "-u"}).knocks), "1:udp,2:udp");
}

TEST(Options, ListsAndWordsMix) {
  EXPECT_EQ(to_string(parse({"host", "7000,8000:udp", "9000"}).knocks), "7000,8000:udp,9000");
  EXPECT_EQ(to_string(parse({"host", "7000, 8000"}).knocks), "7000,8000");
}

TEST(Options, ServiceName_IsItsPort) {
  if (getservbyname("ssh", "tcp") == nullptr) GTEST_SKIP() << "this system names no services";
  EXPECT_EQ(to_string(parse({"host", "ssh", "domain:udp"}).knocks), "22,53:udp");
}

TEST(Options, MoreKnocksThanADoorHas_AreAccepted) {
  std::string list = "1";
  for (int port = 2; port <= 100; ++port) list += "," + std::to_string(port);
  EXPECT_EQ(parse({"host", list.c_str()}).knocks.size(), 100u);
}

TEST(Options, TargetAndSequence_AsOptions) {
  const Options options =
      parse({"--target", "localhost", "--sequence", "1234,5678,9012", "--delay", "0.3", "--check"});
  EXPECT_EQ(options.host, "localhost");
  EXPECT_EQ(to_string(options.knocks), "1234,5678,9012");
  EXPECT_EQ(options.delay, milliseconds(300));
  EXPECT_EQ(options.check_port, 2222);
}

TEST(Options, WordsAreKnocks_WithTarget) {
  EXPECT_EQ(to_string(parse({"--target", "host", "1", "2"}).knocks), "1,2");
}

struct CheckCase {
  std::initializer_list<const char*> arguments;
  uint16_t port;
  const char* knocks;
};

TEST(Options, CheckUsesThePortAfterIt) {
  for (const CheckCase& c : {CheckCase{{"host", "1", "2", "--check", "22"}, 22, "1,2"},
                             CheckCase{{"--check", "22", "host", "1", "2"}, 22, "1,2"},
                             CheckCase{{"--check=22", "host", "1", "2"}, 22, "1,2"},
                             CheckCase{{"--target", "host", "1", "--check", "-v"}, 2222, "1"},
                             CheckCase{{"--target", "host", "1", "--check"}, 2222, "1"},
                             CheckCase{{"--target", "host", "--check", "--", "2"}, 2222, "2"}}) {
    const Options options = parse(c.arguments);
    EXPECT_EQ(options.host, "host");
    EXPECT_EQ(options.check_port, c.port);
    EXPECT_EQ(to_string(options.knocks), c.knocks);
    EXPECT_FALSE(options.carry || options.check_port_of_door);
  }
}

TEST(Options, CheckUsesTheServiceNameAfterIt) {
  if (getservbyname("ssh", "tcp") == nullptr) GTEST_SKIP() << "this system names no services";
  const Options options = parse({"--check", "ssh", "host", "1", "2"});
  EXPECT_EQ(options.host, "host");
  EXPECT_EQ(options.check_port, 22);
  EXPECT_EQ(parse({"host", "1", "--check=ssh"}).check_port, 22);
}

TEST(Options, CheckWithoutAPort_UsesThePortOfTheDoor) {
  EXPECT_TRUE(parse({"host", "--door", "x", "--check"}).check_port_of_door);
  EXPECT_FALSE(parse({"host", "--door", "x", "--check"}).check_port);
  EXPECT_TRUE(parse({"host", "--door", "x", "--check", "--retry", "3"}).check_port_of_door);
  EXPECT_FALSE(parse({"host", "--door", "x", "--check", "22"}).check_port_of_door);
  const Options with_target = parse({"--target", "host", "--door", "x", "--check"});
  EXPECT_TRUE(with_target.check_port_of_door);
  EXPECT_EQ(with_target.check_port, 2222);
}

TEST(Options, PlainNumberAsHost_IsRefused) {
  constexpr char kExpected[] = "expected a name or an address, and the ports behind it";
  for (const char* host : {"7000", "0", "65536", "2130706433", "7000,8000", "7000:udp"}) {
    const std::string said = std::string("host \"") + host + "\": " + kExpected;
    EXPECT_EQ(complaint({host, "8000", "9000"}), said);
    EXPECT_EQ(complaint({host}), said);
    EXPECT_EQ(complaint({"--target", host, "8000"}), said);
  }
  for (const char* host :
       {"10.0.0.1", "127.1", "7000.example", "2001:db8::1", "fe80::1%eth0", "7a"}) {
    EXPECT_EQ(parse({host, "8000", "9000"}).host, host);
  }
}

TEST(Options, ProxyChecksAndCarries) {
  const Options options = parse({"host", "1", "--proxy", "22"});
  EXPECT_EQ(options.check_port, 22);
  EXPECT_TRUE(options.carry);
}

TEST(Options, LastFamilyWins) {
  EXPECT_EQ(parse({"-4", "host", "1"}).family, Family::kV4);
  EXPECT_EQ(parse({"-4", "-6", "host", "1"}).family, Family::kV6);
}

TEST(Options, SourceDecidesTheFamily) {
  EXPECT_EQ(parse({"--source", "192.0.2.7", "host", "1"}).family, Family::kV4);
  EXPECT_EQ(parse({"--source", "2001:db8::7", "host", "1"}).family, Family::kV6);
  EXPECT_THAT(complaint({"-6", "--source", "192.0.2.7", "host", "1"}), HasSubstr("other family"));
}

TEST(Options, FlagsAreParsed) {
  EXPECT_EQ(parse({"--flags", "fin,!ack", "host", "1"}).flags, kTcpFin);
  EXPECT_EQ(parse({"--flags", "syn,urg", "host", "1"}).flags, kTcpSyn | kTcpUrg);
  EXPECT_FALSE(parse({"host", "1"}).flags);
}

TEST(Options, DoorIsLookedUpInTheDaemonsFile_IfNoneIsNamed) {
  const Options options = parse({"host", "--door", "openSSH"});
  EXPECT_EQ(options.door, "openSSH");
  EXPECT_EQ(options.config_file, KNOCKD_SYSCONFDIR "/knockd.conf");
  EXPECT_TRUE(options.knocks.empty());
}

TEST(Options, ChangingPorts_NeedASecret) {
  const Options options = parse({"host", "7000", "totp,TOTP", "8000:udp", "--secret", "file"});
  EXPECT_EQ(to_string(CodedSequence{options.knocks, options.places}), "7000,totp,totp,8000:udp");
  EXPECT_EQ(options.secrets_file, "file");
  const Options typed =
      parse({"-u", "host", "7000", "400xx", "401xx", "402xx", "--secret=file", "--user=alice"});
  EXPECT_EQ(to_string(CodedSequence{typed.knocks, typed.places}), "7000:udp,400xx,401xx,402xx");
  EXPECT_EQ(typed.user, "alice");
  EXPECT_EQ(complaint({"host", "7000", "totp"}), "ports that change with time need --secret FILE");
  EXPECT_THAT(complaint({"host", "7000", "--secret", "file"}),
              HasSubstr("expected ports like totp"));
  EXPECT_EQ(complaint({"host", "7000", "--user", "alice"}),
            "--user needs --secret FILE or --door NAME");
  EXPECT_THAT(complaint({"host", "400xx", "401xx", "402xx", "--secret", "file"}),
              HasSubstr("expected a fixed port before it"));
  EXPECT_EQ(parse({"host", "--door", "ssh", "--secret", "file"}).secrets_file, "file");
}

TEST(Options, KeepAcceptsATime) {
  EXPECT_EQ(parse({"host", "7000", "--keep", "10m"}).keep, std::chrono::minutes(10));
  EXPECT_EQ(parse({"host", "7000", "--keep=10"}).keep, seconds(10));
  EXPECT_FALSE(parse({"host", "7000"}).keep);
  for (const char* time : {"9", "1.5m", "x", "", "100d"}) {
    EXPECT_THAT(complaint({"host", "7000", "--keep", time}), HasSubstr("at least 10s")) << time;
  }
  EXPECT_EQ(complaint({"host", "7000", "--keep", "10m", "--proxy", "22"}),
            "--keep and --proxy exclude each other");
}

TEST(Options, HelpAndVersion_NeedNothingElse) {
  EXPECT_EQ(parse({"-h"}).task, Options::Task::kHelp);
  EXPECT_EQ(parse({"--version", "host", "abc"}).task, Options::Task::kVersion);
}

TEST(Options, PageAndExport_KnockNowhere) {
  EXPECT_EQ(parse({"--page", "host", "7000"}).handout, Options::Handout::kPage);
  EXPECT_EQ(parse({"host", "7000", "--export", "knockonports"}).handout,
            Options::Handout::kKnockOnPorts);
}

struct BadCase {
  std::initializer_list<const char*> arguments;
  const char* said;
};

TEST(Options, BadInput_IsNamedInOneLine) {
  for (const BadCase& c : {
           BadCase{{}, "no host given"},
           BadCase{{"host"}, "no port given"},
           BadCase{{"host", ""}, "empty sequence"},
           BadCase{{"host", "--sequence", " "}, "empty sequence"},
           BadCase{{"host", "7000,,9000"}, "port \"\": expected"},
           BadCase{{"host", "0"}, "port \"0\": expected a number from 1 to 65535"},
           BadCase{{"host", "65536"}, "port \"65536\": expected a number from 1 to 65535"},
           BadCase{{"host", "abc"}, "port \"abc\": expected a number from 1 to 65535"},
           BadCase{{"host", "abc:udp"}, "port \"abc\": expected a number from 1 to 65535"},
           BadCase{{"host", "-1"}, "unknown option -1; try knock --help"},
           BadCase{{"host", "80:icmp"}, "protocol \"icmp\": expected tcp or udp"},
           BadCase{{"host", "80:"}, "protocol \"\": expected tcp or udp"},
           BadCase{{"host", "80:udp:tcp"}, "protocol \"udp:tcp\": expected tcp or udp"},
           BadCase{{"host", "1\n2"}, "port \"1\\x0a2\": expected"},
           BadCase{{"-d"}, "option -d needs a value; try knock --help"},
           BadCase{{"--door=", "host"}, "door \"\": expected a name"},
           BadCase{{"--door", "x", "--config=", "host"}, "config \"\": expected a file"},
           BadCase{{"--one-time", "", "host"}, "one-time \"\": expected a file"},
           BadCase{{"--secret", "", "host", "1"}, "secret \"\": expected a file"},
           BadCase{{"--user", "", "--door", "x", "host"}, "user \"\": expected a name"},
           BadCase{{"--interface=", "host", "1"}, "interface \"\": expected a name"},
           BadCase{{"-x", "host", "1"}, "unknown option -x; try knock --help"},
           BadCase{{"--nonsense", "host", "1"}, "unknown option --nonsense; try knock --help"},
           BadCase{{"--chek", "host", "1"}, "unknown option --chek (did you mean --check?); try"},
           BadCase{{"host", "1", "-check"}, "unknown option -c (did you mean --check?); try knock"},
           BadCase{{"--udp=1", "host", "1"}, "option --udp has no value; try knock --help"},
           BadCase{{"-d", "abc", "host", "1"}, "delay \"abc\": expected a time like"},
           BadCase{{"-d", "-5", "host", "1"}, "delay \"-5\": expected a time like"},
           BadCase{{"host", "1", "2", "--check"}, "--check: expected a port, as in --check 22"},
           BadCase{{"--check", "host", "1", "2"}, "--check: expected a port, as in --check 22"},
           BadCase{{"host", "--one-time", "list", "--check"}, "--check: expected a port, as in"},
           BadCase{{"host", "1", "--check", "99999"}, "check \"99999\": expected a port"},
           BadCase{{"host", "1", "--check", "0"}, "check \"0\": expected a port"},
           BadCase{{"--check=0", "host", "1"}, "check \"0\": expected a port"},
           BadCase{{"--proxy", "nosuchservice", "host", "1"}, "proxy \"nosuchservice\": expected"},
           BadCase{{"--check=1", "--retry", "many", "host", "1"}, "retry \"many\": expected"},
           BadCase{{"--retry", "3", "host", "1"}, "need --check or --proxy"},
           BadCase{{"--timeout", "3", "host", "1"}, "need --check or --proxy"},
           BadCase{{"--source", "eth0", "host", "1"}, "source \"eth0\": expected an address"},
           BadCase{{"--flags", "foo", "host", "1"}, "\"foo\""},
           BadCase{{"--flags", "syn,!syn", "host", "1"}, "syn"},
           BadCase{{"--config", "file", "host", "1"}, "--config needs --door"},
           BadCase{{"--door", "x", "host", "1"}, "exclude each other"},
           BadCase{{"--door", "x", "--one-time", "list", "host"}, "exclude each other"},
           BadCase{{"--page", "host"}, "no port given"},
           BadCase{{"--page", "host", "1", "--check", "22"}, "expected no --check"},
           BadCase{{"--page", "host", "--one-time", "list"}, "is for no page or app"},
           BadCase{{"--export", "csv", "host", "1"}, "export \"csv\": expected knockonports"},
       }) {
    const std::string said = complaint(c.arguments);
    EXPECT_THAT(said, HasSubstr(c.said));
    EXPECT_EQ(said.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace knockd::client
