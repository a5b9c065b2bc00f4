// SPDX-License-Identifier: MIT
#include "knockd/keeper/nft_messages.h"

// Kernel headers first: libnl-tiny has copies of its own for systems without them.
#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "knockd/keeper/netlink_attributes.h"

namespace knockd {
namespace {

using std::chrono::milliseconds;

// Per message; more are split into several.
constexpr size_t kMostElements = 32;

// Milliseconds, some ten years: longer times are clamped, so that all fit.
constexpr uint64_t kLongestTime = 10ull * 365 * 86400 * 1000;

// Numbers that nft(8) gives to types of keys; the kernel only keeps them (its datatype.h).
constexpr uint32_t kTypeIpv4 = 7;
constexpr uint32_t kTypeIpv6 = 8;
constexpr uint32_t kTypeProtocolAndService = 12 << 6 | 13;  // in a concatenation six bits each
constexpr int kTypeBits = 12;

// A request under construction.
class Message {
 public:
  Message(int type, int flags, TableFamily family, uint32_t sequence)
      : message_(nlmsg_alloc_simple(type, flags), &nlmsg_free) {
    if (message_ == nullptr) return;
    nfgenmsg header{};
    header.nfgen_family = static_cast<uint8_t>(family);
    header.version = NFNETLINK_V0;
    whole_ = nlmsg_append(message_.get(), &header, sizeof(header), NLMSG_ALIGNTO) >= 0;
    nlmsg_hdr(message_.get())->nlmsg_seq = sequence;
  }

  void put(int attribute, const void* data, size_t size) {
    if (whole_) whole_ = nla_put(message_.get(), attribute, static_cast<int>(size), data) >= 0;
  }
  void put(int attribute, const std::string& text) {
    put(attribute, text.c_str(), text.size() + 1);
  }
  // Calls `content`, whose attributes are nested in this one.
  template <typename Content>
  void nest(int attribute, Content&& content) {
    nlattr* const start = whole_ ? nla_nest_start(message_.get(), attribute) : nullptr;
    if (start == nullptr) {
      whole_ = false;
      return;
    }
    content();
    nla_nest_end(message_.get(), start);
  }

  // Empty if memory ran out.
  std::string bytes() const {
    if (!whole_) return {};
    const nlmsghdr* const header = nlmsg_hdr(message_.get());
    return {reinterpret_cast<const char*>(header), header->nlmsg_len};
  }

 private:
  const std::unique_ptr<nl_msg, decltype(&nlmsg_free)> message_;
  bool whole_ = false;
};

constexpr int nft_type(int message) { return NFNL_SUBSYS_NFTABLES << 8 | message; }

std::string batch_border(int type, uint32_t sequence) {
  nlmsghdr header{};
  header.nlmsg_len = NLMSG_LENGTH(sizeof(nfgenmsg));
  header.nlmsg_type = static_cast<uint16_t>(type);
  header.nlmsg_flags = NLM_F_REQUEST;
  header.nlmsg_seq = sequence;
  nfgenmsg body{};
  body.version = NFNETLINK_V0;
  body.res_id = htons(NFNL_SUBSYS_NFTABLES);
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  return bytes.append(reinterpret_cast<const char*>(&body), sizeof(body));
}

std::string batch(const std::string& messages, uint32_t sequence) {
  return batch_border(NFNL_MSG_BATCH_BEGIN, sequence) + messages +
         batch_border(NFNL_MSG_BATCH_END, sequence);
}

std::string element_message(int type, int flags, const SetName& set,
                            std::span<const TimedElement> elements, uint32_t sequence) {
  Message message(nft_type(type), NLM_F_REQUEST | flags, set.family, sequence);
  message.put(NFTA_SET_ELEM_LIST_TABLE, set.table);
  message.put(NFTA_SET_ELEM_LIST_SET, set.set);
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    for (const TimedElement& timed : elements) {
      message.nest(NFTA_LIST_ELEM, [&] {
        message.nest(NFTA_SET_ELEM_KEY, [&] {
          message.put(NFTA_DATA_VALUE, timed.element.key.data(), timed.element.key.size());
        });
        const auto time = std::chrono::duration_cast<milliseconds>(timed.left).count();
        if (timed.left <= Duration::zero()) return;
        const uint64_t timeout = htobe64(static_cast<uint64_t>(std::max<int64_t>(time, 1)));
        message.put(NFTA_SET_ELEM_TIMEOUT, &timeout, sizeof(timeout));
      });
    }
  });
  return message.bytes();
}

