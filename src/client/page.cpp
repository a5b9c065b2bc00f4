// SPDX-License-Identifier: MIT
#include "knockd/client/page.h"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <iterator>
#include <utility>
#include <vector>

#include "knockd/base/text.h"
#include "knockd/net/address.h"

namespace knockd::client {
namespace {

// src/client/page.html; embed_page.cmake.
constexpr unsigned char kTemplate[] = {
#include "page_template.inc"
};

// Fetch standard, 2.9 (port blocking).
constexpr uint16_t kRefusedPorts[] = {
    1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,   25,   37,
    42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,  109,  110,
    111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,  389,  427,
    465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,  556,  563,
    587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080};

Failure usage_failure(std::string message) { return {ExitStatus::kUsage, std::move(message)}; }

// The host in the form of a URL, and its address family if known.
struct UrlHost {
  std::string text;
  Family family = Family::kAny;
};

// Browsers parse a name whose last label is a number as an IPv4 address.
bool is_name(std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string_view last = host.substr(host.rfind('.') + 1);
  const bool is_number = !last.empty() && last[0] >= '0' && last[0] <= '9' &&
                         (last.find_first_not_of("0123456789") == last.npos ||
                          last.substr(0, 2) == "0x" || last.substr(0, 2) == "0X");
  return !last.empty() && !is_number && host.size() <= 253 &&
         host.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
             "-_.") == host.npos;
}

OrFailure<UrlHost> url_host(const Handout& handout) {
  UrlHost host{handout.host, handout.family};
  if (const auto address = IpAddress::parse(handout.host)) {
    host.family = address->is_v4() ? Family::kV4 : Family::kV6;
    host.text = address->to_string();
    if (host.family == Family::kV6) host.text = "[" + host.text + "]";
    if (handout.family == Family::kAny || handout.family == host.family) return host;
    return usage_failure(host.text + ": -4 or -6 asks for the other family");
  }
  if (is_name(handout.host)) return host;
  return usage_failure(
      format("host \"%s\": expected an address, or a name of letters, digits, -, _ "
             "and . that a browser can look up",
             printable(handout.host).c_str()));
}

// Whether browsers refuse one of these ports.
bool are_refused(unsigned first, unsigned count) {
  return std::any_of(std::begin(kRefusedPorts), std::end(kRefusedPorts),
                     [&](unsigned port) { return port >= first && port < first + count; });
}

// Fails for knocks that no browser can send, and names them.
std::optional<Failure> refuse(const CodedSequence& coded) {
  std::vector<std::string> udp;
  std::vector<std::string> refused;
  for (size_t i = 0; i < coded.sequence.size(); ++i) {
    const Knock& knock = coded.sequence[i];
    const bool is_typed = coded.places.typed && coded.places.contains(i);
    if (knock.protocol == Protocol::kUdp) {
      udp.push_back(to_string(Sequence{knock}));
    } else if (are_refused(knock.port, is_typed ? kTypedPorts : 1)) {
      refused.push_back(is_typed ? format("ports of %uxx", knock.port / kTypedPorts)
                                 : format("port %u", knock.port));
    }
  }
  if (!udp.empty()) {
    return usage_failure("--page: a browser sends no udp knock: " + join(udp, ", "));
  }
  if (refused.empty()) return {};
  return usage_failure("--page: browsers refuse to connect to " + join(refused, ", "));
}

// For text and for attributes in quotes. The browser handles bytes that are not UTF-8.
std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const bool is_control = (c >= 0 && c < ' ') || c == 0x7f;
    escaped += c == '&'     ? "&amp;"
               : c == '<'   ? "&lt;"
               : c == '"'   ? "&quot;"
               : is_control ? "\uFFFD"
                            : std::string(1, c);
  }
  return escaped;
}

std::string escape_json(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c >= 0 && c < ' ' ? format("\\u%04x", c) : std::string(1, c);
  }
  return escaped;
}

// Computed ports differ by the family, which the browser chooses: so the page knocks at both
// families' ports.
const char* rounds(const CodePlaces& places, Family family) {
  if (family == Family::kV6) return "6";
  return places.empty() || places.typed || family == Family::kV4 ? "4" : "4,6";
}

// The template with its places filled in order.
std::string fill(std::initializer_list<std::string_view> values) {
  std::string_view rest(reinterpret_cast<const char*>(kTemplate), sizeof(kTemplate));
  std::string page;
  for (const std::string_view value : values) {
    const size_t open = rest.find("{{");
    page.append(rest.substr(0, open)).append(value);
    rest.remove_prefix(rest.find("}}", open) + 2);
  }
  return page.append(rest);
}

}  // namespace

OrFailure<std::string> knock_page(const Handout& handout) {
  const auto host = url_host(handout);
  if (!host) return host.error();
  if (auto failure = refuse(handout.sequence)) return std::move(*failure);
  const std::string name = escape_html(handout.name);
  // That policy has no syntax for an IPv6 address or a name with '_': a browser would ignore it and
  // then connect to nothing.
  const std::string sources =
      host->text.find_first_of("[_") != host->text.npos
          ? "ws: wss:"
          : format("ws://%s:* wss://%s:*", host->text.c_str(), host->text.c_str());
  return fill({sources, name, host->text, to_string(handout.sequence),
               rounds(handout.sequence.places, host->family), handout.secret, name, host->text,
               handout.secret.empty() ? "" : " It needs the right time on this device."});
}

OrFailure<std::string> knock_on_ports_file(const Handout& handout, Duration delay) {
  if (!handout.sequence.places.empty()) {
    return usage_failure("--export knockonports: the app computes no codes; try --page");
  }
  const char* const family = handout.family == Family::kV4   ? "only_ipv4"
                             : handout.family == Family::kV6 ? "only_ipv6"
                                                             : "both_ipv4_ipv6";
  std::vector<std::string> steps;
  for (const Knock& knock : handout.sequence.sequence) {
    steps.push_back(
        format(R"({"type":"%s","port":%u})", protocol_name(knock.protocol), knock.port));
  }
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(delay).count();
  return R"({"version":1,"sequences":[{"name":")" + escape_json(handout.name) + R"(","host":")" +
         escape_json(handout.host) +
         format(R"(","delay":%lld,"ipv":"%s","steps":[)", static_cast<long long>(milliseconds),
                family) +
         join(steps, ",") + "]}]}\n";
}

}  // namespace knockd::client
