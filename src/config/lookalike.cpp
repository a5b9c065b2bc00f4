// SPDX-License-Identifier: MIT
#include "knockd/config/lookalike.h"

#include <algorithm>
#include <iterator>

#include "knockd/base/text.h"
#include "knockd/base/utf8.h"

namespace knockd {
namespace {

struct Known {
  char32_t code;
  const char* name;
  const char* as;
};

// Names as in the Unicode Character Database.
constexpr Known kKnown[] = {
    {0xa0, "no-break space", " "},
    {0xab, "quotation mark", "\""},
    {0xad, "soft hyphen", ""},
    {0xb4, "acute accent", "'"},
    {0xbb, "quotation mark", "\""},
    {0x2010, "hyphen", "-"},
    {0x2011, "non-breaking hyphen", "-"},
    {0x2012, "figure dash", "-"},
    {0x2013, "en dash", "-"},
    {0x2014, "em dash", "-"},
    {0x2018, "quotation mark", "'"},
    {0x2019, "quotation mark", "'"},
    {0x201a, "quotation mark", "'"},
    {0x201c, "quotation mark", "\""},
    {0x201d, "quotation mark", "\""},
    {0x201e, "quotation mark", "\""},
    {0x2007, "figure space", " "},
    {0x2009, "thin space", " "},
    {0x200b, "zero width space", ""},
    {0x200c, "zero width non-joiner", ""},
    {0x200d, "zero width joiner", ""},
    {0x200e, "left-to-right mark", ""},
    {0x200f, "right-to-left mark", ""},
    {0x202f, "narrow no-break space", " "},
    {0x2060, "word joiner", ""},
    {0x2212, "minus sign", "-"},
    {0x3000, "ideographic space", " "},
    {0xfeff, "byte-order mark", ""},
    {0xff0c, "fullwidth comma", ","},
    {0xff1a, "fullwidth colon", ":"},
    {0xff1d, "fullwidth equals sign", "="},
};

}  // namespace

std::optional<Lookalike> find_lookalike(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      ++at;
      continue;
    }
    const auto character = first_character(text.substr(at));
    const size_t length = character ? character->length : 1;
    const auto* const known =
        std::find_if(std::begin(kKnown), std::end(kKnown),
                     [&](const Known& k) { return character && k.code == character->code; });
    if (known != std::end(kKnown)) {
      return Lookalike{at, length,
                       format("U+%04X (%s)", static_cast<unsigned>(known->code), known->name),
                       known->as};
    }
    at += length;
  }
  return std::nullopt;
}

std::string without_lookalikes(std::string_view text) {
  std::string result;
  while (const auto found = find_lookalike(text)) {
    result += text.substr(0, found->offset);
    result += found->as;
    text.remove_prefix(found->offset + found->length);
  }
  return result.append(text);
}

}  // namespace knockd
