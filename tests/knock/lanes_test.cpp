// SPDX-License-Identifier: MIT
#include "knockd/knock/lanes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace knockd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Part = Lanes::Part;

const Lane kLane{1, *IpAddress::parse("192.0.2.7")};
const Lane kOtherSource{1, *IpAddress::parse("192.0.2.8")};
const Lane kOtherDoor{2, *IpAddress::parse("192.0.2.7")};

TEST(Lanes, EachDoorAndSourceHasItsOwn) {
  Lanes lanes;
  lanes.add(kLane, Part::kRest, 2);
  lanes.add(kOtherSource, Part::kRest, 1);
  lanes.add(kOtherDoor, Part::kStops, 3);
  EXPECT_EQ(lanes.oldest(kLane, Part::kRest), 2);
  EXPECT_EQ(lanes.oldest(kLane, Part::kStops), std::nullopt);
  EXPECT_THAT(lanes.all_of(kOtherDoor), ElementsAre(3));
}

TEST(Lanes, OldestComesFirst_InThePartWhereItStands) {
  Lanes lanes;
  for (const uint64_t id : {3U, 1U, 2U}) lanes.add(kLane, Part::kStarts, id);
  lanes.move(kLane, Part::kStarts, Part::kBusy, 1);
  EXPECT_EQ(lanes.oldest(kLane, Part::kBusy), 1);
  EXPECT_EQ(lanes.oldest(kLane, Part::kStarts), 2);
  EXPECT_THAT(lanes.all_of(kLane), ElementsAre(1, 2, 3));
  lanes.remove(kLane, Part::kBusy, 1);
  EXPECT_EQ(lanes.oldest(kLane, Part::kBusy), std::nullopt);
}

TEST(Lanes, OlderOnesAreVisited_TheYoungestFirst_UntilItIsEnough) {
  Lanes lanes;
  for (const uint64_t id : {1U, 2U, 3U, 4U}) lanes.add(kLane, Part::kRest, id);
  lanes.add(kLane, Part::kBusy, 5);
  const auto visited = [&](Part part, uint64_t before, size_t most) {
    std::vector<uint64_t> ids;
    lanes.visit_older(kLane, part, before, [&](uint64_t id) {
      ids.push_back(id);
      return ids.size() < most;
    });
    return ids;
  };
  EXPECT_THAT(visited(Part::kRest, 4, 9), ElementsAre(3, 2, 1));
  EXPECT_THAT(visited(Part::kRest, 4, 2), ElementsAre(3, 2));
  EXPECT_THAT(visited(Part::kStarts, 4, 9), IsEmpty());
  EXPECT_THAT(visited(Part::kBusy, 9, 9), ElementsAre(5));
}

}  // namespace
}  // namespace knockd
