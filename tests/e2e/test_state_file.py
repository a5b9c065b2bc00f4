# SPDX-License-Identifier: MIT
"""The state file on file systems that fail: the daemon continues, reports it once, and closes every
door. state_file_test lets each single call fail; here the faults are real."""

import errno
import os
import pathlib
import re
import shutil
import signal

import pytest

from network import run
from small_disk import fill, tmpfs  # noqa: F401: fixture
from waiting import wait_until

TROUBLE = r"state file .*; open doors are remembered in memory alone.*"
OVER = r"state file .*: is written again"


def config(ledger, state_file, cmd_timeout=1):
    return f"""
[options]
    StateFile = {state_file}
    Log_Rate = 0
[a]
    sequence      = 7000
    start_command = {ledger.command('start')}
    cmd_timeout   = {cmd_timeout}
    stop_command  = {ledger.command('stop')}
"""


def knock_and_see_it_shut(frames, ledger, daemon, source):
    frames.tcp(7000, source=source)
    ledger.wait_for(f"stop {source}", also_found=daemon.report)
    story = [line for line in ledger.lines() if line.endswith(f" {source}")]
    assert story == [f"start {source}", f"stop {source}"]


def test_a_full_disk(start, frames, ledger, tmpfs):
    daemon = start(config(ledger, tmpfs / "open-doors", cmd_timeout=0))
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.1")
    filler = fill(tmpfs)
    # Records in the file's last page still fit; this many do not.
    numbers = range(2, 60)
    for number in numbers:
        knock_and_see_it_shut(frames, ledger, daemon, f"198.51.100.{number}")
    assert len(daemon.matching(".*state file.*")) == 1
    assert len(daemon.matching(TROUBLE)) == 1

    filler.unlink()
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.99")
    daemon.wait_for(OVER)
    assert len(daemon.matching(".*state file.*")) == 2


def test_doors_opened_on_a_full_disk_survive_a_kill_once_there_is_room(start, frames, ledger, tmpfs):
    text = config(ledger, tmpfs / "open-doors", cmd_timeout=5)
    daemon = start(text)
    filler = fill(tmpfs)
    sources = [f"198.51.100.{number}" for number in range(1, 61)]
    for source in sources[:-1]:
        frames.tcp(7000, source=source)
    daemon.wait_for(TROUBLE)
    filler.unlink()
    frames.tcp(7000, source=sources[-1])
    daemon.wait_for(OVER)
    # The number of parallel commands is limited, so the last doors may not be open yet.
    wait_until(lambda: {f"start {source}" for source in sources} <= set(ledger.lines()),
               "every door is open", daemon.report)
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    daemon = start(text)
    wait_until(lambda: {f"stop {source}" for source in sources} <= set(ledger.lines()),
               "every door is shut", daemon.report)


def test_a_read_only_file_system(start, frames, ledger, tmpfs):
    """Known doors are closed, and so are those that it cannot restore yet."""
    text = config(ledger, tmpfs / "open-doors", cmd_timeout=2)
    daemon = start(text)
    frames.tcp(7000, source="198.51.100.1")
    ledger.wait_for("start 198.51.100.1", also_found=daemon.report)
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    run("mount", "-o", "remount,ro", str(tmpfs))

    daemon = start(text)
    daemon.wait_for(r"state file .*: Read-only file system; open doors are .*")
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.2")
    assert ledger.lines().count("stop 198.51.100.1") == 1
    assert len(daemon.matching(".*state file.*")) == 1

    run("mount", "-o", "remount,rw", str(tmpfs))
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.3")
    daemon.wait_for(OVER)


