// SPDX-License-Identifier: MIT
#include "knockd/knock/command_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace knockd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// All commands that may run now.
std::vector<uint64_t> take_all(CommandQueue& queue) {
  std::vector<uint64_t> commands;
  while (const auto command = queue.take()) commands.push_back(*command);
  return commands;
}

void add(CommandQueue& queue, LineNumber line, std::vector<uint64_t> commands) {
  for (const uint64_t command : commands) queue.add(line, command);
}

TEST(CommandQueue, CommandsOfALineRunInOrder) {
  CommandQueue queue(1, 2);
  add(queue, 1, {30, 10, 20, 40});
  EXPECT_THAT(take_all(queue), ElementsAre(30, 10, 20));
  EXPECT_EQ(queue.running(), 3u);
  EXPECT_EQ(queue.waiting(), 1u);
  queue.give_back(1);
  EXPECT_THAT(take_all(queue), ElementsAre(40));
}

TEST(CommandQueue, LineHasItsOwnPlace_WhenAllSharedPlacesAreInUse) {
  CommandQueue queue(2, 2);
  add(queue, 1, {10, 11, 12, 13});
  EXPECT_THAT(take_all(queue), ElementsAre(10, 11, 12));
  add(queue, 2, {20, 21});
  EXPECT_THAT(take_all(queue), ElementsAre(20));
}

TEST(CommandQueue, LinesWithoutOwnPlacesTakeTurns) {
  CommandQueue queue(2, 0);
  add(queue, 1, {10, 11});
  add(queue, 2, {20, 21});
  add(queue, 3, {30, 31});
  EXPECT_THAT(take_all(queue), ElementsAre(10, 20));
  queue.give_back(1);
  EXPECT_THAT(take_all(queue), ElementsAre(30));
  queue.give_back(2);
  EXPECT_THAT(take_all(queue), ElementsAre(11));
  queue.give_back(3);
  EXPECT_THAT(take_all(queue), ElementsAre(21));
}

TEST(CommandQueue, SharedPlaceGoesToTheLineWithTheFewestRunning) {
  CommandQueue queue(0, 3);
  add(queue, 1, {10, 11, 12});
  EXPECT_THAT(take_all(queue), ElementsAre(10, 11, 12));
  add(queue, 1, {13});
  add(queue, 2, {20});
  queue.give_back(1);
  EXPECT_THAT(take_all(queue), ElementsAre(20));
}

TEST(CommandQueue, LinesWithEquallyManyTakeTurns) {
  CommandQueue queue(0, 1);
  add(queue, 1, {10, 11});
  add(queue, 2, {20, 21});
  std::vector<uint64_t> order;
  for (LineNumber line : {1u, 2u, 1u, 2u}) {
    for (const uint64_t command : take_all(queue)) order.push_back(command);
    queue.give_back(line);
  }
  EXPECT_THAT(order, ElementsAre(10, 20, 11, 21));
}

TEST(CommandQueue, WithdrawnCommandDoesNotRun) {
  CommandQueue queue(1, 0);
  add(queue, 1, {10, 11, 12});
  queue.remove(1, 10);
  queue.remove(1, 12);
  EXPECT_THAT(take_all(queue), ElementsAre(11));
  queue.give_back(1);
  EXPECT_THAT(take_all(queue), IsEmpty());
  EXPECT_EQ(queue.running() + queue.waiting(), 0u);
}

TEST(CommandQueue, NextLineIsTheNextInTurn) {
  CommandQueue queue(1, 0);
  add(queue, 7, {70, 71});
  add(queue, 8, {80});
  EXPECT_THAT(take_all(queue), ElementsAre(70));
  EXPECT_EQ(queue.next_line(), 8u);
}

}  // namespace
}  // namespace knockd
