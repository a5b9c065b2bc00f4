# SPDX-License-Identifier: MIT
"""Open doors when the daemon exits, restarts, reloads its configuration, has very many of them, or
runs commands that misbehave."""

import json
import os
import pathlib
import re
import signal
import tempfile
import time

import pytest

from network import OWN_MOUNTS, run
from storm import Storm, source
from timed_ledger import TimedLedger, seconds_since_boot
from waiting import repeat_until, wait_until

TEST_SECONDS = 150
# Seconds: far less than hung commands take. Two are promised; a busy machine may need more.
LEAVES_WITHIN = 30
LONG = 600  # seconds: a door that no test sees closed by time


def options(*lines):
    return "\n".join(["[options]", "Log_Rate = 0", *lines, ""])


def door(ledger, *directives, cmd_timeout=LONG, name="a", start="true", stop="true"):
    """A door for one udp knock whose commands first append to the ledger, then run `start` or
    `stop`. A later directive wins."""
    return "\n".join([f"[{name}]", "sequence = 7000:udp", f"cmd_timeout = {cmd_timeout}",
                      f"start_command = {ledger.command('start')}; {start}",
                      f"stop_command = {ledger.command('stop')}; {stop}", *directives, ""])


@pytest.fixture
def storm(client, server):
    storm = Storm(client, server)
    yield storm
    storm.close()


@pytest.fixture
def open_doors(storm, ledger):
    """open_doors(daemon, count) knocks from this many sources and waits until each start command
    has run."""

    def started():
        return [line for line in ledger.lines() if line.startswith("start ")]

    def knock(daemon, count):
        for number in range(1, count + 1):
            storm.knock(source(number), 7000)
            if number % 50 == 0 or number == count:  # no faster than the listener can read
                wait_until(lambda: len(started()) >= number, f"{number} start commands",
                           lambda: f"{len(started())}, {daemon.report()[-2000:]}")
        assert set(started()) == {f"start {source(number)}" for number in range(1, count + 1)}

    return knock


def wait_until_none_is_open(daemon):
    """A stop command's effect may be visible before the daemon has recorded its end."""
    repeat_until(lambda: daemon.send(signal.SIGUSR1),
                 lambda: daemon.matching(r"status: .* doors?, 0 open; .*"), "every door is shut",
                 daemon.report)


def kill(daemon):
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()


def stopped(ledger):
    return {line.split()[1] for line in ledger.lines() if line.startswith("stop ")}


class Moment:
    """A time by the boot clock that is known to lie between two others, in seconds."""

    ROUNDED = 0.02  # two readings

    def __init__(self, earliest, latest):
        self.earliest, self.latest = earliest, latest

    def plus(self, seconds):
        return Moment(self.earliest + seconds, self.latest + seconds)

    def can_be(self, other):
        return (self.earliest <= other.latest + self.ROUNDED
                and other.earliest <= self.latest + self.ROUNDED)

    def __repr__(self):
        return f"{self.earliest:.2f} to {self.latest:.2f}"


def moment_of(action):
    """When `action`, which must be over when it returns, happened."""
    begin = seconds_since_boot()
    action()
    return Moment(begin, seconds_since_boot())


@pytest.fixture
def ends(server, knockd):
    """ends(daemon, door): when it will shut the openings of a door, the last opened last."""
    def of(daemon, door_name):
        answer = []
        asked = moment_of(lambda: answer.append(json.loads(server.run(
            knockd, "--status=json", "-c", daemon.config_file).stdout)))
        return [asked.plus(opening["left"]) for opening in answer[0]["openings"]
                if opening["door"] == door_name]
    return of


# --- leaving --------------------------------------------------------------------------------------

def test_hundreds_of_open_doors_are_shut_by_sigterm_or_by_the_next_start(start, ledger, open_doors):
    text = options() + door(ledger)
    daemon = start(text)
    open_doors(daemon, 400)
    assert daemon.stop(timeout=LEAVES_WITHIN) == 0
    left = 400 - len(stopped(ledger))
    told = daemon.left_open()
    assert told >= left, f"{left} left, {told} told"

    def all_are_shut():
        if len(stopped(ledger)) < 400:
            daemon = start(text)
            assert daemon.matching(r"\d+ doors? (is|are) open since an earlier run")
            assert daemon.stop() == 0
        return len(stopped(ledger)) == 400

    # On a busy machine even the next start may not have time for all.
    wait_until(all_are_shut, "the next starts shut the rest", daemon.report, deadline=120)
    assert stopped(ledger) == {source(number) for number in range(1, 401)}


