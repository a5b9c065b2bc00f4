// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "knockd/base/crc32c.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/faulty_calls.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";

// One life of the daemon, as far as the state file sees it: it opens doors, closes them, and ends
// without a word when the object goes.
struct Life {
  OpenDoors doors;
  FaultyCalls calls;
  Moment now{.boot = Instant(1000s)};
  StateFile file;
  std::vector<OpenDoor> recovered;
  std::vector<std::string> complaints;

  explicit Life(const std::string& path) : file(path, kBoot, doors, calls) {}

  void start() {
    recovered = file.open(now);
    for (const OpenDoor& door : recovered) doors.open(door);
    listen();
  }
  bool open(uint64_t id, Duration time = 10s, const std::string& stop = "close it") {
    open_unrecorded(id, time, stop);
    const bool kept = file.opened(*doors.find(id), now);
    listen();
    return kept;
  }
  void open_unrecorded(uint64_t id, Duration time = 10s, const std::string& stop = "close it") {
    OpenDoor door;
    door.id = id;
    door.door = "door";
    door.source = *IpAddress::parse("192.0.2.1");
    door.interface = "eth0";
    door.stop_command = stop;
    door.deadline = now.boot + time;
    doors.open(door);
  }
  bool extend(uint64_t id, Duration time) {
    doors.extend(id, now.boot + time);
    const bool kept = file.extended(*doors.find(id), now);
    listen();
    return kept;
  }
  bool close(uint64_t id) {
    const OpenDoor door = *doors.find(id);
    doors.closed(id);
    const bool kept = file.closed(door, now);
    listen();
    return kept;
  }
  void after(Duration time) { now.boot += time; }
  void fail_from_now_on(int error) {
    calls.first_fault = calls.calls + 1;
    calls.error = error;
  }
  void heal() { calls.first_fault = FaultyCalls::kNever; }

 private:
  void listen() {
    for (std::string& line : file.take_complaints()) complaints.push_back(std::move(line));
  }
};

class StateFileTest : public testing::Test {
 protected:
  // What the next start would take up: the ends of the doors' stop commands.
  std::vector<std::string> next_start() {
    Life next(path);
    next.start();
    std::vector<std::string> stops;
    for (const OpenDoor& door : next.recovered) stops.push_back(door.stop_command);
    return stops;
  }

