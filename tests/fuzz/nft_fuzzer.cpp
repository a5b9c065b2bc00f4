// fuzzes: keeper
// longest: 4096
// SPDX-License-Identifier: MIT
// The kernel's answers and notifications about rulesets, as one datagram: reading stays within it.
#include <linux/netlink.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "knockd/keeper/nft_messages.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<nlmsghdr> aligned(size / sizeof(nlmsghdr) + 1);
  if (size != 0) std::memcpy(aligned.data(), data, size);
  const auto* const begin = reinterpret_cast<const char*>(aligned.data());
  const auto is_within = [&](std::string_view part) {
    return part.empty() || (part.data() >= begin && part.data() + part.size() <= begin + size);
  };
  for (size_t at = 0; at + sizeof(nlmsghdr) <= size;) {
    auto* const message = reinterpret_cast<nlmsghdr*>(reinterpret_cast<char*>(aligned.data()) + at);
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > size - at) break;
    at += NLMSG_ALIGN(message->nlmsg_len);
    size_t bytes = 0;
    for (const knockd::FoundElement& element : knockd::elements_in(*message)) {
      require(!element.left || element.left->count() >= 0);
      bytes += element.key.size();
    }
    require(bytes <= size);
    const knockd::SetDescription description = knockd::description_in(*message);
    require(description == knockd::description_in(*message));
    require(is_within(knockd::table_in(*message)));
    require(is_within(knockd::attributes_in(*message)));
    knockd::end_in(*message);
  }
  return 0;
}
