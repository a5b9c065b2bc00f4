// SPDX-License-Identifier: MIT
#include "knockd/keeper/state_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <utility>

#include "tests/base/faulty_calls.h"
#include "tests/base/recording_calls.h"
#include "tests/base/temporary_folder.h"
#include "tests/keeper/state_lines.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using testing::UnorderedElementsAreArray;

constexpr const char* kBoot = "0b3c1f52-6a0e-4d8e-9b41-0123456789ab";

// One run of the daemon, as the state file sees it: it opens doors, closes them, and ends abruptly
// with the object.
template <typename Calls>
struct LifeWith {
  std::map<uint64_t, OpenDoor> doors;
  Calls calls;
  Moment now{.boot = Instant(1000s)};
  StateFile file;
  std::vector<OpenDoor> recovered;
  std::vector<std::string> complaints;

  explicit LifeWith(const std::string& path, const char* boot = kBoot)
      : file(
            path, boot,
            [this](const StateFile::VisitDoor& visit) {
              for (const auto& [id, door] : doors) visit(door);
            },
            calls) {}

  void start() {
    recovered = file.open(now);
    for (const OpenDoor& door : recovered) doors[door.id] = door;
    listen();
  }
  bool open(uint64_t id, Duration time = 10s, const std::string& stop = "close it") {
    gather_open(id, time, stop);
    return flush();
  }
  bool extend(uint64_t id, Duration time) {
    gather_extend(id, time);
    return flush();
  }
  bool close(uint64_t id) {
    gather_close(id);
    return flush();
  }
  bool pass() {
    file.passed(now);
    return flush();
  }

  // Opened earlier, but in no file yet.
  void open_unrecorded(uint64_t id, Duration time = 10s, const std::string& stop = "close it") {
    OpenDoor door;
    door.id = id;
    door.door = "door";
    door.source = *IpAddress::parse("192.0.2.1");
    door.interface = "eth0";
    door.stop_command = stop;
    door.deadline = now.boot + time;
    doors[id] = door;
  }
  void gather_open(uint64_t id, Duration time = 10s, const std::string& stop = "close it") {
    open_unrecorded(id, time, stop);
    file.opened(doors.at(id), now);
  }
  void gather_extend(uint64_t id, Duration time) {
    doors.at(id).deadline = now.boot + time;
    file.extended(doors.at(id), now);
  }
  void gather_close(uint64_t id) {
    const OpenDoor door = doors.at(id);
    doors.erase(id);
    file.closed(door, now);
  }
  bool flush() {
    const bool kept = file.flush(now);
    take_found();
    return kept;
  }
  bool move_to(const std::string& path) {
    const bool moved = file.move_to(path, now);
    take_found();
    return moved;
  }
  void after(Duration time) { now.boot += time; }
  void fail_from_now_on(int error, const std::string& only = "") {
    calls.first_fault = calls.calls + 1;
    calls.only = only;
    calls.error = error;
  }
  void heal() { calls.first_fault = FaultyCalls::kNever; }
  std::vector<std::string> stops() const {
    std::vector<std::string> stops;
    for (const auto& [id, door] : doors) stops.push_back(door.stop_command);
    return stops;
  }

 private:
  // They get ids of this run, which differ from those in the file.
  void take_found() {
    for (OpenDoor& door : file.take_found()) {
      door.id = 1000 + doors.size();
      doors[door.id] = door;
    }
    listen();
  }
  void listen() {
    for (std::string& line : file.take_complaints()) complaints.push_back(std::move(line));
  }
};
using Life = LifeWith<FaultyCalls>;

class StateFileTest : public testing::Test {
 protected:
  // What the next start would restore: the ends of the doors' stop commands.
  std::vector<std::string> next_start() {
    Life next(path);
    next.start();
    return next.stops();
  }