// One message of this type for each group of elements of one set.
void append_elements(std::string& batch, int type, int flags,
                     std::span<const TimedElement> elements, uint32_t sequence) {
  while (!elements.empty()) {
    size_t size = 1;
    while (size < elements.size() && size < kMostElements &&
           elements[size].element.set == elements[0].element.set) {
      ++size;
    }
    batch += element_message(type, flags, elements[0].element.set, elements.first(size), sequence);
    elements = elements.subspan(size);
  }
}

// Looks up an attribute in an attribute, or in a message.
const nlattr* find_in(const nlattr* nest, int attribute) {
  if (nest == nullptr) return nullptr;
  return nla_find(static_cast<nlattr*>(nla_data(nest)), nla_len(nest), attribute);
}
const nlattr* find_in(const nlmsghdr& message, int attribute) {
  if (!nlmsg_valid_hdr(&message, sizeof(nfgenmsg))) return nullptr;
  return nla_find(nlmsg_attrdata(&message, sizeof(nfgenmsg)),
                  nlmsg_attrlen(&message, sizeof(nfgenmsg)), attribute);
}

}  // namespace

std::string set_key(const IpAddress& address) {
  const auto* const bytes = reinterpret_cast<const char*>(address.bytes().data());
  return address.is_v4() ? std::string(bytes + 12, 4) : std::string(bytes, 16);
}

std::string set_key(const IpAddress& address, const Knock& port) {
  return set_key(address) +
         std::string{
             static_cast<char>(port.protocol),    0, 0, 0, static_cast<char>(port.port >> 8),
             static_cast<char>(port.port & 0xff), 0, 0};
}

bool takes_key(const SetDescription& set, std::string_view key) {
  constexpr size_t kProtocolAndPort = 8;  // bytes
  if (!set.key || !set.has_timeout) return false;
  const size_t address = set.is_v4 ? 4 : 16;
  return key.size() == address + (*set.key == SetKey::kAddressAndPort ? kProtocolAndPort : 0);
}

std::optional<Knock> port_of_key(std::string_view key) {
  if (key.size() != 8) return std::nullopt;
  const auto protocol = static_cast<Protocol>(key[0]);
  if (protocol != Protocol::kTcp && protocol != Protocol::kUdp) return std::nullopt;
  return Knock{
      static_cast<uint16_t>(static_cast<uint8_t>(key[4]) << 8 | static_cast<uint8_t>(key[5])),
      protocol};
}

// --- Requests ------------------------------------------------------------------------------------

std::string put_request(std::span<const TimedElement> elements, uint32_t sequence) {
  std::string messages;
  // Adding an existing element keeps its time, and an expired one cannot be deleted. Added first,
  // it exists in both cases and can be deleted.
  append_elements(messages, NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements, sequence);
  append_elements(messages, NFT_MSG_DELSETELEM, 0, elements, sequence);
  append_elements(messages, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_ACK, elements, sequence);
  return batch(messages, sequence);
}

std::string remove_request(std::span<const TimedElement> elements, bool add_first,
                           uint32_t sequence) {
  std::string messages;
  if (add_first) append_elements(messages, NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements, sequence);
  append_elements(messages, NFT_MSG_DELSETELEM, NLM_F_ACK, elements, sequence);
  return batch(messages, sequence);
}

std::string describe_request(const SetName& set, uint32_t sequence) {
  Message message(nft_type(NFT_MSG_GETSET), NLM_F_REQUEST | NLM_F_ACK, set.family, sequence);
  message.put(NFTA_SET_TABLE, set.table);
  message.put(NFTA_SET_NAME, set.set);
  return message.bytes();
}

std::string find_request(const SetElement& element, uint32_t sequence) {
  const TimedElement wanted{element, {}};
  return element_message(NFT_MSG_GETSETELEM, NLM_F_ACK, element.set, {&wanted, 1}, sequence);
}