def test_hung_stop_commands_do_not_delay_the_exit(start, ledger, open_doors, tmp_path):
    """Even those that ignore SIGTERM; the next start runs them again. On_Stop still runs."""
    text = options(f"On_Stop = echo left >> {tmp_path}/on_stop") + door(ledger, stop="trap '' TERM; sleep 1000; :")
    daemon = start(text)
    open_doors(daemon, 40)
    assert daemon.stop(timeout=LEAVES_WITHIN) == 0
    daemon.wait_for("40 doors could not be closed in time, the next start takes them up")
    wait_until((tmp_path / "on_stop").exists, "On_Stop is run", daemon.report)
    daemon = start(text)
    daemon.wait_for("40 doors are open since an earlier run")


def test_shutdown_keep_leaves_doors_to_the_next_start(start, ledger, open_doors):
    text = options("Shutdown = keep") + door(ledger, cmd_timeout=4)
    daemon = start(text)
    open_doors(daemon, 3)
    assert daemon.stop() == 0
    assert daemon.left_open() == 0, "it did not wait for them"
    assert stopped(ledger) == set()
    daemon = start(text)
    daemon.wait_for("3 doors are open since an earlier run")
    assert stopped(ledger) == set(), "they have time left"
    wait_until(lambda: len(stopped(ledger)) == 3, "every door is shut in time", daemon.report)


def test_a_removed_door_is_still_shut(start, ledger, open_doors):
    daemon = start(options() + door(ledger, cmd_timeout=3))
    open_doors(daemon, 1)
    kill(daemon)
    daemon = start(options() + "[other]\nsequence = 1,2,3\ncommand = true\n")
    ledger.wait_for(f"stop {source(1)}", also_found=daemon.report)
    assert daemon.matching(rf"{re.escape(source(1))}: a: command timeout")


def test_deadlines_mean_the_same_after_a_restart(start, storm, ledger, tmp_path, ends):
    text = options(f"Control = {tmp_path}/control") + door(ledger)
    daemon = start(text)

    def open_it():
        storm.knock(source(1), 7000)
        ledger.wait_for(f"start {source(1)}", also_found=daemon.report)

    end = moment_of(open_it).plus(LONG)
    for _ in range(3):
        kill(daemon)
        daemon = start(text)
        [told] = ends(daemon, "a")
        assert told.can_be(end), (told, end)


def test_overdue_doors_are_shut_at_once(start, storm, ledger, tmp_path):
    daemon = start(options() + door(ledger, cmd_timeout=1))
    storm.knock(source(1), 7000)
    ledger.wait_for(f"start {source(1)}", also_found=daemon.report)
    kill(daemon)
    time.sleep(1.1)  # its time must end while no daemon runs
    daemon = start(options() + door(ledger, cmd_timeout=LONG))
    ledger.wait_for(f"stop {source(1)}", also_found=daemon.report)


# --- another boot ---------------------------------------------------------------------------------

@pytest.fixture
def boot_id(tmp_path):
    """Returns a prefix that makes the daemon see the boot id in the file."""
    path = tmp_path / "boot_id"
    path.write_text("11111111-2222-3333-4444-555555555555\n")
    mount = f"mount --bind {path} /proc/sys/kernel/random/boot_id && exec \"$@\""
    return path, [*OWN_MOUNTS, "sh", "-c", mount, "sh"]


def test_the_time_left_continues_after_a_reboot(start, storm, tmp_path, boot_id):
    ledger = TimedLedger(tmp_path / "timed", {"a": 3})
    text = options() + ledger.door("a", "7000:udp")
    daemon = start(text, prefix=boot_id[1])
    knocked = seconds_since_boot()
    storm.knock(source(1), 7000)
    wait_until(ledger.events, "the door is open", daemon.report)
    kill(daemon)
    boot_id[0].write_text("99999999-2222-3333-4444-555555555555\n")
    daemon = start(text, prefix=boot_id[1])
    daemon.wait_for("1 door is open since an earlier run")
    wait_until(lambda: not ledger.open_doors(), "the door is shut", daemon.report)
    assert ledger.events()[-1].time >= knocked + 3 - Moment.ROUNDED


# --- reading the configuration again --------------------------------------------------------------

def test_a_reload_keeps_the_stop_command_of_open_doors(start, ledger, open_doors, storm):
    daemon = start(options() + door(ledger, cmd_timeout=3))
    open_doors(daemon, 2)
    daemon.config_file.write_text(options() + "[other]\nsequence = 7001:udp\ncommand = true\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-reading config file: .*")
    wait_until(lambda: stopped(ledger) == {source(1), source(2)}, "both are shut", daemon.report)


