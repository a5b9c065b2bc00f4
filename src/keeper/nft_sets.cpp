// SPDX-License-Identifier: MIT
#include "knockd/keeper/nft_sets.h"

// The kernel's headers come before libnl's: libnl-tiny brings its own copy for those who lack them.
#include <arpa/inet.h>
#include <endian.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace knockd {
namespace {

using std::chrono::milliseconds;

// Of one message; more go into several.
constexpr size_t kMostElements = 32;
// What changed while it was listed is listed again; not forever.
constexpr int kMostDumps = 10;
constexpr int kMostReads = 1 << 16;
constexpr int kReceiveBuffer = 1 << 20;  // bytes

// Numbers that nft(8) gives to types of keys; the kernel only keeps them (its datatype.h).
constexpr uint32_t kTypeIpv4 = 7;
constexpr uint32_t kTypeIpv6 = 8;
constexpr uint32_t kTypeProtocolAndService = 12 << 6 | 13;  // of a concatenation six bits each
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
  void put(int attribute, const std::string& text) { put(attribute, text.c_str(), text.size() + 1); }
  // Calls `content`, whose attributes become this one's.
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

  // Empty without memory.
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

std::string element_message(int type, int flags, const SetName& set,
                            std::span<const TimedElement> elements, uint32_t sequence) {
  Message message(nft_type(type), NLM_F_REQUEST | flags, set.family, sequence);
  message.put(NFTA_SET_ELEM_LIST_TABLE, set.table);
  message.put(NFTA_SET_ELEM_LIST_SET, set.set);
  message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
    for (const auto& [element, left] : elements) {
      message.nest(NFTA_LIST_ELEM, [&] {
        message.nest(NFTA_SET_ELEM_KEY, [&] {
          message.put(NFTA_DATA_VALUE, element.key.data(), element.key.size());
        });
        const auto time = std::chrono::duration_cast<milliseconds>(left).count();
        if (left <= Duration::zero()) return;
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

std::string_view text_of(const nlattr* attribute) {
  if (attribute == nullptr) return {};
  const auto* const text = static_cast<const char*>(nla_data(attribute));
  return {text, strnlen(text, static_cast<size_t>(nla_len(attribute)))};
}

template <typename Number>
std::optional<Number> number_of(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) != sizeof(Number)) return std::nullopt;
  Number number;
  std::memcpy(&number, nla_data(attribute), sizeof(number));
  if constexpr (sizeof(Number) == sizeof(uint64_t)) return be64toh(number);
  return ntohl(static_cast<uint32_t>(number));
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

std::string attributes_of(const nlmsghdr& message) {
  if (!nlmsg_valid_hdr(&message, sizeof(nfgenmsg))) return {};
  return {reinterpret_cast<const char*>(nlmsg_attrdata(&message, sizeof(nfgenmsg))),
          static_cast<size_t>(nlmsg_attrlen(&message, sizeof(nfgenmsg)))};
}

void take_elements(const nlmsghdr& message, std::vector<NftSets::Found>& found) {
  const nlattr* const list = find_in(message, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list == nullptr) return;
  int rest = nla_len(list);
  for (const nlattr* element = static_cast<const nlattr*>(nla_data(list)); nla_ok(element, rest);
       element = nla_next(element, &rest)) {
    const nlattr* const value = find_in(find_in(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
    if (value == nullptr) continue;
    NftSets::Found one;
    one.key.assign(static_cast<const char*>(nla_data(value)),
                   static_cast<size_t>(nla_len(value)));
    const auto left = number_of<uint64_t>(find_in(element, NFTA_SET_ELEM_EXPIRATION));
    if (left) one.left = milliseconds(*left);
    found.push_back(std::move(one));
  }
}

NftSets::Description description_of(const nlmsghdr& message) {
  NftSets::Description description;
  const uint32_t type = number_of<uint32_t>(find_in(message, NFTA_SET_KEY_TYPE)).value_or(0);
  const uint32_t flags = number_of<uint32_t>(find_in(message, NFTA_SET_FLAGS)).value_or(0);
  const uint32_t address = type >> kTypeBits != 0 ? type >> kTypeBits : type;
  description.has_timeout = (flags & NFT_SET_TIMEOUT) != 0;
  description.is_v4 = address == kTypeIpv4;
  if (address != kTypeIpv4 && address != kTypeIpv6) return description;
  if ((flags & (NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_CONSTANT)) != 0) return description;
  if (type == address) description.key = SetKey::kAddress;
  if (type == (address << kTypeBits | kTypeProtocolAndService)) {
    description.key = SetKey::kAddressAndPort;
  }
  return description;
}

}  // namespace

std::string set_key(const IpAddress& address) {
  const auto* const bytes = reinterpret_cast<const char*>(address.bytes().data());
  return address.is_v4() ? std::string(bytes + 12, 4) : std::string(bytes, 16);
}

std::string set_key(const IpAddress& address, const Knock& port) {
  return set_key(address) +
         std::string{static_cast<char>(port.protocol), 0, 0, 0, static_cast<char>(port.port >> 8),
                     static_cast<char>(port.port & 0xff), 0, 0};
}

std::optional<Knock> port_of_key(std::string_view key) {
  if (key.size() != 8) return std::nullopt;
  const auto protocol = static_cast<Protocol>(key[0]);
  if (protocol != Protocol::kTcp && protocol != Protocol::kUdp) return std::nullopt;
  return Knock{static_cast<uint16_t>(static_cast<uint8_t>(key[4]) << 8 |
                                     static_cast<uint8_t>(key[5])),
               protocol};
}

Result<NftSets> NftSets::create() {
  auto socket = open_netlink_socket(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  enlarge_receive_buffer(*socket, kReceiveBuffer);
  return NftSets(*std::move(socket));
}

uint32_t NftSets::port() const { return nl_socket_get_local_port(socket_.get()); }

int NftSets::put(std::span<const TimedElement> elements) {
  if (elements.empty()) return 0;
  const uint32_t sequence = ++sequence_;
  std::string batch;
  // An element that is there keeps its time when it is added again, and one that has just run out
  // cannot be deleted: added first, it is there in either case.
  append_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, elements, sequence);
  append_elements(batch, NFT_MSG_DELSETELEM, 0, elements, sequence);
  append_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_ACK, elements, sequence);
  return send_batch(batch, sequence);
}

int NftSets::remove(std::span<const SetElement> elements) {
  const int error = remove_with(elements, true);
  if (error != ENFILE) return error;
  // The set is full of others', so one of these has run out already.
  for (const SetElement& element : elements) {
    const int one = remove_with({&element, 1}, false);
    if (one != 0 && one != ENOENT) return one;
  }
  return 0;
}

int NftSets::remove_with(std::span<const SetElement> elements, bool add_first) {
  if (elements.empty()) return 0;
  std::vector<TimedElement> timed;
  for (const SetElement& element : elements) timed.push_back({element, std::chrono::seconds(1)});
  const uint32_t sequence = ++sequence_;
  std::string batch;
  if (add_first) append_elements(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, timed, sequence);
  append_elements(batch, NFT_MSG_DELSETELEM, NLM_F_ACK, timed, sequence);
  return send_batch(batch, sequence);
}

int NftSets::send_batch(const std::string& messages, uint32_t sequence) {
  return ask(batch_border(NFNL_MSG_BATCH_BEGIN, sequence) + messages +
                 batch_border(NFNL_MSG_BATCH_END, sequence),
             sequence, [](const nlmsghdr&) {});
}

// Sends a request and hands `take` the messages of the answer. EINTR: what was listed changed
// meanwhile.
template <typename Take>
int NftSets::ask(const std::string& request, uint32_t sequence, const Take& take) {
  std::string bytes = request;
  errno = 0;
  if (nl_sendto(socket_.get(), bytes.data(), bytes.size()) < 0) return errno != 0 ? errno : EIO;
  std::optional<int> answer;
  bool interrupted = false;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const Receipt receipt = receive(socket_, [&](const nlmsghdr& message) {
      if (message.nlmsg_seq != sequence) return;
      if ((message.nlmsg_flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (message.nlmsg_type == NLMSG_ERROR &&
          nlmsg_valid_hdr(&message, sizeof(nlmsgerr))) {
        const int error = -static_cast<const nlmsgerr*>(nlmsg_data(&message))->error;
        if (!answer || *answer == 0) answer = error;
      } else if (message.nlmsg_type == NLMSG_DONE) {
        if (!answer) answer = 0;
      } else {
        take(message);
      }
    });
    if (receipt == Receipt::kLost) return ENOBUFS;
    if (receipt == Receipt::kNothing) break;
  }
  return interrupted ? EINTR : answer.value_or(ENOBUFS);
}

Result<NftSets::Description, int> NftSets::describe(const SetName& set) {
  const uint32_t sequence = ++sequence_;
  Message message(nft_type(NFT_MSG_GETSET), NLM_F_REQUEST | NLM_F_ACK, set.family, sequence);
  message.put(NFTA_SET_TABLE, set.table);
  message.put(NFTA_SET_NAME, set.set);
  Description description;
  const int error = ask(message.bytes(), sequence, [&](const nlmsghdr& answer) {
    description = description_of(answer);
  });
  if (error != 0) return error;
  return description;
}

Result<std::optional<NftSets::Found>, int> NftSets::find(const SetElement& element) {
  const uint32_t sequence = ++sequence_;
  const TimedElement wanted{element, {}};
  std::vector<Found> found;
  const int error =
      ask(element_message(NFT_MSG_GETSETELEM, NLM_F_ACK, element.set, {&wanted, 1}, sequence),
          sequence, [&](const nlmsghdr& answer) { take_elements(answer, found); });
  if (error == ENOENT) {
    // Of the set, or of the element.
    if (const auto set = describe(element.set); !set) return set.error();
    return std::optional<Found>();
  }
  if (error != 0) return error;
  if (found.empty()) return std::optional<Found>();
  return std::optional<Found>(std::move(found.front()));
}

Result<std::vector<NftSets::Found>, int> NftSets::list(const SetName& set) {
  for (int dumps = 0; dumps < kMostDumps; ++dumps) {
    const uint32_t sequence = ++sequence_;
    Message message(nft_type(NFT_MSG_GETSETELEM), NLM_F_REQUEST | NLM_F_DUMP, set.family, sequence);
    message.put(NFTA_SET_ELEM_LIST_TABLE, set.table);
    message.put(NFTA_SET_ELEM_LIST_SET, set.set);
    std::vector<Found> found;
    const int error = ask(message.bytes(), sequence,
                          [&](const nlmsghdr& answer) { take_elements(answer, found); });
    if (error == 0) return found;
    if (error != EINTR) return error;
  }
  return EINTR;
}

Result<std::string, int> NftSets::picture(const std::string& inet_table,
                                          const std::vector<std::string>& fixed_sets) {
  constexpr auto kFamily = TableFamily::kInet;
  std::string picture;
  // Of each kind the first attribute is the table's name (NFTA_TABLE_NAME, NFTA_CHAIN_TABLE ...).
  for (const int type : {NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETRULE}) {
    const bool is_table = type == NFT_MSG_GETTABLE;
    const uint32_t sequence = ++sequence_;
    Message message(nft_type(type), NLM_F_REQUEST | (is_table ? NLM_F_ACK : NLM_F_DUMP), kFamily,
                    sequence);
    message.put(NFTA_TABLE_NAME, inet_table);
    const int error = ask(message.bytes(), sequence, [&](const nlmsghdr& answer) {
      if (text_of(find_in(answer, NFTA_TABLE_NAME)) == inet_table) picture += attributes_of(answer);
    });
    if (error != 0) return error;
  }
  for (const std::string& name : fixed_sets) {
    auto elements = list({kFamily, inet_table, name});
    if (!elements) return elements.error();
    std::ranges::sort(*elements, {}, &Found::key);
    for (const Found& element : *elements) picture += element.key;
    picture += ';';
  }
  return picture;
}

Result<RulesetMonitor> RulesetMonitor::create(uint32_t own_port) {
  auto socket = open_netlink_socket(NETLINK_NETFILTER);
  if (!socket) return socket.error();
  // Each change ends with one such message; those of thousands of elements would fill the socket.
  // Numbers are in the machine's order there, and in the network's to a filter.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(nlmsghdr, nlmsg_type)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(nft_type(NFT_MSG_NEWGEN)), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(own_port), 1, 0),
      BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog filter{static_cast<unsigned short>(std::size(code)), code};
  const int fd = nl_socket_get_fd(socket->get());
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0) {
    return netlink_fault("netlink: cannot filter ruleset changes");
  }
  if (nl_socket_add_memberships(socket->get(), NFNLGRP_NFTABLES, 0) < 0) {
    return netlink_fault("netlink: cannot subscribe to ruleset changes");
  }
  return RulesetMonitor(*std::move(socket));
}

int RulesetMonitor::fd() const { return nl_socket_get_fd(socket_.get()); }

bool RulesetMonitor::read() {
  bool changed = false;
  for (int reads = 0; reads < kMostReads; ++reads) {
    const Receipt receipt = receive(socket_, [&](const nlmsghdr&) { changed = true; });
    if (receipt == Receipt::kNothing) break;
    if (receipt == Receipt::kLost) changed = true;
  }
  return changed;
}

}  // namespace knockd
