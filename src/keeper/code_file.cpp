// SPDX-License-Identifier: MIT
#include "knockd/keeper/code_file.h"

#include <algorithm>
#include <cinttypes>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/keeper/line_sum.h"

namespace knockd {
namespace {

constexpr size_t kSmallFile = 65536;
constexpr int64_t kLongestAgo = int64_t{1} << 40;  // seconds, and steps

std::string used_line(const CodeKnock& knock) {
  return with_sum(format("used %s %d %" PRId64 " %s", knock.secret.c_str(),
                         knock.source.is_v4() ? 4 : 6, knock.step,
                         knock.source.to_string().c_str())) +
         '\n';
}

std::string opened_line(const std::string& door, const IpAddress& source, int64_t time) {
  return with_sum(format("opened %" PRId64 " %s ", time, source.to_string().c_str()) + door) + '\n';
}

// The next word. (The last field, a door's name, may have blanks.)
std::string_view take_word(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(word.size() + 1, text.size()));
  return word;
}

// Adds the fact of a line. False if it has none.
bool take_line(std::string_view line, UsedCodes& used, KnownSources& known) {
  std::string_view text = line.substr(std::min(kSumSize + 1, line.size()));
  if (with_sum(text) != line) return false;
  const std::string_view fact = take_word(text);
  if (fact == "used") {
    CodeKnock knock;
    knock.secret = take_word(text);
    take_word(text);
    knock.step = static_cast<Step>(parse_number(take_word(text), kLongestAgo).value_or(0));
    const auto source = IpAddress::parse(text);
    if (source) knock.source = *source;
    if (source) used.add(knock);
    return source.has_value();
  }
  if (fact != "opened") return false;
  const auto time = parse_number(take_word(text), kLongestAgo);
  const auto source = IpAddress::parse(take_word(text));
  if (time && source) known.add(std::string(text), *source, static_cast<int64_t>(*time));
  return time && source;
}

}  // namespace

CodeFile::CodeFile(std::string path, UsedCodes& used, KnownSources& known, FileCalls& calls)
    : used_(used), known_(known), file_(std::move(path), calls) {}

Status CodeFile::failed() const { return Fault{file_.path() + ": " + file_.failure()}; }

Status CodeFile::read() {
  if (was_read_ && file_.is_appendable()) return {};
  if (!file_.acquire() || (!was_read_ && !read_lines())) return failed();
  return write_anew() ? Status() : failed();
}

bool CodeFile::read_lines() {
  std::string text;
  if (!file_.read(text)) return false;
  was_read_ = true;
  // A last line without its end was being written at a power cut: it opened nothing.
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = rest.find('\n');
    if (end == rest.npos) break;
    if (!take_line(rest.substr(0, end), used_, known_)) ++damaged_;
    rest.remove_prefix(end + 1);
  }
  return true;
}

bool CodeFile::write_anew() {
  gathered_.clear();
  const bool written = file_.replace([this](const OwnFile::Put& put) {
    used_.for_each([&](const CodeKnock& knock) { put(used_line(knock)); });
    known_.for_each([&](const std::string& door, const IpAddress& source, int64_t time) {
      put(opened_line(door, source, time));
    });
  });
  if (!written) return false;
  write_anew_at_ = std::max(kSmallFile, 4 * file_.size());
  return true;
}

void CodeFile::used(const CodeKnock& knock) { gathered_ += used_line(knock); }

void CodeFile::opened(const std::string& door, const IpAddress& source, int64_t time) {
  gathered_ += opened_line(door, source, time);
}

Status CodeFile::flush() {
  if (!was_read_ || !file_.is_appendable()) return read();
  if (file_.size() + gathered_.size() > write_anew_at_) return write_anew() ? Status() : failed();
  const std::string text = std::exchange(gathered_, {});
  return file_.append(text, OwnFile::Sync::kYes) ? Status() : failed();
}

}  // namespace knockd
