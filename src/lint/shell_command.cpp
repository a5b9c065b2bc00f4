// SPDX-License-Identifier: MIT
#include "knockd/lint/shell_command.h"

#include <algorithm>
#include <cstdint>

#include "knockd/base/text.h"

namespace knockd {
namespace {

// Splits a command into words as POSIX sh does (Shell Command Language, 2.3), without expansions.
class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  std::vector<Words> split() {
    while (at_ < text_.size() && !is_too_deep_) step();
    end_command();
    return std::move(commands_);
  }

 private:
  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  void step() {
    const char c = text_[at_];
    if (c == '`' || next_is("$(") || next_is("<<") || (c == '(' && in_word_)) {
      is_too_deep_ = true;
    } else if (c == '\'' || c == '"') {
      read_quoted(c);
    } else if (c == '\\' && at_ + 1 < text_.size()) {
      add(text_[at_ + 1]);
      at_ += 2;
    } else if (c == '#' && !in_word_) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == '<' || c == '>') {
      read_redirection();
    } else if (std::string_view(";&|()\n").find(c) != std::string_view::npos) {
      end_command();
      ++at_;
    } else if (c == ' ' || c == '\t') {
      end_word();
      ++at_;
    } else {
      add(c);
      ++at_;
    }
  }

  void add(char c) {
    word_ += c;
    in_word_ = true;
  }

  void read_quoted(char quote) {
    in_word_ = true;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (quote == '"' && (text_[at_] == '`' || next_is("$("))) {
        is_too_deep_ = true;
        return;
      }
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      word_ += text_[at_];
    }
    ++at_;
  }

  // "2>&1", "> file": the number before and the word after it are not words of the command.
  void read_redirection() {
    if (word_.find_first_not_of("0123456789") == std::string::npos) {
      word_.clear();
      in_word_ = false;
    }
    end_word();
    while (at_ < text_.size() && is_one_of(text_.substr(at_, 1), "< > & |")) ++at_;
    skips_word_ = true;
  }

  void end_word() {
    if (in_word_ && !skips_word_) {
      if (words_.empty() && is_one_of(word_, "case function")) is_too_deep_ = true;
      words_.push_back(word_);
    }
    if (in_word_) skips_word_ = false;
    word_.clear();
    in_word_ = false;
  }

  void end_command() {
    end_word();
    skips_word_ = false;
    if (!words_.empty()) commands_.push_back(std::move(words_));
    words_.clear();
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Words> commands_;
  Words words_;
  std::string word_;
  bool in_word_ = false;     // also for an empty word, ""
  bool skips_word_ = false;  // the file of a redirection comes next
  bool is_too_deep_ = false;
};

bool is_assignment(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  return word.substr(0, equals).find_first_not_of(
             "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789") ==
         std::string_view::npos;
}

// Words that precede a command.
bool is_prefix(std::string_view word) {
  return is_assignment(word) || is_one_of(word, "! { if then elif else while until do time exec");
}

// Builtins and keywords of dash and busybox ash, which are not programs.
bool is_of_the_shell(std::string_view word) {
  return is_one_of(
      word,
      ". : [ } alias bg break case cd chdir command continue done echo esac eval exit export false "
      "fg fi for function getopts hash jobs kill local printf pwd read readonly return set shift "
      "source test times trap true type ulimit umask unalias unset wait");
}

std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// `tool` and the words of a rule in a fixed order, as options may have any order.
std::string rule_text(std::string_view tool, Words words) {
  std::sort(words.begin(), words.end());
  std::string text(tool);
  for (const std::string& word : words) text += ' ' + word;
  return text;
}

using Kind = RuleChange::Kind;

// "-I INPUT 1 -s IP -j ACCEPT" and "-D INPUT -s IP -j ACCEPT" are about the same rule.
std::optional<RuleChange> iptables_change(std::string_view tool, const Words& arguments) {
  std::optional<Kind> kind;
  Words rule;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (is_one_of(word, "-A --append -I --insert")) {
      kind = Kind::kAdds;
      const bool has_number = i + 2 < arguments.size() && parse_number(arguments[i + 2], 1u << 31);
      if (i + 1 < arguments.size()) rule.push_back(arguments[i + 1]);
      i += has_number ? 2 : 1;
    } else if (is_one_of(word, "-D --delete")) {
      kind = Kind::kRemoves;
    } else if (!is_one_of(word, "-w --wait")) {
      rule.push_back(word);
    }
  }
  if (!kind) return std::nullopt;
  return RuleChange{*kind, false, rule_text(tool, std::move(rule))};
}

