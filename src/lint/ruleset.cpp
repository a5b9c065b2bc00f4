// SPDX-License-Identifier: MIT
#include "knockd/lint/ruleset.h"

#include <algorithm>

#include "knockd/base/text.h"

namespace knockd {
namespace {

constexpr int kMostJumps = 16;  // the kernel's limit (NFT_JUMP_STACK_SIZE)

// The words of a line, without quotes, commas and its comment.
std::vector<std::string> words_of(std::string_view line) {
  line = trim(line.substr(0, line.find(" comment \"")));
  std::vector<std::string> words;
  for (std::string_view word : split_words(line)) {
    while (!word.empty() && (word.back() == ',' || word.back() == ';' || word.back() == '"')) {
      word.remove_suffix(1);
    }
    if (word.starts_with('"')) word.remove_prefix(1);
    if (!word.empty()) words.emplace_back(word);
  }
  return words;
}

// The number of words from `at` on of a match that includes all packets from outside; 0 for other
// words.
size_t length_of_wide_match(const std::vector<std::string>& words, size_t at) {
  const std::string& word = words[at];
  if (word == "counter") return 1;
  if (is_one_of(word, "packets bytes iifname iif")) {
    if (at + 1 == words.size() || words[at + 1] != "{") return 2;
    const auto end = std::find(words.begin() + static_cast<ptrdiff_t>(at), words.end(), "}");
    return static_cast<size_t>(end - words.begin()) - at + 1;
  }
  if (word == "meta" && at + 1 < words.size() && words[at + 1] == "nfproto") return 3;
  return 0;
}

// The index of the verdict in a rule that matches all packets from outside; the end for any other
// rule.
size_t verdict_of_wide_rule(const std::vector<std::string>& words) {
  size_t at = 0;
  while (at < words.size()) {
    const size_t length = length_of_wide_match(words, at);
    if (length == 0) return at;
    at += length;
  }
  return words.size();
}

bool has_word(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

// Whether the text is this port or a range that contains it.
bool covers(std::string_view text, uint16_t port) {
  const size_t dash = text.find('-');
  const auto first = parse_number(text.substr(0, dash), 65535);
  const auto last = dash == text.npos ? first : parse_number(text.substr(dash + 1), 65535);
  return first && last && *first <= port && port <= *last;
}

// Whether the rule matches this destination port, perhaps among others.
bool names_port(const std::vector<std::string>& words, const Knock& port) {
  for (size_t i = 1; i + 1 < words.size(); ++i) {
    if (words[i] != "dport") continue;
    if (words[i - 1] != "th" && words[i - 1] != protocol_name(port.protocol)) continue;
    const bool is_list = words[i + 1] == "{";
    for (size_t at = i + (is_list ? 2 : 1); at < words.size() && words[at] != "}"; ++at) {
      if (covers(words[at], port.port)) return true;
      if (!is_list) break;
    }
  }
  return false;
}

}  // namespace

Ruleset::Ruleset(std::string_view listed) {
  for (const std::string_view line : split(listed, '\n')) take_line(line);
}

// nft indents by tabs: a table's parts by one, their content by two.
void Ruleset::take_line(std::string_view line) {
  const size_t depth = std::min(line.find_first_not_of('\t'), line.size());
  const Words words = words_of(line.substr(depth));
  if (words.empty()) return;
  if (depth == 0) {
    if (words.size() >= 3 && words[0] == "table") table_ = words[1] + ' ' + words[2];
  } else if (depth == 1 && words[0] != "}") {
    in_ = In::kOther;
    if (words.size() < 2) return;
    if (words[0] == "chain") {
      in_ = In::kChain;
      chains_.push_back({table_, words[1], {}, false, {}});
    } else if (words[0] == "set") {
      in_ = In::kSet;
      sets_.push_back({table_ + ' ' + words[1], {}});
    }
  } else if (in_ == In::kChain && words[0] == "type" && words.size() > 3 && words[2] == "hook") {
    if (words[1] == "filter") chains_.back().hook = words[3];
    chains_.back().drops_by_policy = words.back() == "drop";
  } else if (in_ == In::kChain) {
    chains_.back().rules.push_back(words);
  } else if (in_ == In::kSet && words[0] == "type") {
    sets_.back().set.type = join({words.begin() + 1, words.end()}, " ");
  } else if (in_ == In::kSet && words[0] == "flags") {
    for (const std::string_view flag : split(words.back(), ',')) {
      if (flag == "timeout") sets_.back().set.has_timeout = true;
      if (is_one_of(flag, "interval constant")) sets_.back().set.is_plain = false;
    }
  }
}

std::optional<Ruleset::Set> Ruleset::find(const SetName& name) const {
  const auto found = std::ranges::find(sets_, to_string(name), &NamedSet::name);
  return found == sets_.end() ? std::nullopt : std::optional(found->set);
}

bool Ruleset::drops(const Chain& chain, int most_steps) const {
  if (chain.drops_by_policy) return true;
  for (const Words& rule : chain.rules) {
    const size_t at = verdict_of_wide_rule(rule);
    if (at == rule.size()) continue;
    if (is_one_of(rule[at], "drop reject")) return true;
    if (!is_one_of(rule[at], "jump goto") || at + 1 == rule.size() || most_steps == 0) continue;
    const auto next = std::ranges::find_if(chains_, [&](const Chain& other) {
      return other.table == chain.table && other.name == rule[at + 1];
    });
    if (next != chains_.end() && drops(*next, most_steps - 1)) return true;
  }
  return false;
}

bool Ruleset::accepts(const std::string& table, const Knock& port) const {
  return std::ranges::any_of(chains_, [&](const Chain& chain) {
    return chain.table == table && std::ranges::any_of(chain.rules, [&](const Words& rule) {
             return has_word(rule, "accept") && names_port(rule, port);
           });
  });
}

std::optional<Knock> Ruleset::forwarded(const Knock& port) const {
  for (const Chain& chain : chains_) {
    for (const Words& rule : chain.rules) {
      if (!has_word(rule, "dnat") || !names_port(rule, port)) continue;
      const std::string_view to = rule.back();  // an address, or with a port
      const size_t colon = to.rfind(':');
      const bool has_port = colon != to.npos && (to.find(':') == colon || to[colon - 1] == ']');
      const auto number = parse_number(has_port ? to.substr(colon + 1) : "", 65535);
      return Knock{number ? static_cast<uint16_t>(*number) : port.port, port.protocol};
    }
  }
  return std::nullopt;
}

std::vector<std::string> Ruleset::chains_that_drop(const Knock& port) const {
  const std::optional<Knock> behind = forwarded(port);
  std::vector<std::string> result;
  for (const Chain& chain : chains_) {
    if (chain.hook != (behind ? "forward" : "input") || !drops(chain, kMostJumps)) continue;
    if (accepts(chain.table, behind.value_or(port))) continue;
    result.push_back(chain.table + ' ' + chain.name);
  }
  return result;
}

}  // namespace knockd
