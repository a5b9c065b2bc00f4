// SPDX-License-Identifier: MIT
#include "knockd/control/control_socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "knockd/control/control_path.h"
#include "tests/base/temporary_folder.h"
#include "tests/control/call.h"
#include "tests/control/turning_loop.h"

namespace knockd {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

class ControlSocketTest : public ::testing::Test,
                          public ControlSocket::Owner,
                          protected TurningLoop {
 protected:
  ControlSocketTest() : socket_(loop_, *this) { EXPECT_TRUE(socket_.open(path_, "")); }

  void on_request(ControlSocket::Caller caller, uid_t user, const std::string& line) override {
    user_ = user;
    asked_.push_back(line);
    callers_.push_back(caller);
    if (act_) act_(caller);
  }
  void on_gone(ControlSocket::Caller) override { ++gone_; }

  void answer_with(const std::string& text) {
    act_ = [this, text](ControlSocket::Caller caller) { socket_.answer(caller, text); };
  }
  // Waits until a caller follows.
  void let_follow(Call& call) {
    act_ = [this](ControlSocket::Caller caller) { EXPECT_TRUE(socket_.follow(caller)); };
    const size_t before = asked_.size();
    ASSERT_TRUE(call.say("events\n"));
    turn_until("it follows", [&] { return asked_.size() > before; });
  }

  TemporaryFolder folder_;
  const std::string path_ = folder_ / "control/socket";
  std::function<void(ControlSocket::Caller)> act_;
  std::vector<std::string> asked_;
  std::vector<ControlSocket::Caller> callers_;
  uid_t user_ = 12345;
  int gone_ = 0;
  ControlSocket socket_;
};

struct stat status_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
  return status;
}

// --- The socket

TEST_F(ControlSocketTest, IsAccessibleOnlyToItsUser) {
  EXPECT_EQ(status_of(path_).st_mode & 07777, 0600u);
  EXPECT_EQ(status_of(folder_ / "control").st_mode & 07777, 0700u);
}

TEST_F(ControlSocketTest, IsRemovedWhenItIsClosed) {
  socket_.close();
  EXPECT_FALSE(Call(path_).is_connected());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);
  EXPECT_NE(access((path_ + ".lock").c_str(), F_OK), 0);
}

TEST_F(ControlSocketTest, TwoNeverShareOne) {
  EXPECT_EXIT(
      {
        ControlSocket other(loop_, *this);
        const Status opened = other.open(path_, "");
        fprintf(stderr, "%s", opened ? "shared" : opened.error().text.c_str());
        _exit(0);
      },
      ::testing::ExitedWithCode(0), HasSubstr("is another knockd's"));
  EXPECT_TRUE(Call(path_).is_connected()) << "the first one's socket is gone";
}

TEST_F(ControlSocketTest, ReplacesASocketLeftByACrash) {
  const std::string stale = folder_ / "stale";
  const pid_t crashed = fork();
  if (crashed == 0) {
    ControlSocket other(loop_, *this);
    _exit(other.open(stale, "") ? 0 : 1);  // nothing is cleaned up
  }
  int status = -1;
  ASSERT_EQ(waitpid(crashed, &status, 0), crashed);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(access(stale.c_str(), F_OK), 0);
  EXPECT_FALSE(Call(stale).is_connected());
  const Status opened = socket_.open(stale, "");
  EXPECT_TRUE(opened) << opened.error().text;
  EXPECT_TRUE(Call(stale).is_connected());
}

TEST_F(ControlSocketTest, NeverReplacesAFile) {
  const std::string path = folder_ / "file";
  close(creat(path.c_str(), 0600));
  const Status opened = socket_.open(path, "");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, path + " is there and is no socket");
  EXPECT_EQ(access(path.c_str(), F_OK), 0);
  EXPECT_NE(access((path + ".lock").c_str(), F_OK), 0);
  EXPECT_EQ(socket_.path(), "");
}