def test_a_faulty_reload_keeps_open_doors(start, ledger, open_doors):
    daemon = start(options() + door(ledger, cmd_timeout=3))
    open_doors(daemon, 2)
    daemon.config_file.write_text("[a]\nsequence = nonsense\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("the configuration is faulty, .*")
    wait_until(lambda: stopped(ledger) == {source(1), source(2)}, "both are shut", daemon.report)


# --- knocking again -------------------------------------------------------------------------------

LAST = r"\S+: last: OPEN SESAME"


@pytest.mark.parametrize("restart", [False, True])
def test_reknock(start, storm, tmp_path, ends, restart):
    """With `run` a second knock is a second opening; with `extend` the time begins again; `ignore` changes
    nothing."""
    ports = {"run": 7000, "extend": 7001, "ignore": 7002}
    ledger = TimedLedger(tmp_path / "timed", {how: LONG for how in ports})
    text = (options(f"Control = {tmp_path}/control")
            + "".join(ledger.door(how, f"{port}:udp", f"reknock = {how}")
                      for how, port in ports.items())
            + "[last]\nsequence = 7003:udp\ncommand = true\n")
    daemon = start(text)

    def knock():
        before = len(daemon.matching(LAST))
        for port in (*ports.values(), 7003):
            storm.knock(source(1), port)
        daemon.wait_for(LAST, before + 1)  # they are handled in order

    first = moment_of(knock).plus(LONG)
    wait_until(lambda: len(ledger.events()) == len(ports), "the start commands have run", daemon.report)
    if restart:
        kill(daemon)
        daemon = start(text)
    wait_until(lambda: seconds_since_boot() + LONG > first.latest + 0.1, "some time has passed")
    second = moment_of(knock).plus(LONG)
    expected = {"run": [first, second], "extend": [second], "ignore": [first]}
    for how, moments in expected.items():
        told = ends(daemon, how)
        assert len(told) == len(moments) and all(map(Moment.can_be, told, moments)), (how, told, moments)
    assert daemon.stop() == 0
    left = daemon.left_open()  # on a busy machine

    def all_are_closed():
        following = start(text)
        was_open = following.matching(".*open since an earlier run")
        assert following.stop() == 0
        return not was_open

    if left:
        wait_until(all_are_closed, "further starts and stops close the rest", daemon.report)
    else:
        assert all_are_closed()
    for how, moments in expected.items():
        ran = [event.what for event in ledger.events() if event.door == how]
        count = len(moments)
        assert ran[:2 * count] == ["start"] * count + ["stop"] * count
        # A stop that the daemon did not see end is run again.
        assert set(ran[2 * count:]) <= ({"stop"} if left else set())


# --- commands that misbehave ----------------------------------------------------------------------

def test_a_hung_start_command_is_logged_and_the_door_shut(start, ledger, storm):
    daemon = start(options() + door(ledger, cmd_timeout=1, start="sleep 1000"))
    storm.knock(source(1), 7000)
    ledger.wait_for(f"stop {source(1)}", also_found=daemon.report)
    daemon.wait_for(r"\S+: a: the start command is still running; running the stop command")


def test_hung_start_commands_block_no_door(start, ledger, open_doors):
    """More of them than can run at once; a knock in between still opens."""
    daemon = start(options() + door(ledger, cmd_timeout=1, start="sleep 1000"))
    open_doors(daemon, 80)
    wait_until(lambda: len(stopped(ledger)) == 80, "every door is shut", daemon.report)


def test_a_start_command_that_ends_late_is_undone_late(start, storm, ledger, tmp_path):
    """It takes longer than the daemon waits, and then opens the door after all."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    daemon = start(options() + door(
        ledger, f"start_command = read line < {gate}; {ledger.command('start')}", cmd_timeout=1))
    storm.knock(source(1), 7000)
    ledger.wait_for(f"stop {source(1)}", also_found=daemon.report)
    gate.write_text("go on\n")
    ledger.wait_for(f"stop {source(1)}", 2, also_found=daemon.report)
    assert ledger.lines() == [f"{what} {source(1)}" for what in ("stop", "start", "stop")]
    wait_until_none_is_open(daemon)
    kill(daemon)
    daemon = start(options() + door(ledger))
    assert not daemon.matching(".*open since an earlier run")


def test_a_start_command_that_had_to_wait_gets_the_full_time(start, storm, tmp_path):
    """33 knocks at once, with commands that take 3 s: the last one starts when the first are done.
    Counted from its knock, the door would close one second after the start instead of four."""
    ledger = TimedLedger(tmp_path / "timed", {"a": 4})
    daemon = start(options() + ledger.door("a", "7000:udp", work="sleep 3"))
    for number in range(1, 65):
        storm.knock(source(number), 7000)
    wait_until(lambda: len(ledger.stories()) == 64 and not ledger.open_doors(),
               "every door was open and is shut", daemon.report, 60)
    starts = [event.time for event in ledger.events() if event.what == "start"]
    assert max(starts) - min(starts) > 2
    assert ledger.faults(tolerance=2) == []


def test_a_command_that_prints_megabytes(start, ledger, storm):
    daemon = start(options() + door(ledger, cmd_timeout=1, start="head -c 20000000 /dev/zero"))
    storm.knock(source(1), 7000)
    ledger.wait_for(f"stop {source(1)}", also_found=lambda: str(daemon.lines()))


def test_unread_output_blocks_no_door(start, ledger, storm, server, tmp_path, knockd):
    """The commands' output is the daemon's own: here a pipe that is full."""
    config = tmp_path / "knockd.conf"
    config.write_text(options(f"StateFile = {tmp_path}/open-doors")
                      + door(ledger, cmd_timeout=1, start="head -c 20000000 /dev/zero"))
    reader, writer = os.pipe()
    log = tmp_path / "log"
    server.start(knockd, "-v", "-c", config, "-i", "eth0", "-g", log, stdout=writer, stderr=writer)
    os.close(writer)
    wait_until(lambda: log.exists() and "starting up" in log.read_text(), "it listens")
    for number in range(1, 4):
        storm.knock(source(number), 7000)
        ledger.wait_for(f"stop {source(number)}", also_found=log.read_text)
    os.close(reader)


def test_commands_that_close_their_output_and_leave_children(start, ledger, storm):
    """The daemon waits only for the shell itself."""
    daemon = start(options() + door(ledger, cmd_timeout=1,
                                    start="exec <&- >&- 2>&-; (sleep 1000; true) & sleep 1000 &"))
    storm.knock(source(1), 7000)
    ledger.wait_for(f"stop {source(1)}", also_found=daemon.report)
    assert not daemon.matching(".*still running.*")


def test_a_failed_fork_is_retried(start, ledger, storm, tmp_path, server, knockd):
    """No process can be created for a while, because of a limit of its own user; root has no such
    limit."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for path in (folder, *list(folder.parents)[:3]):
        if path.is_relative_to("/tmp") and path != pathlib.Path("/tmp"):
            path.chmod(0o755)
    user = 61234
    os.chown(folder, user, user)
    os.chown(ledger.path, user, user)
    prefix = ["setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups",
              "--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw"]
    binary = folder / "knockd"
    binary.write_bytes(pathlib.Path(knockd).read_bytes())
    binary.chmod(0o755)
    config = folder / "knockd.conf"
    config.write_text(options(f"StateFile = {folder}/open-doors") + door(ledger, cmd_timeout=1))
    config.chmod(0o644)
    log = folder / "log"
    daemon = server.start(*prefix, binary, "-c", config, "-i", "eth0", "-g", log)
    wait_until(lambda: log.exists() and "starting up" in log.read_text(), "it listens")

    limit = [*prefix[:6], "prlimit", "--pid", str(daemon.pid)]
    run(*limit, "--nproc=1:")
    storm.knock(source(1), 7000)
    wait_until(lambda: "command could not be started" in log.read_text(), "a failure", log.read_text)
    assert ledger.lines() == []
    run(*limit, "--nproc=100:")
    ledger.wait_for(f"stop {source(1)}", also_found=log.read_text)
    assert ledger.lines() == [f"start {source(1)}", f"stop {source(1)}"]
    assert log.read_text().count("command could not be started") == 1


# --- very many ------------------------------------------------------------------------------------

def private_bytes(pids):
    """Private written memory of the processes in bytes. Pages of the program that were only read do
    not count, because whether they are shared depends on other processes."""
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1]) * 1024
    return total


