// SPDX-License-Identifier: MIT
#include "knockd/lint/shell_command.h"

#include <gtest/gtest.h>

#include <string>

namespace knockd {
namespace {

// Words between bars, commands between semicolons.
std::string taken_apart(std::string_view command) {
  std::string text;
  for (const Words& words : simple_commands(command)) {
    if (!text.empty()) text += " ; ";
    for (size_t i = 0; i < words.size(); ++i) text += (i == 0 ? "" : "|") + words[i];
  }
  return text;
}

std::string programs_in(std::string_view command) {
  std::string text;
  for (const Words& words : simple_commands(command)) {
    if (const auto program = program_of(words)) text += (text.empty() ? "" : " ") + *program;
  }
  return text;
}

std::string change_in(std::string_view command) {
  const auto commands = simple_commands(command);
  const auto change = commands.empty() ? std::nullopt : rule_change_of(commands.front());
  if (!change) return "none";
  return (change->kind == RuleChange::Kind::kAdds ? "+ " : "- ") + change->rule +
         (change->expires ? " (expires)" : "");
}

TEST(SimpleCommands, AreSplitAtOperators) {
  EXPECT_EQ(taken_apart("a b;c && d || e | f & g\nh"), "a|b ; c ; d ; e ; f ; g ; h");
  EXPECT_EQ(taken_apart("(a; b) ;; c"), "a ; b ; c");
  EXPECT_EQ(taken_apart(" \t "), "");
}

TEST(SimpleCommands, LoseQuotes) {
  EXPECT_EQ(taken_apart("a 'b; c' \"d 'e' \\\"f\" g\\ h ''"), "a|b; c|d 'e' \"f|g h|");
  EXPECT_EQ(taken_apart("a 'never closed"), "a|never closed");
}

TEST(SimpleCommands, LoseCommentsAndRedirections) {
  EXPECT_EQ(taken_apart("a b#c # d ; e\nf"), "a|b#c ; f");
  EXPECT_EQ(taken_apart("a 2>&1 >/dev/null b < c>d e"), "a|b|e");
}

TEST(SimpleCommands, EndAtComplexGrammar) {
  EXPECT_EQ(taken_apart("a; b $(c; d)"), "a ; b");
  EXPECT_EQ(taken_apart("a `b`"), "a");
  EXPECT_EQ(taken_apart("a \"x$(b \"c\")\""), "a|x");
  EXPECT_EQ(taken_apart("cat <<EOF\nx\nEOF"), "cat");
  EXPECT_EQ(taken_apart("case x in a) b;; esac"), "case");
  EXPECT_EQ(taken_apart("f() { a; }"), "f");
}

TEST(ProgramOf, SkipsShellKeywords) {
  EXPECT_EQ(programs_in("/sbin/iptables -A x; FOO=bar logger hi"), "/sbin/iptables logger");
  EXPECT_EQ(programs_in("echo a; [ -f x ] && cd /; : ; exit 0"), "");
  EXPECT_EQ(programs_in("if ! grep x y; then nft z; fi"), "grep nft");
  EXPECT_EQ(programs_in("for i in a b; do ufw $i; done"), "ufw");
  EXPECT_EQ(programs_in("$TOOL a; ~/b; ./c*; exec d"), "d");
  EXPECT_EQ(programs_in("\"/opt/my tools/open\" %IP%"), "/opt/my tools/open");
}

TEST(RuleChange, OfIptables_IsTheSameForAddingAndRemoving) {
  const std::string rule = "iptables %IP% -j -s ACCEPT INPUT";
  EXPECT_EQ(change_in("/usr/sbin/iptables -A INPUT -s %IP% -j ACCEPT"), "+ " + rule);
  EXPECT_EQ(change_in("sudo iptables -w -I INPUT 1 -s %IP% -j ACCEPT"), "+ " + rule);
  EXPECT_EQ(change_in("iptables -D INPUT -j ACCEPT -s %IP% 2>/dev/null"), "- " + rule);
  EXPECT_EQ(change_in("iptables --append INPUT -s %IP% -j ACCEPT"), "+ " + rule);
  EXPECT_EQ(change_in("iptables --delete INPUT -s %IP% -j ACCEPT"), "- " + rule);
  EXPECT_EQ(change_in("iptables -L -n"), "none");
}

TEST(RuleChange, OfNft_KnowsElementsAndRules) {
  EXPECT_EQ(change_in("nft add element inet fw in { %IP% }"), "+ nft %IP% fw in inet");
  EXPECT_EQ(change_in("nft 'delete element inet fw in {%IP%}'"), "- nft %IP% fw in inet");
  EXPECT_EQ(change_in("nft add element inet fw in '{ %IP% timeout 1h }'"),
            "+ nft %IP% 1h fw in inet timeout (expires)");
  EXPECT_EQ(change_in("nft insert rule inet fw input ip saddr %IP% accept"), "+ nft rule");
  EXPECT_EQ(change_in("nft delete rule inet fw input handle 7"), "- nft rule");
  EXPECT_EQ(change_in("nft -f /etc/nftables.conf"), "none");
}

TEST(RuleChange, OfOtherTools) {
  EXPECT_EQ(change_in("firewall-cmd --add-port=22/tcp --zone=public"),
            "+ firewall-cmd --zone=public port=22/tcp");
  EXPECT_EQ(change_in("firewall-cmd --zone=public --remove-port=22/tcp"),
            "- firewall-cmd --zone=public port=22/tcp");
  EXPECT_EQ(change_in("firewall-cmd --add-port=22/tcp --timeout=60"),
            "+ firewall-cmd port=22/tcp (expires)");
  EXPECT_EQ(change_in("ufw insert 1 allow from %IP%"), "+ ufw %IP% allow from");
  EXPECT_EQ(change_in("ufw --force delete allow from %IP%"), "- ufw %IP% allow from");
  EXPECT_EQ(change_in("ufw reload"), "none");
  EXPECT_EQ(change_in("ipset add knockers %IP% -exist"), "+ ipset %IP% knockers");
  EXPECT_EQ(change_in("ipset del knockers %IP%"), "- ipset %IP% knockers");
  EXPECT_EQ(change_in("ipset add knockers %IP% timeout 60"), "+ ipset %IP% 60 knockers (expires)");
  EXPECT_EQ(change_in("/root/open.sh iptables"), "none");
}

}  // namespace
}  // namespace knockd
