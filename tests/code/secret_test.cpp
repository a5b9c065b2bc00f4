// SPDX-License-Identifier: MIT
#include "knockd/code/secret.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <new>
#include <utility>

#include "tests/code/oathtool.h"

namespace knockd {
namespace {

#ifdef KNOCKD_CODES

// "12345678901234567890", the key of both RFCs.
constexpr const char* kRfc = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

TEST(SecretTest, HotpOfRfc4226) {
  const auto secret = Secret::parse(kRfc);
  ASSERT_TRUE(secret);
  constexpr uint32_t kValues[] = {755224, 287082, 359152, 969429, 338314,
                                  254676, 287922, 162583, 399871, 520489};
  for (uint64_t counter = 0; counter < 10; ++counter) {
    EXPECT_EQ(secret->hotp(counter, 6), kValues[counter]) << counter;
  }
}

TEST(SecretTest, TotpOfRfc6238) {
  const auto secret = Secret::parse(kRfc);
  ASSERT_TRUE(secret);
  constexpr std::pair<uint64_t, uint32_t> kValues[] = {
      {59, 94287082},         {1111111109, 7081804},  {1111111111, 14050471},
      {1234567890, 89005924}, {2000000000, 69279037}, {20000000000, 65353130}};
  for (const auto& [time, value] : kValues) EXPECT_EQ(secret->hotp(time / 30, 8), value) << time;
}

TEST(SecretTest, TextForms) {
  const auto plain = Secret::parse("JBSWY3DPEHPK3PXPJBSWY3DPEE");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->base32(), "JBSWY3DPEHPK3PXPJBSWY3DPEE");
  for (const char* text : {"jbswy3dpehpk3pxpjbswy3dpee", "JBSW Y3DP EHPK 3PXP JBSW Y3DP EE",
                           "JBSWY3DPEHPK3PXPJBSWY3DPEE======", "JBSWY3DPEHPK3PXPJBSWY3DPEE ======",
                           " jbsw\ty3dp ehpk 3pxp jbsw y3dp ee ="}) {
    const auto secret = Secret::parse(text);
    ASSERT_TRUE(secret) << text;
    EXPECT_EQ(*secret, *plain) << text;
  }
}

TEST(SecretTest, Lengths) {
  EXPECT_TRUE(Secret::parse(std::string(26, 'A')));   // 16 bytes
  EXPECT_TRUE(Secret::parse(std::string(103, 'A')));  // 64 bytes
  for (const size_t letters : std::initializer_list<size_t>{0, 1, 8, 24, 25, 104, 105, 4000}) {
    EXPECT_FALSE(Secret::parse(std::string(letters, 'A'))) << letters;
  }
}

TEST(SecretTest, FaultyTextIsNotQuoted) {
  for (const char* text :
       {"", "=", "JBSWY3DPEHPK3PXPJBSWY3DPE1", "JBSWY3DPEHPK3PXPJBSWY3DPE0",
        "JBSWY3DP=EHPK3PXPJBSWY3DPEE", "JBSWY3DPEHPK3PXPJBSWY3DP-EE",
        "JBSWY3DPEHPK3PXPJBSWY3DPE\xc3", "12345678901234567890", "JBSWY3DPEHPK3PXP"}) {
    const auto secret = Secret::parse(text);
    ASSERT_FALSE(secret) << text;
    EXPECT_EQ(secret.error().text,
              "expected a secret of 16 to 64 bytes in base32 (letters and the digits 2 to 7)");
  }
}

TEST(SecretTest, DrawnSecretsDiffer) {
  const auto one = Secret::draw();
  const auto other = Secret::draw();
  ASSERT_TRUE(one && other);
  EXPECT_FALSE(*one == *other);
  EXPECT_EQ(one->base32().size(), 32u);
  const auto again = Secret::parse(one->base32());
  ASSERT_TRUE(again);
  EXPECT_EQ(*again, *one);
}

TEST(SecretTest, IdConsistsOfTwoHotpValues) {
  const auto secret = Secret::parse(kRfc);
  ASSERT_TRUE(secret);
  EXPECT_EQ(secret->id(), "6035611478589502");
}

TEST(SecretTest, IdsAreKnownByTheirForm) {
  EXPECT_TRUE(Secret::is_id("0000000000000000"));
  EXPECT_TRUE(Secret::is_id("6035611478589502"));
  for (const char* const text : {"", "603561147858950", "60356114785895022", "603561147858950x",
                                 "-035611478589502", " 035611478589502"}) {
    EXPECT_FALSE(Secret::is_id(text)) << text;
  }
}

TEST(SecretTest, LeavesNothingInMemory) {
  const auto secret = Secret::parse(kRfc);
  ASSERT_TRUE(secret);
  alignas(Secret) unsigned char memory[sizeof(Secret)];
  auto* const copy = new (memory) Secret(*secret);
  EXPECT_NE(memmem(memory, sizeof(memory), "12345678901234567890", 20), nullptr);
  copy->~Secret();
  // The compiler must not assume the content.
  asm volatile("" : : "r"(memory) : "memory");
  for (const unsigned char byte : memory) EXPECT_EQ(byte, 0);
}

TEST(SecretTest, WipedTextIsGone) {
  std::string text(100, 'A');
  text.resize(40);
  const char* const bytes = text.data();
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), bytes);
  EXPECT_EQ(std::count(bytes, bytes + 40, 'A'), 0);
}

TEST(SecretTest, AgreesWithOathtool) {
  if (!have_oathtool()) GTEST_SKIP() << "oathtool is not installed";
  for (int i = 0; i < 5; ++i) {
    const auto secret = Secret::draw();
    ASSERT_TRUE(secret);
    for (const uint64_t counter : {uint64_t{0}, uint64_t{58826666}, uint64_t{1} << 40,
                                   (uint64_t{1} << 40) + 470613335, uint64_t{1} << 41}) {
      for (const unsigned digits : {6u, 7u, 8u}) {
        const std::string value = oathtool(secret->base32(), counter, digits);
        EXPECT_EQ(parse_number(value, 99999999), secret->hotp(counter, digits))
            << value << " at " << counter;
      }
    }
    EXPECT_EQ(secret->id(), oathtool(secret->base32(), uint64_t{1} << 41, 8) +
                                oathtool(secret->base32(), (uint64_t{1} << 41) + 1, 8));
  }
}

#else

TEST(SecretTest, ReportsThatLiboathIsMissing) {
  const auto secret = Secret::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().text, "this program was built without liboath: expected no secrets");
  EXPECT_FALSE(Secret::draw());
}

#endif

}  // namespace
}  // namespace knockd
