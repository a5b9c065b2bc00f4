// fuzzes: control
// longest: 600
// SPDX-License-Identifier: MIT
// A line of a caller, and an answer as a client reads it. An accepted line must mean what its words
// say, a refused one must give one printable line, and a written one must be readable.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/control/json.h"
#include "knockd/control/request.h"

namespace {

using namespace knockd;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_clean(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return true;
}

struct Check {
  std::string_view line;

  void operator()(const AskStatus&) const { require(line.starts_with("status")); }
  void operator()(const AskEvents&) const { require(line == "events"); }
  void operator()(const AskClose& ask) const {
    require(line.starts_with("close\t"));
    require(ask.selection.door || ask.selection.address || line == "close\tall");
  }
  void operator()(const AskOpen& ask) const {
    require(line.starts_with("open\t") && ask.address.is_unicast());
    require(!ask.time || (*ask.time > Duration::zero() && *ask.time <= Duration(kLongest)));
  }
  void operator()(const AskFleetOpen& ask) const {
    require(line.starts_with("fleet-open\t") && ask.address.is_unicast());
    require(ask.left > Duration::zero() && ask.left <= Duration(kLongest));
    require(is_name(ask.gateway, 64) && (ask.user.empty() || is_name(ask.user, 32)));
  }
  void operator()(const AskFleetClose& ask) const {
    require(line.starts_with("fleet-close\t") && is_name(ask.gateway, 64));
    require(ask.selection.door && ask.selection.address);
  }
  void operator()(const AskFleetUsed& ask) const {
    require(line.starts_with("fleet-used\t"));
    require(ask.knock.secret.size() == 16 && is_clean(ask.knock.secret) && ask.knock.step >= 0);
  }
  void operator()(const AskFleetShare& ask) const {
    require(line == (ask.share ? "fleet-share\tyes" : "fleet-share\tno"));
  }
  void operator()(const AskFleetShared&) const { require(line.starts_with("fleet-shared\t")); }
  static bool is_name(std::string_view text, size_t longest) {
    return !text.empty() && text.size() <= longest && is_clean(text) &&
           text.find_first_of(" /%\\:") == text.npos;
  }
  static constexpr Duration kLongest = std::chrono::hours(24 * 25);
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto request = parse_request(line);
  if (request) {
    std::visit(Check{line}, *request);
    // A client builds the same line from the words.
    std::vector<std::string> words;
    for (const std::string_view word : split(line, '\t')) words.emplace_back(word);
    const auto again = request_line(words);
    require(!again || *again == line);
  } else {
    require(!request.error().text.empty() && request.error().text.size() < 1000);
    require(is_clean(request.error().text));
  }
  const std::string json = to_json(Answer{size % 10 == 0 ? 0 : 1, std::string(line)});
  require(is_clean(json));
  const auto answer = parse_answer(json);
  require(answer.has_value() && answer->text == clean_utf8(line));
  if (const auto other = parse_answer(line)) require(to_json(*other).size() <= 6 * size + 100);
  return 0;
}
