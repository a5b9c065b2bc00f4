# SPDX-License-Identifier: MIT
"""A one-time sequence opens once, even if the daemon is killed at any moment."""

import contextlib
import fcntl
import os
import random
import signal
import time

import pytest

from storm import Storm, source
from waiting import repeat_until, wait_until

TEST_SECONDS = 200
KILLS = 40


@pytest.fixture
def storm(client, server):
    storm = Storm(client, server)
    yield storm
    storm.close()


def port(number):
    """The port of the sequence with this number, which is one udp knock."""
    return 10_000 + number


def write_sequences(path, count):
    path.write_text("".join(f" {port(number)}:udp\n" for number in range(count)))


def in_force(path):
    """The numbers of the sequences that are not marked as used, in their order."""
    return [int(line.split(":")[0]) - port(0) for line in path.read_text().splitlines()
            if not line.startswith("#")]


def config(path, ledger):
    return (f"[options]\nLog_Rate = 0\n[once]\none_time_sequences = {path}\n"
            f"start_command = {ledger.command('opened')}\n")


def kill(daemon):
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()


def test_the_mark_outlives_a_kill(start, storm, ledger, tmp_path):
    """0.8 loses the buffered mark with the process, and the sequence opens again."""
    path = tmp_path / "sequences"
    write_sequences(path, 3)
    daemon = start(config(path, ledger))
    storm.knock(source(1), port(0))
    ledger.wait_for(f"opened {source(1)}", also_found=daemon.report)
    kill(daemon)
    assert in_force(path) == [1, 2]

    daemon = start(config(path, ledger))
    storm.knock(source(2), port(0))
    storm.knock(source(3), port(1))
    ledger.wait_for(f"opened {source(3)}", also_found=daemon.report)
    assert f"opened {source(2)}" not in ledger.lines()


def test_no_sequence_opens_twice_however_often_the_daemon_is_killed(start, storm, ledger, tmp_path):
    """A separate source knocks each sequence, before and after each kill."""
    seed = int(os.environ.get("KNOCKD_SEED", random.getrandbits(32)))
    print(f"KNOCKD_SEED={seed}")
    chance = random.Random(seed)
    path = tmp_path / "sequences"
    write_sequences(path, 1000)
    for life in range(1, KILLS + 1):
        daemon = start(config(path, ledger))
        end = time.monotonic() + chance.uniform(0, 0.1)
        most = 9 * life  # some sequences are left for the last run, on any machine
        while time.monotonic() < end and (current := in_force(path)[0]) < most:
            for number in range(max(current - 3, 0), current + 1):  # the used ones, too
                storm.knock(source(number + 1), port(number))
        kill(daemon)

    daemon = start(config(path, ledger))
    last = in_force(path)[0]
    for number in range(last + 1):
        storm.knock(source(number + 1), port(number))
    ledger.wait_for(f"opened {source(last + 1)}", also_found=daemon.report)
    opened = ledger.lines()
    assert len(set(opened)) == len(opened), "a sequence opened twice"
    assert len(opened) > KILLS / 2, "too little happened"
    used = set(range(1000)) - set(in_force(path))
    assert used == set(range(last + 1)), "they are used up in their order"
    assert {f"opened {source(number + 1)}" for number in used} >= set(opened)


def test_a_file_that_cannot_be_marked_keeps_the_door_shut(start, storm, ledger, tmp_path):
    """A folder takes its place, which even root cannot write to."""
    path = tmp_path / "sequences"
    write_sequences(path, 2)
    daemon = start(config(path, ledger) + "[other]\nsequence = 7000:udp\n"
                   f"command = {ledger.command('other')}\n")
    path.rename(tmp_path / "elsewhere")
    path.mkdir()
    storm.knock(source(1), port(0))
    daemon.wait_for("once: one-time file .* cannot be marked: .*")
    storm.knock(source(2), port(0))
    storm.knock(source(3), 7000)
    ledger.wait_for(f"other {source(3)}", also_found=daemon.report)
    assert ledger.lines() == [f"other {source(3)}"]


