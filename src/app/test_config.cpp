// SPDX-License-Identifier: MIT
#include "knockd/app/test_config.h"

#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "knockd/base/text.h"
#include "knockd/config/excerpt.h"
#include "knockd/config/files.h"
#include "knockd/config/parser.h"
#include "knockd/config/values.h"

namespace knockd {
namespace {

// The files of this machine, cached: a pipe can be read only once.
class KeptFiles : public SystemFiles {
 public:
  Text read(const std::string& path) override {
    Text text = SystemFiles::read(path);
    if (const auto* read = std::get_if<std::string>(&text)) keep(path, *read);
    return text;
  }

  // A line of a cached file, by its number in places; empty if there is none.
  std::string_view line_at(const Place& place) const {
    const auto found = files_.find(place.file);
    const auto index = static_cast<size_t>(place.line) - 1;
    if (place.line < 1 || found == files_.end() || index >= found->second.lines.size()) return {};
    return found->second.lines[index];
  }

 private:
  struct File {
    std::unique_ptr<const std::string> text;
    std::vector<std::string_view> lines;  // of `text`
  };

  void keep(const std::string& path, const std::string& read) {
    File file{std::make_unique<const std::string>(read), {}};
    std::string_view text = *file.text;
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    file.lines = split(text, '\n');
    files_[path] = std::move(file);
  }

  std::map<std::string, File> files_;
};

std::string finding(const Complaint& complaint, const KeptFiles& files) {
  std::string text = complaint.to_string() + '\n';
  if (!complaint.place.is_whole_file) {
    for (const std::string& line :
         excerpt(files.line_at(complaint.place), complaint.place.column)) {
      text += line + '\n';
    }
  }
  if (!complaint.write.empty()) text += "    write: " + visible(complaint.write) + '\n';
  return text;
}

}  // namespace

TestReport test_config(const std::string& file,
                       const std::function<std::vector<Complaint>(const Config&)>& warnings_of) {
  KeptFiles files;
  const auto config = load_config(file, files);
  TestReport report{bool(config), ""};
  const auto findings = config ? warnings_of(*config) : config.error().complaints;
  for (const Complaint& complaint : findings) report.text += finding(complaint, files);
  if (report.is_good) report.text += "configuration OK\n";
  return report;
}

}  // namespace knockd