  mode_t mode(const std::string& of) {
    struct stat status {};
    return stat(of.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }

  TemporaryFolder folder;
  const std::string path = folder / "lib/knockd/open-doors";
};

TEST_F(StateFileTest, MakesItsFolderAndFileForItselfAlone) {
  const mode_t old = umask(0);
  Life run(path);
  run.start();
  umask(old);
  EXPECT_THAT(run.recovered, IsEmpty());
  EXPECT_THAT(run.complaints, IsEmpty());
  EXPECT_EQ(mode(path), 0600u);
  EXPECT_EQ(mode(folder / "lib/knockd"), 0700u);
  EXPECT_EQ(mode(folder / "lib"), 0755u);
}

TEST_F(StateFileTest, TheNextStartTakesUpWhatIsOpen) {
  {
    Life run(path);
    run.start();
    EXPECT_TRUE(run.open(1, 10s, "one"));
    EXPECT_TRUE(run.open(2, 20s, "two"));
    EXPECT_TRUE(run.open(3, 30s, "three"));
    EXPECT_TRUE(run.close(2));
    EXPECT_TRUE(run.extend(1, 60s));
  }
  Life next(path);
  next.after(5s);
  next.start();
  ASSERT_THAT(next.recovered, SizeIs(2));
  EXPECT_EQ(next.recovered[0].stop_command, "one");
  EXPECT_EQ(next.recovered[0].deadline, next.now.boot + 55s);
  EXPECT_EQ(next.recovered[0].source.to_string(), "192.0.2.1");
  EXPECT_EQ(next.recovered[0].interface, "eth0");
  EXPECT_EQ(next.recovered[1].stop_command, "three");
  EXPECT_EQ(next.recovered[1].deadline, next.now.boot + 25s);
}

TEST_F(StateFileTest, TakesUpDoorsAgainAndAgain) {
  {
    Life run(path);
    run.start();
    run.open(9, 10s, "nine");
  }
  for (int start = 0; start < 5; ++start) EXPECT_THAT(next_start(), ElementsAre("nine"));
  Life last(path);
  last.start();
  last.close(1);  // its number now
  EXPECT_THAT(next_start(), IsEmpty());
}

TEST_F(StateFileTest, IsOnDiskBeforeTheCallReturns_AClosingOnlyWritten) {
  Life run(path);
  run.start();
  const int before = run.calls.calls;
  run.open(1);
  EXPECT_EQ(run.calls.calls - before, 3) << "fstat, write, fdatasync";
  run.close(1);
  EXPECT_EQ(run.calls.calls - before, 5) << "fstat, write";
}

TEST_F(StateFileTest, StaysSmall_HoweverManyDoorsCameAndWent) {
  Life run(path);
  run.start();
  run.open(1, 10s, "stays");
  for (uint64_t id = 2; id < 5000; ++id) {
    run.open(id, 10s, std::string(200, 'x'));
    run.close(id);
  }
  EXPECT_LT(std::filesystem::file_size(path), 100'000u);
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_EQ(mode(path), 0600u);
  EXPECT_THAT(next_start(), ElementsAre("stays"));
}

TEST_F(StateFileTest, ManyDoorsAreWrittenAnewSeldom) {
  Life run(path);
  run.start();
  for (uint64_t id = 1; id <= 10'000; ++id) run.open_unrecorded(id);
  run.open(10'001);
  const int before = run.calls.calls;
  for (uint64_t id = 10'002; id <= 11'000; ++id) run.open(id);
  EXPECT_EQ(run.calls.calls - before, 3 * 999) << "nothing but appending";
}

// --- what must not be touched
// ----------------------------------------------------------------------

class RefusedTest : public StateFileTest {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder / "lib/knockd"); }
  // Goes on without, saying why once; what stands there remains.
  void expect_refused(const std::string& why) {
    Life run(path);
    run.start();
    EXPECT_THAT(run.recovered, IsEmpty());
    EXPECT_FALSE(run.open(1));
    EXPECT_FALSE(run.close(1));
    ASSERT_THAT(run.complaints, SizeIs(1));
    EXPECT_THAT(run.complaints[0], HasSubstr(path));
    EXPECT_THAT(run.complaints[0], HasSubstr(why));
  }
};

TEST_F(RefusedTest, ALink) {
  write_file(folder / "target", "");
  std::filesystem::create_symlink(folder / "target", path);
  expect_refused("is a symbolic link");
  EXPECT_EQ(read_file(folder / "target"), "");
}

TEST_F(RefusedTest, AFileThatOthersCanWrite) {
  for (const mode_t open_to : {0620u, 0602u, 0666u}) {
    write_file(path, "");
    chmod(path.c_str(), open_to);
    expect_refused("can be written by others");
  }
}

TEST_F(RefusedTest, AFileOfSomeoneElse) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write_file(path, "");
  chmod(path.c_str(), 0600);
  ASSERT_EQ(chown(path.c_str(), 12345, 12345), 0);
  expect_refused("belongs to user 12345");
}

TEST_F(RefusedTest, AFolder) {
  std::filesystem::create_directory(path);
  expect_refused("cannot be opened");
}

TEST_F(RefusedTest, APipe) {
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  expect_refused("is not a regular file");
}

TEST_F(RefusedTest, AFileOfAnotherProgram) {
  write_file(path, "root:x:0:0\n");
  chmod(path.c_str(), 0600);
  expect_refused("is no state file");
  EXPECT_EQ(read_file(path), "root:x:0:0\n");
}

TEST_F(RefusedTest, AFileThatAnotherDaemonUses) {
  int ready[2];
  int done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t other = fork();
  if (other == 0) {
    Life run(path);
    run.start();
    run.open(1, 10s, "theirs");
    for (uint64_t id = 2; id < 500; ++id) {  // writes the file anew more than once
      run.open(id, 10s, std::string(1000, 'x'));
      run.close(id);
    }
    const char byte = 'r';
    _exit(write(ready[1], &byte, 1) == 1 && read(done[0], &ready[0], 1) == 1 ? 0 : 1);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  expect_refused("is in use by another knockd");
  ASSERT_EQ(write(done[1], &byte, 1), 1);
  int status = 0;
  waitpid(other, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(next_start(), ElementsAre("theirs")) << "free as soon as its owner is gone";
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) close(fd);
}

TEST_F(StateFileTest, WithoutAPathNothingIsKeptAndNothingSaid) {
  Life run("");
  run.start();
  EXPECT_FALSE(run.open(1));
  EXPECT_THAT(run.complaints, IsEmpty());
  EXPECT_EQ(run.calls.calls, 0);
}

// --- damage
// ---------------------------------------------------------------------------------------

TEST_F(StateFileTest, ADamagedFileGivesWhatCanBeRead_AndSaysSo) {
  {
    Life run(path);
    run.start();
    run.open(1, 10s, "one");
    run.open(2, 10s, "two");
  }
  std::string bytes = read_file(path);
  bytes.resize(bytes.size() - 5);
  write_file(path, bytes);
  Life next(path);
  next.start();
  EXPECT_THAT(next.recovered, SizeIs(1));
  EXPECT_THAT(next.complaints, ElementsAre(HasSubstr("is damaged")));
  EXPECT_THAT(next_start(), ElementsAre("one"));
}

TEST_F(StateFileTest, AnotherVersionIsSetAside_NotOverwritten) {
  std::filesystem::create_directories(folder / "lib/knockd");
  std::string whole = std::string("KNOCKDOD\0\0\0\3", 12) + std::string(36, 'b');
  const uint32_t crc = crc32c({reinterpret_cast<const uint8_t*>(whole.data()), whole.size()});
  for (int shift = 24; shift >= 0; shift -= 8) whole += static_cast<char>(crc >> shift);
  write_file(path, whole);
  chmod(path.c_str(), 0600);
  write_file(path + ".set-aside.1", "an earlier one");
  Life run(path);
  run.start();
  EXPECT_THAT(run.recovered, IsEmpty());
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("is of version 3"), HasSubstr("set-aside.2")));
  EXPECT_EQ(read_file(path + ".set-aside.2"), whole);
  EXPECT_EQ(read_file(path + ".set-aside.1"), "an earlier one");
  EXPECT_TRUE(run.open(1, 10s, "mine"));
  EXPECT_THAT(next_start(), ElementsAre("mine"));
}