def test_with_none_left_the_door_stays_shut_and_others_still_open(start, storm, ledger, tmp_path):
    path = tmp_path / "sequences"
    write_sequences(path, 1)
    daemon = start(config(path, ledger) + "[other]\nsequence = 7000:udp\n"
                   f"command = {ledger.command('other')}\n")
    storm.knock(source(1), port(0))
    ledger.wait_for(f"opened {source(1)}", also_found=daemon.report)
    storm.knock(source(2), port(0))
    storm.knock(source(3), 7000)
    ledger.wait_for(f"other {source(3)}", also_found=daemon.report)
    assert ledger.lines() == [f"opened {source(1)}", f"other {source(3)}"]
    wait_until(lambda: len(daemon.matching("once: no more sequences .*")) == 1, "one line says so",
               daemon.report)


DISABLED = "once: no more sequences .*"


@pytest.fixture
def exhausted(tmp_path):
    path = tmp_path / "sequences"
    path.write_text(f"#{port(0)}:udp\n")
    return path


def with_another_door(path, ledger):
    return (config(path, ledger) + "[other]\nsequence = 7000:udp\ncmd_timeout = 600\n"
            f"command = {ledger.command('other')}\nstop_command = {ledger.command('stop')}\n")


def test_a_start_without_any_left_disables_only_that_door(start, storm, ledger, exhausted):
    """An exhausted list must not prevent the start: open doors would stay open, and all others
    would not work."""
    daemon = start(with_another_door(exhausted, ledger))
    storm.knock(source(1), port(0))
    storm.knock(source(2), 7000)
    ledger.wait_for(f"other {source(2)}", also_found=daemon.report)
    kill(daemon)
    daemon = start(with_another_door(exhausted, ledger))
    storm.knock(source(3), 7000)
    ledger.wait_for(f"other {source(3)}", also_found=daemon.report)
    assert len(daemon.matching(DISABLED)) == 1, daemon.report()
    assert daemon.stop() == 0
    assert sorted(ledger.lines()) == [f"other {source(2)}", f"other {source(3)}",
                                      f"stop {source(2)}", f"stop {source(3)}"]


def test_a_reload_without_any_left_disables_only_that_door(start, storm, ledger, exhausted):
    daemon = start("[other]\nsequence = 7001:udp\ncommand = true\n")
    daemon.config_file.write_text(with_another_door(exhausted, ledger))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(DISABLED)
    repeat_until(lambda: storm.knock(source(1), 7000), ledger.lines, "the other door opens",
                 daemon.report)
    # An appended line is used from the next reload on.
    with open(exhausted, "a", encoding="ascii") as file:
        file.write(f" {port(1)}:udp\n")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-reading config file: .*", 2)
    repeat_until(lambda: storm.knock(source(2), port(1)),
                 lambda: f"opened {source(2)}" in ledger.lines(), "the door opens", daemon.report)
    assert len(daemon.matching(DISABLED)) == 2, "at the first reload, and when that one was used"


# --- lists that differ: the client marks a line before it knocks, and a knock may get lost


def test_lines_that_were_skipped_are_used_up_too(start, storm, ledger, tmp_path):
    """All marks are on disk before the start command runs."""
    path = tmp_path / "sequences"
    write_sequences(path, 10)
    seen = tmp_path / "seen"
    daemon = start(f"""
[once]
one_time_sequences = {path}
start_command = cp {path} {seen}; {ledger.command('opened')}
""")
    storm.knock(source(1), port(2))
    ledger.wait_for(f"opened {source(1)}", also_found=daemon.report)
    assert in_force(seen) == list(range(3, 10))
    daemon.wait_for("once: one-time sequences that were skipped: 2, marked as used as well")
    for number in (0, 1, 2, 8, 3):  # used up, used up, used, not yet in force, and the next
        storm.knock(source(10 + number), port(number))
    ledger.wait_for(f"opened {source(13)}", also_found=daemon.report)
    assert ledger.lines() == [f"opened {source(1)}", f"opened {source(13)}"]
    assert in_force(path) == list(range(4, 10))