@pytest.fixture
def quick_folder():
    """In memory, to avoid 10,000 waits for a disk."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield folder


def test_ten_thousand_open_doors(start, storm, server, quick_folder):
    """One keeper, one listener, at most 5.5 MB more than without openings: about 350 bytes per
    opening, and the listener's entry for its source."""
    # The stop command has a typical length; a start command would only take time.
    daemon = start(options(f"StateFile = {quick_folder}/open-doors")
                   + f"[a]\nsequence = 7000:udp\ncmd_timeout = {LONG}\nmax_open = 10000\n"
                   "stop_command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT || true\n")
    before = private_bytes(server.processes())
    for number in range(1, 10_001):
        storm.knock(source(number), 7000)
        if number % 100 == 0:  # no faster than the listener can read
            line = f"{source(number)}: a: OPEN SESAME"
            wait_until(lambda line=line: line in daemon.log_file.read_text(), line, daemon.report_end)
    daemon.send(signal.SIGUSR1)
    daemon.wait_for("status: .*, 10000 open; .*")
    assert len(server.processes()) == 2, "a keeper and a listener"
    more = private_bytes(server.processes()) - before
    print(f"{more / 1e6:.2f} MB for 10,000 open doors")
    assert more <= 5_500_000
    assert daemon.stop(timeout=LEAVES_WITHIN) == 0
