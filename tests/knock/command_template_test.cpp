// SPDX-License-Identifier: MIT
#include "knockd/knock/command_template.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

TEST(RenderCommand, PutsTheAddressInPlaceOfEachToken) {
  constexpr struct {
    const char* command;
    const char* source;
    const char* rendered;
  } kTable[] = {
      {"", "192.0.2.7", ""},
      {"reboot", "192.0.2.7", "reboot"},
      {"%IP%", "192.0.2.7", "192.0.2.7"},
      {"iptables -A INPUT -s %IP% -j ACCEPT", "192.0.2.7",
       "iptables -A INPUT -s 192.0.2.7 -j ACCEPT"},
      {"%IP%%IP% %IP%", "192.0.2.7", "192.0.2.7192.0.2.7 192.0.2.7"},
      {"ip6tables -s %IP%", "2001:db8::7", "ip6tables -s 2001:db8::7"},
      // Exactly this token.
      {"%ip% %Ip% %IP %I% IP% %%", "192.0.2.7", "%ip% %Ip% %IP %I% IP% %%"},
      {"%IP%IP%", "192.0.2.7", "192.0.2.7IP%"},
      {"%%IP%%", "192.0.2.7", "%192.0.2.7%"},
      {"%%IP", "192.0.2.7", "%%IP"},
      // Other text is unchanged.
      {"echo \"$HOME\" 'a\\b' # %s %n\t`id`", "192.0.2.7", "echo \"$HOME\" 'a\\b' # %s %n\t`id`"},
  };
  for (const auto& row : kTable) {
    EXPECT_EQ(render_command(row.command, IpAddress::parse(row.source).value()), row.rendered)
        << row.command;
  }
}

TEST(RenderCommand, AddressContainsOnlyAddressCharacters) {
  // Every byte value, in both families: nothing but digits, a-f, '.' and ':'.
  for (int byte = 0; byte < 256; ++byte) {
    IpAddress::Bytes bytes;
    bytes.fill(static_cast<uint8_t>(byte));
    IpAddress::Bytes v4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    for (size_t i = 12; i < v4.size(); ++i) v4[i] = static_cast<uint8_t>(byte);
    for (const IpAddress& source : {IpAddress(bytes), IpAddress(v4)}) {
      const std::string text = render_command("%IP%", source);
      EXPECT_EQ(text.find_first_not_of("0123456789abcdef.:"), std::string::npos) << text;
    }
  }
}

TEST(RenderCommand, LongCommandIsNotCut) {
  std::string command, rendered;
  for (int i = 0; i < 10'000; ++i) {
    command += "a %IP% ";
    rendered += "a 192.0.2.7 ";
  }
  EXPECT_EQ(render_command(command, IpAddress::parse("192.0.2.7").value()), rendered);
}

TEST(RenderCommand, AddressIsItsNetwork_WithAPrefix) {
  EXPECT_EQ(render_command("add %IP% %IP%", IpAddress::parse("192.0.2.7").value(), 96 + 24),
            "add 192.0.2.0/24 192.0.2.0/24");
  EXPECT_EQ(render_command("add %IP%", IpAddress::parse("2001:db8::7").value(), 64),
            "add 2001:db8::/64");
}

}  // namespace
}  // namespace knockd