TEST_F(StateFileTest, WhatACrashWhileWritingAnewLeftIsNoHindrance) {
  std::filesystem::create_directories(folder / "lib/knockd");
  write_file(path + ".new", "half a file");
  Life run(path);
  run.start();
  EXPECT_TRUE(run.open(1));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(StateFileTest, ANewFileNeverGoesThroughALinkLaidForIt) {
  std::filesystem::create_directories(folder / "lib/knockd");
  write_file(folder / "victim", "precious");
  std::filesystem::create_symlink(folder / "victim", path + ".new");
  Life run(path);
  run.start();
  EXPECT_TRUE(run.open(1));
  EXPECT_EQ(read_file(folder / "victim"), "precious");
}

TEST_F(StateFileTest, AFileThatIsTakenAwayIsWrittenAnew) {
  Life run(path);
  run.start();
  run.open(1, 10s, "one");
  std::filesystem::remove_all(folder / "lib");
  EXPECT_TRUE(run.open(2, 10s, "two"));
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("taken away")));
  EXPECT_THAT(next_start(), ElementsAre("one", "two"));
}

// --- faults
// ---------------------------------------------------------------------------------------

TEST_F(StateFileTest, ALastingFaultIsToldOnce_AndItsEndOnce_AndNothingIsLost) {
  Life run(path);
  run.start();
  run.open(1, 10s, "one");
  run.fail_from_now_on(ENOSPC);
  for (uint64_t id = 2; id <= 20; ++id) {
    EXPECT_FALSE(run.open(id, 10s, "later"));
    if (id > 2) {
      EXPECT_FALSE(run.close(id));
    }
    run.after(1s);
  }
  ASSERT_THAT(run.complaints, SizeIs(1));
  EXPECT_THAT(run.complaints[0], HasSubstr("No space left on device"));
  EXPECT_THAT(run.complaints[0], HasSubstr("in memory alone"));
  run.heal();
  EXPECT_TRUE(run.open(30, 10s, "thirty"));
  EXPECT_THAT(run.complaints, ElementsAre(testing::_, HasSubstr("is written again")));
  EXPECT_THAT(next_start(), ElementsAre("one", "later", "thirty"));
}

TEST_F(StateFileTest, AppendingThatAlwaysFailsIsToldOnce_AndWritingAnewHelps) {
  Life run(path);
  run.start();
  run.calls.only_fdatasync = true;
  run.fail_from_now_on(EIO);
  for (uint64_t id = 1; id <= 5; ++id) {
    EXPECT_TRUE(run.open(id, 10s, "kept"));
    EXPECT_TRUE(run.open(id + 100));
    EXPECT_TRUE(run.close(id + 100));
    run.after(1s);
  }
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("it was written anew")));
  EXPECT_THAT(next_start(), SizeIs(5));
}