TEST_F(ControlSocketTest, NeverReplacesASocketInUse) {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    const std::string path = folder_ / ("program-" + std::to_string(type));
    const auto place = place_of_socket(path);
    ASSERT_TRUE(place);
    const UniqueFd program(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(program.get(), reinterpret_cast<const sockaddr*>(&place->address),
                   sizeof(place->address)),
              0);
    if (type != SOCK_DGRAM) {
      ASSERT_EQ(listen(program.get(), 0), 0);
    }
    const ino_t before = status_of(path).st_ino;
    const Status opened = socket_.open(path, "");
    ASSERT_FALSE(opened) << type;
    EXPECT_EQ(opened.error().text, path + " is the socket of another program");
    EXPECT_EQ(status_of(path).st_ino, before) << type;
  }
}

TEST_F(ControlSocketTest, NoticesItsRemoval_AndKeepsAnothersSocket) {
  EXPECT_TRUE(socket_.is_there());
  unlink(path_.c_str());
  EXPECT_FALSE(socket_.is_there());
  unlink((path_ + ".lock").c_str());
  ControlSocket other(loop_, *this);
  EXPECT_TRUE(other.open(path_, ""));
  EXPECT_FALSE(socket_.is_there());
  socket_.close();
  EXPECT_TRUE(other.is_there());
}

TEST_F(ControlSocketTest, UnknownGroupIsNamed) {
  const Status opened = socket_.open(path_, "no-such-group");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, "no group is called no-such-group");
}

TEST_F(ControlSocketTest, MembersOfAGroupMayAsk) {
  if (geteuid() != 0) GTEST_SKIP() << "only root gives a file to another group";
  const group* const users = getgrnam("users");
  ASSERT_NE(users, nullptr);
  const std::string path = folder_ / "other/socket";
  const Status opened = socket_.open(path, "users");
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_EQ(status_of(path).st_mode & 07777, 0660u);
  EXPECT_EQ(status_of(path).st_gid, users->gr_gid);
  EXPECT_EQ(status_of(folder_ / "other").st_mode & 07777, 0700u | 0050u);
  EXPECT_EQ(status_of(folder_ / "other").st_gid, users->gr_gid);
}

TEST_F(ControlSocketTest, OwnFolderFollowsTheGroup) {
  if (getgrnam("users") == nullptr) GTEST_SKIP() << "no group 'users' here";
  ASSERT_TRUE(socket_.open(path_, "users"));
  EXPECT_EQ(status_of(folder_ / "control").st_mode & 07777, 0750u) << "made without a group before";
  EXPECT_EQ(status_of(folder_ / "control").st_gid, getgrnam("users")->gr_gid);
  EXPECT_TRUE(socket_.members_may_enter());
  ASSERT_TRUE(socket_.open(path_, ""));
  EXPECT_EQ(status_of(folder_ / "control").st_mode & 07777, 0700u);
}

TEST_F(ControlSocketTest, FolderThatMembersCannotEnterIsReported) {
  if (getgrnam("users") == nullptr) GTEST_SKIP() << "no group 'users' here";
  const std::string folder = folder_ / "of-others";
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  ASSERT_TRUE(socket_.open(folder + "/socket", "users"));
  EXPECT_FALSE(socket_.members_may_enter());
  ASSERT_EQ(chmod(folder.c_str(), 0711), 0);
  ASSERT_TRUE(socket_.open(folder + "/socket", "users"));
  EXPECT_TRUE(socket_.members_may_enter());
}

TEST_F(ControlSocketTest, FolderOfOthersIsNotChanged) {
  const std::string folder = folder_ / "theirs";
  ASSERT_EQ(mkdir(folder.c_str(), 0755), 0);
  ASSERT_TRUE(socket_.open(folder + "/socket", ""));
  EXPECT_EQ(status_of(folder).st_mode & 07777, 0755u);
}

TEST_F(ControlSocketTest, LongPathsWork) {
  const std::string folder = folder_ / std::string(150, 'x');
  ASSERT_EQ(mkdir(folder.c_str(), 0700), 0);
  const Status opened = socket_.open(folder + "/socket", "");
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_TRUE(Call(folder + "/socket").is_connected());
}

TEST_F(ControlSocketTest, NameThatIsTooLongIsSaidToBe) {
  const std::string path = folder_ / std::string(150, 'n');
  const Status opened = socket_.open(path, "");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text, path + ": File name too long");
  errno = 0;
  ASSERT_FALSE(place_of_socket(path));
  EXPECT_EQ(errno, ENAMETOOLONG) << "by which a client knows why";
}