std::string list_request(const SetName& set, uint32_t sequence) {
  Message message(nft_type(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_DUMP, set.family, sequence);
  message.put(NFTA_SET_ELEM_LIST_TABLE, set.table);
  message.put(NFTA_SET_ELEM_LIST_SET, set.set);
  return message.bytes();
}

std::string table_request(const std::string& table, TablePart part, uint32_t sequence) {
  const int type = part == TablePart::kTable    ? NFT_MSG_GETTABLE
                   : part == TablePart::kChains ? NFT_MSG_GETCHAIN
                                                : NFT_MSG_GETRULE;
  Message message(nft_type(type),
                  NLM_F_REQUEST | (part == TablePart::kTable ? NLM_F_ACK : NLM_F_DUMP),
                  TableFamily::kInet, sequence);
  message.put(NFTA_TABLE_NAME, table);
  return message.bytes();
}

// --- Answers -------------------------------------------------------------------------------------

std::vector<FoundElement> elements_in(const nlmsghdr& message) {
  std::vector<FoundElement> found;
  const nlattr* const list = find_in(message, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list == nullptr) return found;
  int rest = nla_len(list);
  for (const nlattr* element = static_cast<const nlattr*>(nla_data(list)); nla_ok(element, rest);
       element = nla_next(element, &rest)) {
    const nlattr* const value = find_in(find_in(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
    if (value == nullptr) continue;
    FoundElement one;
    one.key.assign(static_cast<const char*>(nla_data(value)), static_cast<size_t>(nla_len(value)));
    const auto left = number_of<uint64_t>(find_in(element, NFTA_SET_ELEM_EXPIRATION));
    if (left) one.left = milliseconds(std::min(be64toh(*left), kLongestTime));
    found.push_back(std::move(one));
  }
  return found;
}

SetDescription description_in(const nlmsghdr& message) {
  SetDescription description;
  const uint32_t type = ntohl(number_of<uint32_t>(find_in(message, NFTA_SET_KEY_TYPE)).value_or(0));
  const uint32_t flags = ntohl(number_of<uint32_t>(find_in(message, NFTA_SET_FLAGS)).value_or(0));
  const uint32_t address = type >> kTypeBits != 0 ? type >> kTypeBits : type;
  description.has_timeout = (flags & NFT_SET_TIMEOUT) != 0;
  description.is_v4 = address == kTypeIpv4;
  if (address != kTypeIpv4 && address != kTypeIpv6) return description;
  if ((flags & (NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_OBJECT | NFT_SET_CONSTANT)) != 0) {
    return description;
  }
  if (type == address) description.key = SetKey::kAddress;
  if (type == (address << kTypeBits | kTypeProtocolAndService)) {
    description.key = SetKey::kAddressAndPort;
  }
  return description;
}

// In each of them the name is the first attribute (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE ...).
std::string_view table_in(const nlmsghdr& message) {
  return text_of(find_in(message, NFTA_TABLE_NAME));
}

std::string_view attributes_in(const nlmsghdr& message) {
  if (!nlmsg_valid_hdr(&message, sizeof(nfgenmsg))) return {};
  return {reinterpret_cast<const char*>(nlmsg_attrdata(&message, sizeof(nfgenmsg))),
          static_cast<size_t>(nlmsg_attrlen(&message, sizeof(nfgenmsg)))};
}

std::optional<int> end_in(const nlmsghdr& message) {
  if (message.nlmsg_type == NLMSG_DONE) return 0;
  if (message.nlmsg_type != NLMSG_ERROR) return std::nullopt;
  if (!nlmsg_valid_hdr(&message, sizeof(nlmsgerr))) return EPROTO;
  constexpr int kMostErrors = 4095;  // the kernel's MAX_ERRNO
  const int error = static_cast<const nlmsgerr*>(nlmsg_data(&message))->error;
  return error <= 0 && error >= -kMostErrors ? -error : EPROTO;
}

bool AnswerEnd::take(const nlmsghdr& message) {
  if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted_ = true;
  const std::optional<int> end = end_in(message);
  if (!end) return true;
  if (!end_ || *end_ == 0) end_ = end;  // each failed message has an answer
  return false;
}

int AnswerEnd::error() const { return interrupted_ ? EINTR : end_.value_or(ENOBUFS); }

}  // namespace knockd