// An element is identified by its set and value; a rule is deleted by handle, so any deletion
// matches.
std::optional<RuleChange> nft_change(const Words& arguments) {
  Words words;
  for (std::string argument : arguments) {  // nft "add rule ...": its grammar in one argument
    std::replace_if(
        argument.begin(), argument.end(),
        [](char c) {
          return is_one_of({&c, 1}, "{ } , ; \t");
        },
        ' ');
    for (const std::string_view word : split(argument, ' ')) {
      if (!word.empty()) words.emplace_back(word);
    }
  }
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const bool adds = is_one_of(words[i], "add insert");
    if (!adds && !is_one_of(words[i], "delete destroy flush")) continue;
    const Kind kind = adds ? Kind::kAdds : Kind::kRemoves;
    if (words[i + 1] == "element") {
      const bool expires = std::find(words.begin(), words.end(), "timeout") != words.end();
      words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i) + 2);
      return RuleChange{kind, expires, rule_text("nft", std::move(words))};
    }
    if (words[i + 1] == "rule" || !adds) return RuleChange{kind, false, "nft rule"};
  }
  return std::nullopt;
}

std::optional<RuleChange> firewall_cmd_change(const Words& arguments) {
  constexpr std::string_view kAdd = "--add-";
  constexpr std::string_view kRemove = "--remove-";
  std::optional<Kind> kind;
  bool expires = false;
  Words rule;
  for (const std::string& word : arguments) {
    if (word.starts_with(kAdd)) {
      kind = Kind::kAdds;
      rule.push_back(word.substr(kAdd.size()));
    } else if (word.starts_with(kRemove)) {
      kind = Kind::kRemoves;
      rule.push_back(word.substr(kRemove.size()));
    } else if (word.starts_with("--timeout")) {
      expires = true;
    } else {
      rule.push_back(word);
    }
  }
  if (!kind) return std::nullopt;
  return RuleChange{*kind, expires, rule_text("firewall-cmd", std::move(rule))};
}

std::optional<RuleChange> ufw_change(const Words& arguments) {
  Kind kind = Kind::kAdds;
  bool is_rule = false;
  Words rule;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "delete") {
      kind = Kind::kRemoves;
    } else if (word == "insert") {
      ++i;  // its number
    } else if (!word.starts_with("--") && word != "rule") {
      is_rule = is_rule || is_one_of(word, "allow deny limit reject");
      rule.push_back(word);
    }
  }
  if (!is_rule) return std::nullopt;
  return RuleChange{kind, false, rule_text("ufw", std::move(rule))};
}

std::optional<RuleChange> ipset_change(const Words& arguments) {
  std::optional<Kind> kind;
  bool expires = false;
  Words rule;
  for (const std::string& word : arguments) {
    if (is_one_of(word, "add -A --add")) {
      kind = Kind::kAdds;
    } else if (is_one_of(word, "del -D --del")) {
      kind = Kind::kRemoves;
    } else if (word == "timeout") {
      expires = true;
    } else if (!is_one_of(word, "-exist -! -quiet -q")) {
      rule.push_back(word);
    }
  }
  if (!kind) return std::nullopt;
  return RuleChange{*kind, expires, rule_text("ipset", std::move(rule))};
}

}  // namespace

std::vector<Words> simple_commands(std::string_view command) { return Splitter(command).split(); }

std::optional<std::string> program_of(const Words& words) {
  const auto first = std::find_if_not(words.begin(), words.end(),
                                      [](const std::string& word) { return is_prefix(word); });
  if (first == words.end() || first->empty() || is_of_the_shell(*first)) return std::nullopt;
  if (first->find_first_of("$*?%~") != std::string::npos || first->front() == '-') {
    return std::nullopt;
  }
  return *first;
}

bool runs_program(std::string_view command, std::string_view name) {
  for (const Words& words : simple_commands(command)) {
    const auto program = program_of(words);
    if (program && base_name(*program) == name) return true;
  }
  return false;
}

std::optional<RuleChange> rule_change_of(const Words& words) {
  for (auto word = words.begin(); word != words.end(); ++word) {
    const std::string_view tool = base_name(*word);
    const Words arguments(word + 1, words.end());
    if (tool.starts_with("iptables") || tool.starts_with("ip6tables")) {
      return iptables_change(tool, arguments);
    }
    if (tool == "nft") return nft_change(arguments);
    if (tool == "firewall-cmd") return firewall_cmd_change(arguments);
    if (tool == "ufw") return ufw_change(arguments);
    if (tool == "ipset") return ipset_change(arguments);
  }
  return std::nullopt;
}

}  // namespace knockd