  // The file as another process sees it.
  bool is_free() {
    const pid_t other = fork();
    if (other == 0) _exit(OwnFile::is_left_behind(path) ? 1 : 0);
    int status = 0;
    waitpid(other, &status, 0);
    return status != 0;
  }

  mode_t mode(const std::string& of) {
    struct stat status {};
    return stat(of.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
  }

  TemporaryFolder folder;
  const std::string path = folder / "lib/knockd/open-doors";
};

TEST_F(StateFileTest, CreatesFolderAndFileWithPrivateModes) {
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

TEST_F(StateFileTest, TheNextStartRestoresOpenDoors) {
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

TEST_F(StateFileTest, RestoresDoorsRepeatedly) {
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

TEST_F(StateFileTest, StaysSmall_AfterManyDoors) {
  Life run(path);
  run.start();
  run.open(1, 10s, "stays");
  for (uint64_t id = 2; id < 5000; ++id) {
    run.open(id, 10s, std::string(200, 'x'));
    run.close(id);
    ASSERT_LT(std::filesystem::file_size(path), 100'000u) << "after " << id << " doors";
  }
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
  EXPECT_EQ(mode(path), 0600u);
  EXPECT_THAT(next_start(), ElementsAre("stays"));
}

TEST_F(StateFileTest, ManyDoorsAreSeldomRewritten) {
  Life run(path);
  run.start();
  for (uint64_t id = 1; id <= 10'001; ++id) run.gather_open(id);
  run.flush();
  const int before = run.calls.calls;
  for (uint64_t id = 10'002; id <= 11'000; ++id) {
    run.open(id);
    const auto opened = static_cast<int>(id - 10'001);
    ASSERT_EQ(run.calls.calls - before, 3 * opened) << "nothing but appending";
  }
}

// --- what must not be touched
// ----------------------------------------------------------------------

class RefusedTest : public StateFileTest {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder / "lib/knockd"); }
  // Continues without the file, logs the reason once, and leaves the file unchanged.
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

TEST_F(RefusedTest, AFileTooLarge) {
  write_file(path, "");
  chmod(path.c_str(), 0600);
  std::filesystem::resize_file(path, (256u << 20) + 1);
  expect_refused("is too large");
}

TEST_F(RefusedTest, AFolder) {
  std::filesystem::create_directory(path);
  Life run(path);
  run.start();
  EXPECT_FALSE(run.open(1));
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("open: Is a directory; it is left as it is")));
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

TEST_F(StateFileTest, ADamagedFileGivesItsReadableDoors_AndIsReported) {
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
  const std::string whole = summed("knockd-open-doors version=3 in=another form");
  write_file(path, whole);
  chmod(path.c_str(), 0600);
  write_file(path + ".set-aside.1", "an earlier one");
  Life run(path);
  run.start();
  EXPECT_THAT(run.recovered, IsEmpty());
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("is of version 3, this knockd reads version "
                                                    "2: it is kept as " +
                                                    path + ".set-aside.2")));
  EXPECT_EQ(read_file(path + ".set-aside.2"), whole);
  EXPECT_EQ(read_file(path + ".set-aside.1"), "an earlier one");
  EXPECT_TRUE(run.open(1, 10s, "mine"));
  EXPECT_THAT(next_start(), ElementsAre("mine"));
}

TEST_F(StateFileTest, RemainsOfAnInterruptedRewriteAreHarmless) {
  std::filesystem::create_directories(folder / "lib/knockd");
  write_file(path + ".new", "half a file");
  Life run(path);
  run.start();
  EXPECT_TRUE(run.open(1));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_F(StateFileTest, NewFileThatCouldNotBeFinishedIsRemoved) {
  Life run(path);
  run.fail_from_now_on(EIO, "fsync");
  run.start();
  EXPECT_THAT(run.complaints, SizeIs(1));
  EXPECT_FALSE(std::filesystem::exists(path + ".new"));
}

// File calls during which the owner replaces the file at the moment of the first lock.
struct ReplacedBeforeTheLock : FileCalls {
  std::string from, to;
  int lock(int fd) override {
    if (!from.empty()) FileCalls::rename(std::exchange(from, {}).c_str(), to.c_str());
    return FileCalls::lock(fd);
  }
};

TEST_F(StateFileTest, AFileReplacedBeforeItIsLockedIsNotRead_TheNewOneIs) {
  {
    Life earlier(path);
    earlier.start();
    earlier.open(1, 1h);
  }
  std::filesystem::rename(path, path + ".its-next");
  write_file(path, "");
  chmod(path.c_str(), 0600);
  LifeWith<ReplacedBeforeTheLock> run(path);
  run.calls.from = path + ".its-next";
  run.calls.to = path;
  run.start();
  EXPECT_THAT(run.stops(), ElementsAre("close it"));
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

TEST_F(StateFileTest, NeverGoesThroughALinkMadeAtTheLastMoment) {
  struct Racing : FaultyCalls {
    std::string victim;
    int open(const char* file, int flags, mode_t mode) override {
      if (std::string_view(file).ends_with(".new")) {
        std::filesystem::create_symlink(victim, file);
      }
      return FaultyCalls::open(file, flags, mode);
    }
  };
  write_file(folder / "victim", "precious");
  LifeWith<Racing> run(path);
  run.calls.victim = folder / "victim";
  run.start();
  EXPECT_FALSE(run.open(1));
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("open: File exists")));
  EXPECT_EQ(read_file(folder / "victim"), "precious");
}

TEST_F(StateFileTest, ARemovedFileIsWrittenAgain) {
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

TEST_F(StateFileTest, ALastingFaultIsReportedOnce_AndItsEndOnce_AndNothingIsLost) {
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

TEST_F(StateFileTest, PersistentAppendFailureIsReportedOnce_AndARewriteHelps) {
  Life run(path);
  run.start();
  run.fail_from_now_on(EIO, "fdatasync");
  for (uint64_t id = 1; id <= 5; ++id) {
    EXPECT_TRUE(run.open(id, 10s, "kept"));
    EXPECT_TRUE(run.open(id + 100));
    EXPECT_TRUE(run.close(id + 100));
    run.after(1s);
  }
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("it was written anew")));
  EXPECT_THAT(next_start(), SizeIs(5));
}

TEST_F(StateFileTest, AFaultAtStartDoesNotPreventLaterRecords) {
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

TEST_F(StateFileTest, AFullDiskIsNotRetriedAtEachKnock_WithManyDoors) {
  Life run(path);
  run.start();
  for (uint64_t id = 1; id <= 10'000; ++id) run.open_unrecorded(id);
  run.fail_from_now_on(ENOSPC, "write");
  run.open(10'001);
  const int before = run.calls.calls;
  run.open(10'002);
  EXPECT_EQ(run.calls.calls, before);
  run.after(1s);
  run.open(10'003);
  EXPECT_GT(run.calls.calls, before);
}

// --- What cannot be read at first

class UnreadTest : public StateFileTest {
 protected:
  void SetUp() override {
    Life earlier(path);
    earlier.start();
    earlier.open(1, 10h, "one");
    // Prevents a read from reaching the end at once.
    for (uint64_t id = 2; id <= 5; ++id) earlier.open(id, 10h, std::string(50'000, 'x'));
    earlier.open(6, 10h, "last");
    before = read_file(path);
  }
  std::string before;
};

TEST_F(UnreadTest, AFileThatCannotBeOpenedIsKept_AndRestoredLater) {
  for (const int error : {EACCES, EIO, EMFILE}) {
    Life run(path);
    run.calls.only = "open";
    run.calls.error = error;
    run.calls.first_fault = 1;
    run.start();
    EXPECT_THAT(run.recovered, IsEmpty());
    EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("it is left as it is and read again later")));
    EXPECT_FALSE(run.open(1, 10h, "mine"));
    EXPECT_EQ(read_file(path), before);
    run.heal();
    run.after(1s);
    EXPECT_TRUE(run.flush()) << "without anything new, too";
    EXPECT_THAT(run.stops(), SizeIs(7));
    EXPECT_THAT(run.complaints, ElementsAre(testing::_, HasSubstr("is written again")));
    EXPECT_TRUE(run.close(1)) << "mine, not the one that was found by this number";
    EXPECT_THAT(run.stops(), SizeIs(6));
    EXPECT_THAT(next_start(), UnorderedElementsAreArray(run.stops()));
    EXPECT_FALSE(std::filesystem::exists(path + ".set-aside.1"));
    write_file(path, before);
  }
}

TEST_F(UnreadTest, ReadableDoorsAreRestoredAtOnce_TheRestLater_NoneTwice) {
  Life run(path);
  run.calls.only = "read";
  run.calls.error = EIO;
  run.calls.first_fault = 6;
  run.start();
  ASSERT_THAT(run.recovered, testing::Not(IsEmpty()));
  ASSERT_THAT(run.recovered.size(), testing::Lt(6u));
  EXPECT_EQ(run.recovered[0].stop_command, "one");
  ASSERT_THAT(run.complaints, SizeIs(1));
  EXPECT_THAT(run.complaints[0], HasSubstr("read: Input/output error"));
  EXPECT_THAT(run.complaints[0],
              HasSubstr("read so far: " + counted(run.recovered.size(), "open door") + ";"));
  EXPECT_FALSE(run.close(1)) << "the stop of what was taken up has run";
  EXPECT_EQ(read_file(path), before);
  run.heal();
  run.after(1s);
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(run.stops(), SizeIs(5));
  EXPECT_THAT(run.stops(), testing::Not(Contains("one")));
  EXPECT_THAT(run.stops(), Contains("last"));
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(next_start(), UnorderedElementsAreArray(run.stops()));
}

TEST_F(UnreadTest, AReadOnlyFileIsReadAtOnce_AndLockedAsSoonAsItCanBeWritten) {
  Life run(path);
  run.calls.only = "open";
  run.calls.error = EROFS;
  run.calls.first_fault = run.calls.last_fault = 1;  // for writing; then for reading
  run.start();
  EXPECT_THAT(run.recovered, SizeIs(6));
  EXPECT_THAT(run.complaints, ElementsAre(HasSubstr("Read-only file system; open doors are")));
  EXPECT_TRUE(is_free());
  run.calls.last_fault = FaultyCalls::kNever;
  run.fail_from_now_on(ENOSPC, "write");
  run.after(1s);
  EXPECT_FALSE(run.close(1));
  EXPECT_FALSE(is_free()) << "though it could not be written anew";
  run.heal();
  run.after(1s);
  EXPECT_TRUE(run.close(2));
  EXPECT_FALSE(is_free());
  EXPECT_THAT(next_start(), SizeIs(4));
}

TEST_F(UnreadTest, IsRetriedAfterGrowingPauses) {
  Life run(path);
  run.calls.only = "open";
  run.calls.first_fault = 1;
  run.start();
  std::vector<int> pauses;
  for (int second = 0, last = 0; second < 400; ++second) {
    const int calls = run.calls.calls;
    run.pass();
    if (run.calls.calls != calls) pauses.push_back(second - std::exchange(last, second));
    run.after(1s);
  }
  EXPECT_THAT(pauses, ElementsAre(1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60));
  EXPECT_THAT(run.complaints, SizeIs(1));
}

// Restored doors get new numbers, so the file is rewritten once.
TEST_F(StateFileTest, DoorsRestoredAfterAMoveCostOneRewrite_ThenTheFileIsAppendedTo) {
  {
    Life earlier(folder / "other");
    earlier.start();
    earlier.open(1, 10h, "theirs");
  }
  LifeWith<RecordingCalls> run(path);
  run.start();
  EXPECT_TRUE(run.move_to(folder / "other"));
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(run.calls.take(), Contains("rename other.new other"));
  EXPECT_TRUE(run.open(2));
  EXPECT_THAT(run.calls.take(), ElementsAre("write other", "fdatasync other"));
}

TEST_F(UnreadTest, RestoredDoorsAreNotLost_EvenBeforeTheyAreTaken) {
  Life run(path);
  run.calls.only = "read";
  run.calls.first_fault = 1;
  run.start();
  run.heal();
  run.after(1s);
  run.gather_open(7, 10h, "mine");
  EXPECT_TRUE(run.file.flush(run.now));
  run.gather_open(8, 10h, "mine too");
  EXPECT_TRUE(run.file.flush(run.now));
  EXPECT_THAT(next_start(), SizeIs(8));
}

// --- Another path

TEST_F(StateFileTest, MovesToAnotherPath_FirstWrittenThere_ThenRemovedHere) {
  LifeWith<RecordingCalls> run(path);
  run.start();
  run.open(1, 10h, "one");
  const std::string other = folder / "elsewhere/doors";
  run.calls.take();
  EXPECT_TRUE(run.move_to(other));
  EXPECT_THAT(run.calls.take(),
              ElementsAre("lock doors", "lock doors.new", "write doors.new", "fsync doors.new",
                          "rename doors.new doors", "fsync elsewhere", "unlink open-doors"));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(run.open(2, 10h, "two"));
  EXPECT_THAT(run.complaints, IsEmpty());
  Life next(other);
  next.start();
  EXPECT_THAT(next.stops(), ElementsAre("one", "two"));
}

TEST_F(StateFileTest, RecordsPendingAtAMoveAreInTheNewFile) {
  Life run(path);
  run.start();
  run.gather_open(1, 10h, "one");
  EXPECT_TRUE(run.move_to(folder / "other"));
  EXPECT_TRUE(run.flush());
  EXPECT_TRUE(run.open(2, 10h, "two"));
  Life next(folder / "other");
  next.start();
  EXPECT_THAT(next.stops(), ElementsAre("one", "two"));
}

TEST_F(StateFileTest, AMoveRestoresTheDoorsOfTheOtherFile) {
  {
    Life earlier(folder / "other");
    earlier.start();
    earlier.open(1, 10h, "theirs");
  }
  Life run(path);
  run.start();
  run.open(1, 10h, "mine");
  EXPECT_TRUE(run.move_to(folder / "other"));
  EXPECT_THAT(run.stops(), UnorderedElementsAre("mine", "theirs"));
  EXPECT_TRUE(run.flush());
  EXPECT_TRUE(run.close(1));
  Life next(folder / "other");
  next.start();
  EXPECT_THAT(next.stops(), ElementsAre("theirs"));
}

TEST_F(StateFileTest, RestoredDoorIsClosedInTheNewFileByItsNewNumber) {
  {
    Life earlier(folder / "other");
    earlier.start();
    earlier.open(1, 10h, "theirs");
  }
  Life run(path);
  run.start();
  run.open(1, 10h, "mine");
  EXPECT_TRUE(run.move_to(folder / "other"));
  ASSERT_EQ(run.doors.rbegin()->second.stop_command, "theirs");
  EXPECT_TRUE(run.close(run.doors.rbegin()->first));
  Life next(folder / "other");
  next.start();
  EXPECT_THAT(next.stops(), ElementsAre("mine"));
}

TEST_F(StateFileTest, AFailedMoveChangesNothing_AndIsReported) {
  Life run(path);
  run.start();
  run.open(1, 10h, "one");
  std::filesystem::create_symlink("/etc/hosts", folder / "link");
  run.gather_open(2, 10h, "two");
  EXPECT_FALSE(run.move_to(folder / "link"));
  ASSERT_THAT(run.complaints, SizeIs(2));
  EXPECT_THAT(run.complaints[0], HasSubstr("is a symbolic link"));
  EXPECT_THAT(run.complaints[1], HasSubstr(path + ": is still in use"));
  EXPECT_TRUE(run.flush());
  for (int fault = 1; fault <= 12; ++fault) {
    run.calls.first_fault = run.calls.last_fault = run.calls.calls + fault;
    if (run.move_to(folder / "other")) break;
    EXPECT_TRUE(run.file.is_kept()) << "call " << fault;
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_THAT(run.stops(), ElementsAre("one", "two"));
  EXPECT_TRUE(run.open(3, 10h, "three"));
}

TEST_F(StateFileTest, TheSameFileUnderAnotherNameIsNotAMove) {
  Life run(path);
  run.start();
  run.open(1, 10h, "one");
  for (const std::string& name : {path, folder / "lib/./knockd/../knockd/open-doors"}) {
    EXPECT_TRUE(run.move_to(name));
    EXPECT_TRUE(run.open(run.doors.size() + 1, 10h, "more"));
  }
  EXPECT_THAT(run.complaints, IsEmpty());
  EXPECT_FALSE(is_free());
}

TEST_F(StateFileTest, MovesToNoFile_AndBack) {
  Life run(path);
  run.start();
  run.open(1, 10h, "one");
  EXPECT_TRUE(run.move_to(""));
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(run.open(2, 10h, "two"));
  EXPECT_TRUE(run.move_to(path));
  EXPECT_THAT(run.complaints, IsEmpty());
  EXPECT_THAT(next_start(), ElementsAre("one", "two"));
}

TEST_F(UnreadTest, AMoveDoesNotRemoveAnUnreadFile) {
  Life run(path);
  run.calls.only = "read";
  run.calls.first_fault = 1;
  run.calls.last_fault = 20;
  run.start();
  while (run.calls.calls < 20) run.calls.read(-1, nullptr, 0);
  EXPECT_TRUE(run.move_to(folder / "other"));
  EXPECT_THAT(run.complaints.back(), HasSubstr("is left as it is: it could not be read"));
  EXPECT_EQ(read_file(path), before);
}

// --- What outlives a power cut

class PowerCutTest : public StateFileTest {
 protected:
  void SetUp() override {
    run.start();
    at_start = run.calls.take();
  }
  LifeWith<RecordingCalls> run{path};
  std::vector<std::string> at_start;
};

TEST_F(PowerCutTest, ANewFileIsOnDiskBeforeItReplacesTheOldOne_AndThenItsName) {
  EXPECT_THAT(at_start, ElementsAre("lock open-doors", "lock open-doors.new",
                                    "write open-doors.new", "fsync open-doors.new",
                                    "rename open-doors.new open-doors", "fsync knockd"));
}

TEST_F(PowerCutTest, ATooLargeFileIsReplacedInTheSameOrder) {
  run.open(1, 10h, std::string(100'000, 'x'));
  EXPECT_THAT(run.calls.take(),
              ElementsAre("write open-doors", "fdatasync open-doors", "lock open-doors.new",
                          "write open-doors.new", "fsync open-doors.new",
                          "rename open-doors.new open-doors", "fsync knockd"));
}

TEST_F(PowerCutTest, AllPendingRecordsNeedOneWriteAndOneSync) {
  for (uint64_t id = 1; id <= 50; ++id) run.gather_open(id);
  run.gather_close(7);
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(run.calls.take(), ElementsAre("write open-doors", "fdatasync open-doors"));
  run.gather_close(8);
  run.gather_extend(9, 1h);
  run.gather_close(10);
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(run.calls.take(), ElementsAre("write open-doors", "fdatasync open-doors"));
}

TEST_F(PowerCutTest, ClosingsAndTimeAreWrittenWithoutASync) {
  run.open(1);
  run.open(2);
  run.calls.take();
  EXPECT_TRUE(run.close(1));
  EXPECT_THAT(run.calls.take(), ElementsAre("write open-doors"));
  EXPECT_TRUE(run.pass());
  EXPECT_THAT(run.calls.take(), ElementsAre("write open-doors"));
  EXPECT_TRUE(run.extend(2, 1h));
  EXPECT_THAT(run.calls.take(), ElementsAre("write open-doors", "fdatasync open-doors"));
}

TEST_F(PowerCutTest, NothingIsWrittenBeforeTheFlush_NorByOneWithoutNews) {
  run.gather_open(1);
  EXPECT_THAT(run.calls.take(), IsEmpty());
  EXPECT_TRUE(run.flush());
  run.calls.take();
  EXPECT_TRUE(run.flush());
  EXPECT_THAT(run.calls.take(), IsEmpty());
}

TEST_F(StateFileTest, TimeThatPassedCountsAfterAReboot) {
  {
    Life run(path);
    run.start();
    run.open(1, 100s);
    run.after(70s);
    run.pass();
  }
  Life next(path, "another-boot");
  next.now.boot = Instant(5s);
  next.start();
  ASSERT_THAT(next.recovered, SizeIs(1));
  EXPECT_EQ(next.recovered[0].deadline, next.now.boot + 30s);
}

TEST_F(StateFileTest, OpenDoorsAreReadableText) {
  Life run(path);
  run.start();
  run.open(17, 3600s, "iptables -D INPUT -s 192.0.2.1 -j ACCEPT");
  EXPECT_THAT(read_file(path),
              HasSubstr(" open id=17 source=192.0.2.1 door=door interface=eth0 left=3600.000000000 "
                        "boot=1000.000000000 clock=1970-01-01T00:00:00.000000000Z synced=no "
                        "stop=iptables -D INPUT -s 192.0.2.1 -j ACCEPT\n"));
}

struct Fault {
  int error;
  bool lasts;
  bool tears;
};

class EachCallFailsTest : public StateFileTest, public testing::WithParamInterface<Fault> {
 protected:
  // A run with everything in it: a door from an earlier run, opening, extending, closing, and
  // enough garbage to cause a rewrite. Returns the doors that stay open.
  static std::vector<std::string> live(Life& run) {
    const std::string bulk(70'000, 'x');
    run.start();
    for (uint64_t id = 101; id <= 106; ++id) {
      run.open(id, 10s, id == 101 ? "first" : id == 103 ? bulk : "soon closed");
      run.after(2s);
      run.extend(101, 100s);
      if (id > 101) run.close(id);
      run.after(2s);
    }
    run.open(107, 10s, "last");
    return run.stops();
  }

  void write_earlier_run() {
    std::filesystem::remove_all(folder / "lib");
    Life earlier(path);
    earlier.start();
    earlier.open(1, 10s, "earlier");
  }
};

TEST_P(EachCallFailsTest, InTurn_TheDaemonContinuesAndTheNextStartFindsAll) {
  write_earlier_run();
  int calls = 0;
  {
    Life whole(path);
    EXPECT_THAT(live(whole), UnorderedElementsAre("earlier", "first", "last"));
    EXPECT_THAT(whole.complaints, IsEmpty());
    calls = whole.calls.calls;
  }
  EXPECT_THAT(next_start(), UnorderedElementsAre("earlier", "first", "last"));
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
    // Locking fails with these errors when another daemon has the file.
    const bool was_refused = testing::Matches(Contains(HasSubstr("in use by")))(complaints);
    EXPECT_LE(complaints.size(), 3u) << testing::PrintToString(complaints);
    const auto found = next_start();
    if (kept) {
      EXPECT_THAT(found, UnorderedElementsAreArray(open)) << testing::PrintToString(complaints);
    } else {
      EXPECT_FALSE(complaints.empty());
      EXPECT_THAT(found, Contains("earlier")) << "what was on disk before is there still";
    }
    if (!GetParam().lasts && !was_refused) {
      EXPECT_TRUE(kept) << "it always recovers";
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