def test_a_folder_that_is_taken_away(start, frames, ledger, tmp_path):
    state_file = tmp_path / "lib" / "open-doors"
    text = config(ledger, state_file, cmd_timeout=3)
    daemon = start(text)
    shutil.rmtree(state_file.parent)
    frames.tcp(7000)
    daemon.wait_for("state file .*taken away.*")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    daemon = start(text)
    ledger.wait_for(f"stop {frames.client.ipv4}", also_found=daemon.report)


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("call, error", [("fdatasync", "EIO"), ("write", "ENOSPC"), ("write", "EIO")])
def test_a_call_that_fails(start, frames, ledger, tmp_path, call, error, lasting):
    """strace lets calls on the state file fail, as the kernel would. A new file helps if only one
    call fails, or if the failing call is the sync of appended records."""
    state_file = tmp_path / "open-doors"
    new_file = tmp_path / "open-doors.new"
    when = "3+" if lasting else "3"  # the first two are the start's
    prefix = ["strace", "-f", "-qq", "-o", tmp_path / "trace", "-P", state_file, "-P", new_file,
              "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]
    daemon = start(config(ledger, state_file, cmd_timeout=0), prefix=prefix)
    for number in range(1, 6):
        knock_and_see_it_shut(frames, ledger, daemon, f"198.51.100.{number}")
    told = daemon.matching("state file.*")
    assert "INJECTED" in (tmp_path / "trace").read_text()
    assert len(told) == 1, told
    assert os.strerror(getattr(errno, error)) in told[0]
    assert ("in memory alone" in told[0]) == (lasting and call == "write")


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_refused(start, frames, ledger, tmp_path, mode):
    state_file = tmp_path / "open-doors"
    state_file.touch()
    state_file.chmod(mode)
    daemon = start(config(ledger, state_file, cmd_timeout=0))
    daemon.wait_for(f"state file {re.escape(str(state_file))}: can be written by others.*")
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.1")
    assert state_file.stat().st_size == 0


def test_a_link_is_refused(start, frames, ledger, tmp_path):
    (tmp_path / "open-doors").symlink_to("/etc/hosts")
    before = pathlib.Path("/etc/hosts").read_text()
    daemon = start(config(ledger, tmp_path / "open-doors", cmd_timeout=0))
    daemon.wait_for("state file .* is a symbolic link.*")
    knock_and_see_it_shut(frames, ledger, daemon, "198.51.100.1")
    assert pathlib.Path("/etc/hosts").read_text() == before


def test_two_daemons_never_share_a_file(start, frames, ledger, tmp_path):
    state_file = tmp_path / "open-doors"
    start(config(ledger, state_file))
    second = start(config(ledger, state_file))
    second.wait_for("state file .* is in use by another knockd.*")


def test_damage_loses_only_the_damaged_records(start, frames, ledger, tmp_path):
    state_file = tmp_path / "open-doors"
    text = config(ledger, state_file, cmd_timeout=2)
    daemon = start(text)
    sources = [f"198.51.100.{number}" for number in (1, 2, 3)]
    for source in sources:
        frames.tcp(7000, source=source)
        ledger.wait_for(f"start {source}", also_found=daemon.report)
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    content = bytearray(state_file.read_bytes())
    middle = content.index(b"stop 198.51.100.2")
    content[middle:middle + 4] = b"rm -"
    state_file.write_bytes(content[:-3])  # and the last record is torn

    daemon = start(text)
    daemon.wait_for("state file .* is damaged: .*")
    ledger.wait_for("stop 198.51.100.1", also_found=daemon.report)
    assert daemon.stop() == 0
    assert ledger.lines()[3:] == ["stop 198.51.100.1"]


def one_door(state_file, ledger):
    return config(ledger, state_file, cmd_timeout=600)


def reload_with(daemon, text):
    daemon.config_file.write_text(text)
    count = len(daemon.matching("re-reading config file: .*"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-reading config file: .*", count + 1)


def open_one(frames, ledger, daemon, source):
    frames.tcp(7000, source=source)
    ledger.wait_for(f"start {source}", also_found=daemon.report)


def test_a_reload_moves_open_doors_to_another_state_file(start, frames, ledger, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    daemon = start(one_door(old, ledger))
    open_one(frames, ledger, daemon, "198.51.100.1")
    reload_with(daemon, one_door(new, ledger))
    daemon.wait_for(f"open doors are kept in {re.escape(str(new))} from now on")
    open_one(frames, ledger, daemon, "198.51.100.2")
    assert not old.exists()
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()

    daemon = start(one_door(new, ledger))
    daemon.wait_for("2 doors are open since an earlier run")
    assert daemon.stop() == 0
    assert sorted(ledger.lines()[2:]) == ["stop 198.51.100.1", "stop 198.51.100.2"]


def test_a_reload_restores_the_doors_of_the_other_state_file(start, frames, ledger, tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    daemon = start(one_door(new, ledger))
    open_one(frames, ledger, daemon, "198.51.100.1")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    daemon = start(one_door(old, ledger))
    open_one(frames, ledger, daemon, "198.51.100.2")
    reload_with(daemon, one_door(new, ledger))
    daemon.wait_for("1 door is open since an earlier run")
    # The same file under another name is not another file.
    reload_with(daemon, one_door(f"{tmp_path}/./new", ledger))
    assert daemon.stop() == 0
    assert sorted(ledger.lines()[2:]) == ["stop 198.51.100.1", "stop 198.51.100.2"]
    assert len(daemon.matching(".* from now on")) == 1


def test_a_reload_keeps_the_state_file_when_the_other_cannot_be_used(start, frames, ledger,
                                                                      tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    daemon = start(one_door(old, ledger))
    open_one(frames, ledger, daemon, "198.51.100.1")
    new.symlink_to("/etc/hosts")
    reload_with(daemon, one_door(new, ledger))
    daemon.wait_for(f"state file {re.escape(str(old))}: is still in use, since open doors cannot be "
                    f"kept in {re.escape(str(new))}")
    open_one(frames, ledger, daemon, "198.51.100.2")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    daemon = start(one_door(old, ledger))
    daemon.wait_for("2 doors are open since an earlier run")


@pytest.mark.parametrize("call, error", [("read,pread64", "EIO"), ("open,openat", "EACCES"),
                                         ("open,openat", "EIO")])
def test_a_file_that_cannot_be_read_at_first_is_restored_later(start, frames, ledger, tmp_path,
                                                               call, error, server):
    state_file = tmp_path / "open-doors"
    text = one_door(state_file, ledger)
    daemon = start(text)
    open_one(frames, ledger, daemon, "198.51.100.1")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    before = state_file.read_bytes()
    # The first two attempts fail.
    daemon = start(text, prefix=["strace", "-f", "-qq", "-o", tmp_path / "trace", "-P", state_file,
                                 "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1..2"])
    daemon.wait_for(f"state file .*: .*{os.strerror(getattr(errno, error))}.*")
    open_one(frames, ledger, daemon, "198.51.100.2")
    daemon.wait_for("1 door is open since an earlier run")
    wait_until(lambda: state_file.read_bytes() != before, "a new file", daemon.report)
    assert sorted(path.name for path in tmp_path.glob("open-doors*")) == ["open-doors"]
    os.kill(server.pids_of("knockd")[0], signal.SIGTERM)  # strace would not hand it on
    assert daemon.wait_for_end() == 0
    assert sorted(ledger.lines()[2:]) == ["stop 198.51.100.1", "stop 198.51.100.2"]


def test_a_person_can_read_who_is_in(start, frames, ledger, tmp_path):
    daemon = start(config(ledger, tmp_path / "open-doors", cmd_timeout=600))
    frames.tcp(7000, source="198.51.100.1")
    ledger.wait_for("start 198.51.100.1", also_found=daemon.report)
    header, *facts = (tmp_path / "open-doors").read_text().splitlines()
    assert re.fullmatch(r"[0-9a-f]{8} knockd-open-doors version=2 boot-id=[0-9a-f-]{36}", header)
    assert re.fullmatch(
        r"[0-9a-f]{8} open id=1 source=198\.51\.100\.1 door=a interface=\S+ "
        r"left=\d{3}\.\d{9} boot=\d+\.\d{9} clock=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "
        r"synced=(yes|no) stop=.*stop 198\.51\.100\.1.*", facts[0])
