// SPDX-License-Identifier: MIT
#include "knockd/code/code_ports.h"

#include <gtest/gtest.h>

#include "tests/base/temporary_folder.h"
#include "tests/code/oathtool.h"

#ifdef KNOCKD_CODES

namespace knockd {
namespace {

using Ports = std::array<uint16_t, kMostCodePlaces>;

constexpr const char* kRfc = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

Ports ports_at(const char* sequence, Step step, bool is_v4 = true) {
  const auto coded = parse_coded_sequence(sequence);
  return code_ports(*Secret::parse(kRfc), std::get<CodedSequence>(coded), step, is_v4);
}

TEST(CodePortsTest, TypedPlacesAreDigitPairsOfTheCode) {
  // 94287082, 07081804 and 287082: RFC 6238, appendix B, and RFC 4226, appendix D.
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx,403xx", 1), (Ports{40094, 40128, 40270, 40382}));
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx,403xx", 1111111109 / 30),
            (Ports{40007, 40108, 40218, 40304}));
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx", 1), (Ports{40028, 40170, 40282, 0}));
  EXPECT_EQ(ports_at("7000,403xx,8000:udp,12xx,9xx", 1), (Ports{40328, 1270, 982, 0}));
}

TEST(CodePortsTest, TypedPlacesAreTheSameOverBothFamilies) {
  EXPECT_EQ(ports_at("7000,400xx,401xx,402xx", 1, false), ports_at("7000,400xx,401xx,402xx", 1));
}

TEST(CodePortsTest, ComputedPlacesDoNotDependOnWhereTheyStand) {
  const Ports four = ports_at("totp,totp,totp,totp", 58826666);
  EXPECT_EQ(ports_at("7000,totp,8000:udp,totp", 58826666), (Ports{four[0], four[1], 0, 0}));
  EXPECT_NE(ports_at("totp,totp,totp,totp", 58826666, false), four);
  EXPECT_NE(ports_at("totp,totp,totp,totp", 58826667), four);
}

TEST(CodePortsTest, PlainSequenceHasNoCodePorts) { EXPECT_EQ(ports_at("7000,8000", 1), Ports{}); }

TEST(CodePortsTest, ComputedPortsAreAbovePortsThatBrowsersBlock) {
  for (Step step = 0; step < 2000; ++step) {
    for (const uint16_t port : ports_at("totp,totp,totp,totp", step)) ASSERT_GE(port, 10081);
  }
}

TEST(CodePortsTest, ComputedPlacesAgreeWithOathtool) {
  if (!have_oathtool()) GTEST_SKIP() << "oathtool is not installed";
  for (const Step step : {Step{1}, Step{58826666}, Step{66666666}}) {
    for (const bool is_v4 : {true, false}) {
      const Ports ports = ports_at("7000,totp,totp,totp,totp", step, is_v4);
      for (size_t n = 0; n < ports.size(); ++n) {
        const uint64_t counter =
            (uint64_t{1} << 40) + 8 * static_cast<uint64_t>(step) + n + (is_v4 ? 0 : 4);
        const auto value = parse_number(oathtool(kRfc, counter, 8), 99999999);
        ASSERT_TRUE(value);
        EXPECT_EQ(ports[n], 10081 + *value % 55455) << step << ' ' << n;
      }
    }
  }
}

// A row of the table in docs/code-scheme.md.
struct Vector {
  std::string secret;
  Step step;
  std::string computed_v4, computed_v6, eight_digits, six_digits;
};

std::vector<Vector> documented_vectors() {
  const std::string page = read_file(KNOCKD_TEST_DATA "/../../docs/code-scheme.md");
  std::vector<Vector> vectors;
  for (const std::string_view line : split(page, '\n')) {
    if (!line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    for (const std::string_view cell : split(line, '|')) cells.emplace_back(trim(cell));
    const auto time = cells.size() == 8 ? parse_number(cells[2], UINT64_MAX / 10) : std::nullopt;
    if (!time) {
      ADD_FAILURE() << "not a row of vectors: " << line;
      continue;
    }
    vectors.push_back({cells[1].substr(1, cells[1].size() - 2), static_cast<Step>(*time / 30),
                       cells[3], cells[4], cells[5], cells[6]});
  }
  EXPECT_GE(vectors.size(), 10u);
  return vectors;
}

std::string text_of(const Ports& ports) {
  std::vector<std::string> words;
  for (const uint16_t port : ports) {
    if (port != 0) words.push_back(format("%u", port));
  }
  return join(words, " ");
}

TEST(CodeSchemePage, VectorsMatchTheImplementation) {
  const auto coded = [](const char* text) {
    return std::get<CodedSequence>(parse_coded_sequence(text));
  };
  const CodedSequence computed = coded("totp,totp,totp,totp");
  for (const Vector& row : documented_vectors()) {
    const auto secret = Secret::parse(row.secret);
    ASSERT_TRUE(secret) << row.secret;
    SCOPED_TRACE(row.secret + format(" %lld", static_cast<long long>(row.step)));
    EXPECT_EQ(text_of(code_ports(*secret, computed, row.step, true)), row.computed_v4);
    EXPECT_EQ(text_of(code_ports(*secret, computed, row.step, false)), row.computed_v6);
    EXPECT_EQ(text_of(code_ports(*secret, coded("1,400xx,401xx,402xx,403xx"), row.step, true)),
              row.eight_digits);
    EXPECT_EQ(text_of(code_ports(*secret, coded("1,400xx,401xx,402xx"), row.step, true)),
              row.six_digits);
  }
}

std::string typed_by_oathtool(const Vector& row, unsigned digits) {
  const std::string code = oathtool(row.secret, static_cast<uint64_t>(row.step), digits);
  std::vector<std::string> words;
  for (size_t n = 0; 2 * n + 1 < code.size(); ++n)
    words.push_back(format("40%zu", n) + code.substr(2 * n, 2));
  return join(words, " ");
}

std::string computed_by_oathtool(const Vector& row, uint64_t family) {
  std::vector<std::string> words;
  for (uint64_t n = 0; n < 4; ++n) {
    const uint64_t counter = 1099511627776 + 8 * static_cast<uint64_t>(row.step) + family + n;
    const auto value = parse_number(oathtool(row.secret, counter, 8), 99999999);
    words.push_back(
        format("%llu", static_cast<unsigned long long>(10081 + value.value_or(0) % 55455)));
  }
  return join(words, " ");
}

TEST(CodeSchemePage, VectorsMatchOathtool) {
  if (!have_oathtool()) GTEST_SKIP() << "oathtool is not installed";
  for (const Vector& row : documented_vectors()) {
    SCOPED_TRACE(row.secret + format(" %lld", static_cast<long long>(row.step)));
    EXPECT_EQ(computed_by_oathtool(row, 0), row.computed_v4);
    EXPECT_EQ(computed_by_oathtool(row, 4), row.computed_v6);
    EXPECT_EQ(typed_by_oathtool(row, 8), row.eight_digits);
    EXPECT_EQ(typed_by_oathtool(row, 6), row.six_digits);
  }
}

}  // namespace
}  // namespace knockd

#endif