TEST_F(ControlSocketTest, FolderThatCannotBeMadeIsNamed) {
  const Status opened = socket_.open(folder_ / "a/b/socket", "");
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().text, HasSubstr(folder_ / "a/b: No such file or directory"));
}

// --- Requests

TEST_F(ControlSocketTest, EachLineIsARequest_WithOneLineAsAnswer) {
  answer_with("{}");
  Call call(path_);
  ASSERT_TRUE(call.is_connected());
  call.say("sta");
  pass(0s);
  EXPECT_THAT(asked_, SizeIs(0));
  call.say("tus\n");
  turn_until("the answer", [&] { return call.heard() == "{}\n"; });
  EXPECT_THAT(asked_, ElementsAre("status"));
  EXPECT_EQ(user_, geteuid());
  call.say("again\n");
  turn_until("the next answer", [&] { return call.heard() == "{}\n{}\n"; });
  EXPECT_FALSE(call.is_over());
}

TEST_F(ControlSocketTest, RequestsInARowAreAnsweredInTheirOrder) {
  act_ = [this](ControlSocket::Caller caller) { socket_.answer(caller, asked_.back()); };
  Call call(path_);
  call.say("one\ntwo\nthree\n");
  call.say_no_more();
  turn_until("all answers", [&] { return call.is_over(); });
  EXPECT_EQ(call.heard(), "one\ntwo\nthree\n");
}

TEST_F(ControlSocketTest, SecondRequestWaitsForTheFirstAnswer) {
  Call call(path_);
  call.say("one\ntwo\n");
  turn_until("the first", [&] { return asked_.size() == 1; });
  pass(0s);
  EXPECT_THAT(asked_, ElementsAre("one"));
  socket_.answer(callers_[0], "1");
  turn_until("the second", [&] { return asked_.size() == 2; });
  socket_.answer(callers_[1], "2");
  turn_until("both answers", [&] { return call.heard() == "1\n2\n"; });
}

