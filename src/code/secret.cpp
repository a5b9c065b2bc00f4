// SPDX-License-Identifier: MIT
#include "knockd/code/secret.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <algorithm>

#include "knockd/base/text.h"

#ifdef KNOCKD_CODES
#include <oath.h>
#endif

namespace knockd {
namespace {

// The two counters of id(), far from those of codes.
constexpr uint64_t kIdCounter = uint64_t{1} << 41;
constexpr size_t kIdDigits = 16;

#ifdef KNOCKD_CODES

constexpr size_t kDrawnBytes = 20;

// The text in capitals, without blanks and final "="; empty if it is not base32.
std::string plain_base32(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());  // a single copy, erased later
  for (const char c : text.substr(0, text.find_last_not_of("= \t\r") + 1)) {
    if (c == ' ' || c == '\t') continue;
    const char capital = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (!(capital >= 'A' && capital <= 'Z') && !(capital >= '2' && capital <= '7')) {
      wipe(plain);
      return {};
    }
    plain += capital;
  }
  return plain;
}

Fault expected_secret() {
  return {format("expected a secret of %zu to %zu bytes in base32 (letters and the digits 2 to 7)",
                 Secret::kLeastBytes, Secret::kMostBytes)};
}

#else

Fault without_liboath() { return {"this program was built without liboath: expected no secrets"}; }

#endif

}  // namespace

void wipe(std::string& text) {
  text.resize(text.capacity());
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

Secret::~Secret() { ::explicit_bzero(this, sizeof(*this)); }

std::string Secret::id() const {
  return format("%08u%08u", hotp(kIdCounter, 8), hotp(kIdCounter + 1, 8));
}

bool Secret::is_id(std::string_view text) {
  return text.size() == kIdDigits && text.find_first_not_of("0123456789") == text.npos;
}

#ifdef KNOCKD_CODES

Result<Secret> Secret::parse(std::string_view base32) {
  std::string plain = plain_base32(base32);
  char* bytes = nullptr;
  size_t size = 0;
  const int result = oath_base32_decode(plain.data(), plain.size(), &bytes, &size);
  wipe(plain);
  if (result != OATH_OK) return expected_secret();
  Secret secret;
  const bool fits = size >= kLeastBytes && size <= kMostBytes;
  if (fits) std::copy_n(bytes, size, secret.bytes_.begin());
  secret.size_ = size;
  ::explicit_bzero(bytes, size);
  ::free(bytes);
  if (!fits) return expected_secret();
  return secret;
}

Result<Secret> Secret::draw() {
  Secret secret;
  if (::getrandom(secret.bytes_.data(), kDrawnBytes, 0) != ssize_t{kDrawnBytes}) {
    return fault_of("getrandom");
  }
  secret.size_ = kDrawnBytes;
  return secret;
}

std::string Secret::base32() const {
  char* encoded = nullptr;
  size_t size = 0;
  if (oath_base32_encode(bytes_.data(), size_, &encoded, &size) != OATH_OK) return {};
  const std::string_view text(encoded, size);
  std::string result(text.substr(0, text.find_last_not_of('=') + 1));
  ::explicit_bzero(encoded, size);
  ::free(encoded);
  return result;
}

uint32_t Secret::hotp(uint64_t counter, unsigned digits) const {
  char text[16] = "0";
  // Fails only without memory.
  if (oath_hotp_generate(bytes_.data(), size_, counter, digits, false, OATH_HOTP_DYNAMIC_TRUNCATION,
                         text) != OATH_OK) {
    ::abort();
  }
  return static_cast<uint32_t>(parse_number(text, 99999999).value_or(0));
}

#else

Result<Secret> Secret::parse(std::string_view) { return without_liboath(); }
Result<Secret> Secret::draw() { return without_liboath(); }
std::string Secret::base32() const { return {}; }
uint32_t Secret::hotp(uint64_t, unsigned) const { return 0; }

#endif

}  // namespace knockd