TEST_F(StateFileTest, AFaultAtStartKeepsNothingFromBeingRecordedLater) {
  Life run(path);
  run.calls.first_fault = 1;
  run.calls.error = EROFS;
  run.start();
  EXPECT_FALSE(run.open(1, 10s, "one"));
  run.heal();
  run.after(1s);
  EXPECT_TRUE(run.open(2, 10s, "two"));
  EXPECT_THAT(next_start(), ElementsAre("one", "two"));
}

TEST_F(StateFileTest, WithManyDoorsAFullDiskIsNotTriedAtEachKnock) {
  Life run(path);
  run.start();
  for (uint64_t id = 1; id <= 10'000; ++id) run.open_unrecorded(id);
  run.fail_from_now_on(ENOSPC);
  run.open(10'001);
  const int before = run.calls.calls;
  run.open(10'002);
  EXPECT_EQ(run.calls.calls, before);
  run.after(1s);
  run.open(10'003);
  EXPECT_GT(run.calls.calls, before);
}

struct Fault {
  int error;
  bool lasts;
  bool tears;
};

class EachCallFailsTest : public StateFileTest, public testing::WithParamInterface<Fault> {
 protected:
  // A life with everything in it: a door from an earlier run, opening, extending, closing, and
  // enough garbage to write anew. Gives the doors that stay open.
  static std::vector<std::string> live(Life& run) {
    const std::string bulk(40'000, 'x');
    run.start();
    for (uint64_t id = 101; id <= 106; ++id) {
      run.open(id, 10s, id == 101 ? "first" : bulk);
      run.after(2s);
      run.extend(101, 100s);
      if (id > 101) run.close(id);
      run.after(2s);
    }
    run.open(107, 10s, "last");
    std::vector<std::string> stops;
    for (const auto& [id, door] : run.doors.all()) stops.push_back(door.stop_command);
    return stops;
  }

  void write_earlier_run() {
    std::filesystem::remove_all(folder / "lib");
    Life earlier(path);
    earlier.start();
    earlier.open(1, 10s, "earlier");
  }
};

TEST_P(EachCallFailsTest, InTurn_TheDaemonGoesOnAndTheNextStartFindsAll) {
  write_earlier_run();
  int calls = 0;
  {
    Life whole(path);
    EXPECT_THAT(live(whole), ElementsAre("earlier", "first", "last"));
    EXPECT_THAT(whole.complaints, IsEmpty());
    calls = whole.calls.calls;
  }
  EXPECT_THAT(next_start(), ElementsAre("earlier", "first", "last"));
  ASSERT_GT(calls, 60);

  for (int fault = 1; fault <= calls; ++fault) {
    SCOPED_TRACE("call " + std::to_string(fault));
    write_earlier_run();
    bool kept = false;
    std::vector<std::string> open;
    std::vector<std::string> complaints;
    {
      Life run(path);
      run.calls.first_fault = fault;
      run.calls.last_fault = GetParam().lasts ? FaultyCalls::kNever : fault;
      run.calls.error = GetParam().error;
      run.calls.tears_writes = GetParam().tears;
      open = live(run);
      kept = run.file.is_kept();
      complaints = run.complaints;
    }
    EXPECT_LE(complaints.size(), 3u) << testing::PrintToString(complaints);
    const auto found = next_start();
    if (kept) {
      EXPECT_EQ(found, open) << testing::PrintToString(complaints);
    } else {
      EXPECT_FALSE(complaints.empty());
      // What was on disk before the fault is there still, unless it could not even be read.
      const bool set_aside = std::filesystem::exists(path + ".set-aside.1");
      if (!set_aside) {
        EXPECT_THAT(found, testing::Contains("earlier"));
      }
    }
    if (!GetParam().lasts && fault > 12) {
      EXPECT_TRUE(kept) << "once started, it always recovers";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Faults, EachCallFailsTest,
                         testing::Values(Fault{ENOSPC, false, false}, Fault{ENOSPC, true, false},
                                         Fault{EIO, false, false}, Fault{EIO, true, false},
                                         Fault{EROFS, false, false}, Fault{EROFS, true, false},
                                         Fault{EACCES, false, false}, Fault{EMFILE, true, false},
                                         Fault{ENOSPC, false, true}, Fault{ENOSPC, true, true}));

}  // namespace
}  // namespace knockd