TEST_F(ControlSocketTest, TooLongRequestIsRefused_AndTheCallerDisconnected) {
  for (const std::string& line : {std::string(200'000, 'x'), std::string(4097, 'x') + '\n'}) {
    Call call(path_);
    call.say(line);
    turn_until("the end", [&] { return call.is_over() || !asked_.empty(); });
    EXPECT_THAT(call.heard(), HasSubstr("the request is too long"));
    EXPECT_THAT(asked_, SizeIs(0));
  }
  Call longest(path_);
  longest.say(std::string(4096, 'x') + '\n');
  turn_until("it has asked", [&] { return asked_.size() == 1; });
}

TEST_F(ControlSocketTest, LongAnswerArrivesComplete) {
  const std::string text(3 << 20, 'a');
  answer_with(text);
  Call call(path_);
  call.say("status\n");
  turn_until("the answer", [&] { return call.heard().size() == text.size() + 1; });
}

TEST_F(ControlSocketTest, CallerThatDisconnectsIsForgotten) {
  answer_with(std::string(3 << 20, 'a'));
  for (int i = 0; i < 20; ++i) {
    Call call(path_);
    call.say("status\n");
    if (i % 2 == 0) pass(0s);
  }
  turn_until("all are gone", [&] { return gone_ == 20; });
}

TEST_F(ControlSocketTest, CallerThatDisconnectsBeforeTheAnswerFreesItsPlace) {
  std::vector<std::unique_ptr<Call>> calls;
  for (size_t i = 0; i < ControlSocket::kMostCallers; ++i) {
    calls.push_back(std::make_unique<Call>(path_));
    calls.back()->say("close\n");
  }
  turn_until("all have asked", [&] { return asked_.size() == calls.size(); });
  calls.front()->say_no_more();  // does not end it: it still reads
  calls.pop_back();
  answer_with("{}");
  Call other(path_);
  other.say("status\n");
  turn_until("an answer", [&] { return other.heard() == "{}\n"; });
  socket_.answer(callers_[0], "late");
  turn_until("the first answer", [&] { return calls.front()->heard() == "late\n"; });
}

TEST_F(ControlSocketTest, AnswerForADisconnectedCallerIsHarmless) {
  Call call(path_);
  call.say("status\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  call.hang_up();
  socket_.answer(callers_[0], std::string(1 << 20, 'a'));
  turn_until("it is gone", [&] { return gone_ == 1; });
  socket_.answer(callers_[0], "more");
}

// --- Many, and silent ones

TEST_F(ControlSocketTest, EightAreServed_OthersWaitTheirTurn) {
  std::vector<std::unique_ptr<Call>> calls;
  for (int i = 0; i < 20; ++i) {
    calls.push_back(std::make_unique<Call>(path_));
    calls.back()->say("status\n");
  }
  turn_until("eight have asked", [&] { return asked_.size() == 8; });
  pass(0s);
  EXPECT_THAT(asked_, SizeIs(8));
  answer_with("{}");
  for (int i = 0; i < 8; ++i) socket_.answer(callers_[static_cast<size_t>(i)], "{}");
  for (const auto& call : calls) {
    turn_until("an answer", [&] {
      pass(ControlSocket::kShortPatience);
      return call->heard() == "{}\n";
    });
  }
}

TEST_F(ControlSocketTest, SilentCallerIsDisconnected_SoonIfOthersWait) {
  Call call(path_);
  pass(0s);
  pass(9s);
  EXPECT_FALSE(call.is_over());
  pass(1s);
  EXPECT_TRUE(call.is_over());

  std::vector<std::unique_ptr<Call>> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(std::make_unique<Call>(path_));
  answer_with("{}");
  Call other(path_);
  other.say("status\n");
  int passes = 0;
  while (other.heard() != "{}\n" && ++passes < 50) pass(ControlSocket::kShortPatience);
  EXPECT_LE(passes, 15) << "eight silent ones are to go at a time";
}

TEST_F(ControlSocketTest, CallerThatAsksAgainAndAgainMakesRoomForOthers) {
  answer_with("yes");
  std::vector<std::unique_ptr<Call>> eight;
  for (size_t i = 0; i < ControlSocket::kMostCallers; ++i) {
    eight.push_back(std::make_unique<Call>(path_));
    eight.back()->say("status\n");
  }
  turn_until("eight are answered", [&] { return asked_.size() == eight.size(); });
  Call other(path_);
  ASSERT_TRUE(other.say("status\n"));
  for (int i = 0; i < 4; ++i) {
    pass(ControlSocket::kShortPatience / 2);
    for (const auto& call : eight) call->say("status\n");
    for (int turn = 0; turn < 20; ++turn) loop_.poll();
  }
  EXPECT_EQ(other.heard(), "yes\n");
  for (const auto& call : eight) {
    EXPECT_THAT(call->heard(), StartsWith("yes\nyes\n")) << "served until others wait for long";
  }
}

TEST_F(ControlSocketTest, OneCallerMayStay_InItsOwnPlace_UntilItDisconnects) {
  bool is_let = false;
  act_ = [&](ControlSocket::Caller caller) {
    is_let = socket_.let_stay(caller);
    socket_.answer(caller, "{}");
  };
  const auto ask_to_stay = [&](Call& call) {
    const size_t before = asked_.size();
    call.say("stay\n");
    turn_until("it has asked", [&] { return asked_.size() > before; });
    turn_until("it is answered", [&] { return call.heard().ends_with("{}\n"); });
    return is_let;
  };
  auto staying = std::make_unique<Call>(path_);
  EXPECT_TRUE(ask_to_stay(*staying));
  EXPECT_TRUE(ask_to_stay(*staying)) << "as often as it likes";
  Call other(path_);
  EXPECT_FALSE(ask_to_stay(other));
  pass(10s);
  EXPECT_TRUE(other.is_over());
  pass(3600s);
  EXPECT_FALSE(staying->is_over());
  std::vector<std::unique_ptr<Call>> eight;
  const size_t before = asked_.size();
  for (size_t i = 0; i < ControlSocket::kMostCallers; ++i) {
    eight.push_back(std::make_unique<Call>(path_));
    eight.back()->say("x\n");
  }
  turn_until("eight others", [&] { return asked_.size() == before + ControlSocket::kMostCallers; });
  eight.clear();
  const int gone = gone_;
  staying.reset();
  turn_until("all are gone",
             [&] { return gone_ == gone + 1 + static_cast<int>(ControlSocket::kMostCallers); });
  Call next(path_);
  EXPECT_TRUE(ask_to_stay(next));
}

TEST_F(ControlSocketTest, StayingCallerThatDoesNotReadIsDisconnected) {
  act_ = [&](ControlSocket::Caller caller) {
    EXPECT_TRUE(socket_.let_stay(caller));
    socket_.answer(caller, std::string(size_t{8} << 20, 'x'));
  };
  Call call(path_);
  call.say("stay\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  pass(0s);
  pass(11s);
  EXPECT_EQ(gone_, 1);
}

TEST_F(ControlSocketTest, CallerIsServedLater_WhenDescriptorsHadRunOut) {
  Call call(path_);
  call.say("status\n");
  const UniqueFd lowest_free(dup(STDERR_FILENO));
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{static_cast<rlim_t>(lowest_free.get()), limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  pass(0s);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  pass(0s);
  EXPECT_THAT(asked_, SizeIs(0)) << "it would be tried over and over";
  pass(1s);
  turn_until("it has asked", [&] { return asked_.size() == 1; });
}

TEST_F(ControlSocketTest, CallerThatDoesNotReadIsDisconnected) {
  answer_with(std::string(8 << 20, 'a'));
  Call call(path_);
  call.say("status\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  pass(0s);
  pass(9s);
  EXPECT_EQ(gone_, 0);
  pass(1s);
  EXPECT_EQ(gone_, 1);
}

TEST_F(ControlSocketTest, WhoReadsSlowlyGetsItAll) {
  answer_with(std::string(4 << 20, 'a'));
  Call call(path_);
  call.say("status\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  while (call.heard().size() < size_t{4} << 20) {
    ASSERT_FALSE(call.is_over());
    pass(9s);
  }
}

TEST_F(ControlSocketTest, CallerThatWaitsForALateAnswerStaysConnected) {
  Call call(path_);
  call.say("close\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  pass(1h);
  EXPECT_EQ(gone_, 0);
  socket_.answer(callers_[0], "{}");
  turn_until("the answer", [&] { return call.heard() == "{}\n"; });
}

TEST_F(ControlSocketTest, LoopSleepsWhileNothingHappens) {
  Call asking(path_);
  asking.say("status\n");
  turn_until("it has asked", [&] { return asked_.size() == 1; });
  Call silent(path_);
  Call following(path_);
  let_follow(following);
  // A waiting turn has nothing to do until a timeout: no descriptor is ready.
  pass(0s);
  EXPECT_EQ(gone_, 0);
  EXPECT_EQ(asked_.size(), 2u);
}

// --- Following

TEST_F(ControlSocketTest, FollowersReceiveEvents) {
  Call one(path_);
  Call other(path_);
  let_follow(one);
  EXPECT_TRUE(socket_.has_followers());
  socket_.tell("first", "overrun");
  let_follow(other);
  socket_.tell("second", "overrun");
  turn_until("both are told",
             [&] { return one.heard() == "first\nsecond\n" && other.heard() == "second\n"; });
}

TEST_F(ControlSocketTest, WhoFollowsIsAskedForNothingMore) {
  Call call(path_);
  let_follow(call);
  call.say("status\n" + std::string(50'000, 'x') + "\nevents\n");
  socket_.tell("first", "overrun");
  turn_until("it is told", [&] { return call.heard() == "first\n"; });
  pass(0s);
  EXPECT_THAT(asked_, ElementsAre("events"));
  EXPECT_FALSE(call.is_over());
}

TEST_F(ControlSocketTest, FollowerMayBeSilentAndSlow_AndUsesNoCallersPlace) {
  std::vector<std::unique_ptr<Call>> followers;
  for (size_t i = 0; i < ControlSocket::kMostFollowers; ++i) {
    followers.push_back(std::make_unique<Call>(path_));
    let_follow(*followers.back());
  }
  socket_.tell(std::string(500'000, 'a'), "overrun");
  pass(1h);
  EXPECT_EQ(gone_, 0);
  bool may = true;
  act_ = [&](ControlSocket::Caller caller) {
    may = socket_.follow(caller);
    socket_.answer(caller, "no");
  };
  Call ninth(path_);
  ninth.say("events\n");
  turn_until("an answer", [&] { return ninth.heard() == "no\n"; });
  EXPECT_FALSE(may);
}

TEST_F(ControlSocketTest, EightFollowersLeaveRoomForCallers) {
  act_ = [this](ControlSocket::Caller caller) {
    EXPECT_TRUE(asked_.back() != "events" || socket_.follow(caller));
  };
  std::vector<std::unique_ptr<Call>> followers;
  for (size_t i = 0; i < ControlSocket::kMostFollowers; ++i) {
    followers.push_back(std::make_unique<Call>(path_));
    followers.back()->say("events\n");
  }
  Call other(path_);
  other.say("status\n");
  turn_until("the ninth has asked", [&] { return asked_.size() == 9; });
}

TEST_F(ControlSocketTest, FollowerThatDoesNotReadIsCutOff_WithALastEvent) {
  Call call(path_);
  let_follow(call);
  const std::string line(1000, 'a');
  for (int i = 0; i < 900; ++i) socket_.tell(line, "overrun");
  pass(0s);
  pass(1h);  // may take its time, also before it is told that it was too long
  for (int i = 0; i < 3000; ++i) socket_.tell(line, "overrun");
  pass(0s);
  turn_until("the end", [&] { return call.is_over(); });
  const std::string& heard = call.heard();
  EXPECT_TRUE(heard.ends_with("\noverrun\n"));
  EXPECT_EQ(heard.find("overrun"), heard.rfind("overrun")) << "it is told nothing more";
  EXPECT_GE(heard.size(), ControlSocket::kMostBehind - line.size());
  EXPECT_LE(heard.size(), ControlSocket::kMostBehind + (2u << 20));
  EXPECT_FALSE(socket_.has_followers());
}

TEST_F(ControlSocketTest, FollowerThatIsAlwaysALittleBehindCostsLittle) {
  Call call(path_);
  let_follow(call);
  const auto used = [] { return mallinfo2().uordblks + mallinfo2().hblkhd; };
  const size_t before = used();
  socket_.tell(std::string(600'000, 'a'), "overrun");  // more than the kernel holds
  for (size_t told = 0; told < 64u << 20;) {
    pass(0s);
    const size_t read = call.drop();
    ASSERT_NE(read, 0u);
    socket_.tell(std::string(read, 'a'), "overrun");
    told += read;
  }
  EXPECT_TRUE(socket_.has_followers());
  EXPECT_LE(used(), before + (8u << 20));
}

TEST_F(ControlSocketTest, FollowerThatIsAlwaysALittleBehindLosesNothing) {
  Call call(path_);
  let_follow(call);
  std::string told;
  const auto tell = [&](size_t size) {
    for (const size_t end = told.size() + size; told.size() < end;) {
      const std::string line = std::string(100, 'a') + std::to_string(told.size());
      socket_.tell(line, "overrun");
      told += line + '\n';
    }
  };
  tell(600'000);  // more than the kernel holds
  while (told.size() < 4u << 20) {
    const size_t before = call.heard().size();
    pass(0s);
    const size_t read = call.heard().size() - before;
    ASSERT_NE(read, 0u);
    tell(read);
  }
  turn_until("all of it", [&] { return call.heard().size() >= told.size(); });
  EXPECT_TRUE(call.heard() == told);
}

TEST_F(ControlSocketTest, FollowerThatIsCutOffAndNeverReadsIsDisconnected) {
  Call call(path_);
  let_follow(call);
  for (int i = 0; i < 3000; ++i) socket_.tell(std::string(1000, 'a'), "overrun");
  pass(0s);
  pass(ControlSocket::kPatience);
  EXPECT_EQ(gone_, 1);
  EXPECT_FALSE(socket_.has_followers());
}

TEST_F(ControlSocketTest, FollowerThatDisconnectsIsForgotten) {
  Call call(path_);
  let_follow(call);
  call.hang_up();
  turn_until("it is gone", [&] { return gone_ == 1; });
  EXPECT_FALSE(socket_.has_followers());
}

TEST_F(ControlSocketTest, AtTheEndFollowersReceiveAllEventsThatFit) {
  Call call(path_);
  let_follow(call);
  socket_.tell("closed", "overrun");
  socket_.close();
  EXPECT_TRUE(call.is_over());
  EXPECT_EQ(call.heard(), "closed\n");
}

}  // namespace
}  // namespace knockd