def test_client_opens_again_after_lost_knocks(start, knock_binary, client, server, ledger, tmp_path):
    lists = [tmp_path / name for name in ("of-the-daemon", "of-the-client")]
    for path in lists:
        path.write_text("".join(f" {7000 + i},{8000 + i}:udp,{9000 + i}\n" for i in range(8)))

    def knock():
        client.run(knock_binary, server.ipv4, "--one-time", lists[1])

    for _ in range(4):
        knock()  # no daemon runs yet
    daemon = start(config(lists[0], ledger))
    for count in (1, 2):
        knock()
        ledger.wait_for(f"opened {client.ipv4}", count, daemon.report)
    wait_until(lambda: lists[0].read_text() == lists[1].read_text(), "the lists agree",
               lists[0].read_text)


# --- a list that another program has locked


@contextlib.contextmanager
def locked(path):
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def two_doors(start, ledger, tmp_path):
    path = tmp_path / "sequences"
    write_sequences(path, 3)
    daemon = start(config(path, ledger) + "[other]\nsequence = 7000:udp\n"
                   f"command = {ledger.command('other')}\n")
    return path, daemon


def test_locked_list_delays_only_its_own_door(two_doors, storm, ledger):
    path, daemon = two_doors
    with locked(path):
        storm.knock(source(1), port(0))
        daemon.wait_for(f"{source(1)}: once: OPEN SESAME")
        storm.knock(source(2), 7000)
        ledger.wait_for(f"other {source(2)}", also_found=daemon.report)
        assert ledger.lines() == [f"other {source(2)}"]
        assert in_force(path) == [0, 1, 2], "it was marked in spite of the lock"
    # If the machine was so slow that the daemon gave up, the sequence is still valid.
    repeat_until(lambda: storm.knock(source(1), port(0)),
                 lambda: f"opened {source(1)}" in ledger.lines(), "the door opens", daemon.report)
    assert in_force(path) == [1, 2]
    storm.knock(source(3), port(1))
    ledger.wait_for(f"opened {source(3)}", also_found=daemon.report)
    assert ledger.lines() == [f"other {source(2)}", f"opened {source(1)}", f"opened {source(3)}"]


def test_list_that_stays_locked_keeps_the_door_closed_and_its_sequence_valid(
        two_doors, storm, ledger):
    path, daemon = two_doors
    with locked(path):
        storm.knock(source(1), port(0))
        daemon.wait_for("once: one-time file .* is locked by another program; the door stays closed")
    assert (ledger.lines(), in_force(path)) == ([], [0, 1, 2])
    storm.knock(source(1), port(0))
    ledger.wait_for(f"opened {source(1)}", also_found=daemon.report)
    assert in_force(path) == [1, 2]


def test_knock_that_waits_for_a_locked_list_is_dropped_at_exit(two_doors, storm, ledger):
    path, daemon = two_doors
    with locked(path):
        storm.knock(source(1), port(0))
        daemon.wait_for(f"{source(1)}: once: OPEN SESAME")
        assert daemon.stop() == 0
    assert (ledger.lines(), in_force(path)) == ([], [0, 1, 2])


def test_reload_while_a_list_is_locked(two_doors, storm, ledger):
    path, daemon = two_doors
    with locked(path):
        storm.knock(source(1), port(0))
        daemon.wait_for(f"{source(1)}: once: OPEN SESAME")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("once: one-time file .* is locked by another program; the door stays closed")
    storm.knock(source(1), port(0))
    ledger.wait_for(f"opened {source(1)}", also_found=daemon.report)
    assert in_force(path) == [1, 2]


def test_a_pipe_instead_of_a_list_does_not_block_a_reload(start, storm, ledger, tmp_path):
    """Otherwise anyone who may write to the folder of a list could keep doors open and SIGTERM
    unhandled."""
    path = tmp_path / "sequences"
    write_sequences(path, 2)
    daemon = start(config(path, ledger))
    path.unlink()
    os.mkfifo(path, 0o600)
    daemon.send(signal.SIGHUP)
    daemon.wait_for(".*one-time file .* cannot be read: .*")
    storm.knock(source(1), port(0))
    daemon.wait_for("once: one-time file .* cannot be marked: .*")
    daemon.stop()
