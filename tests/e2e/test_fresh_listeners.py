# SPDX-License-Identifier: MIT
"""Listeners re-execute the program: nothing of the daemon's commands or environment is in the
memory of the process that reads strangers' packets, however the daemon was started."""

import contextlib
import os
import pathlib
import re
import shutil
import tempfile

import pytest

from daemon import Daemon
from network import OWN_MOUNTS, run
from waiting import wait_until

USER = 61235
DOOR = """
[options]
    StateFile = none
    Control = none
[door]
    sequence = 7000,8000,9000
    tcpflags = syn
    start_command = : {marker}-start %IP%
    stop_command = : {marker}-stop %IP%
"""
MARKER = "kiwi4711"
IN_COMMANDS = f"{MARKER}-in-commands"
IN_ENVIRONMENT = f"{MARKER}-in-environment"
WARNING = "knockd: warning: listeners keep a copy of the daemon's memory"


def children(pid):
    return [int(child)
            for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def the_listener(daemon):
    """The pid of the listener, the daemon's only child."""
    return wait_until(lambda: children(daemon.pid), "a listener", daemon.report)[0]


def command_line(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")


def memory(pid):
    """The readable memory of a process, region by region."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            begin, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if not rights.startswith("r"):
                continue
            with contextlib.suppress(OSError, OverflowError):  # the kernel's own pages
                mem.seek(int(begin, 16))
                yield mem.read(int(end, 16) - int(begin, 16))


def holds(pid, text):
    return any(text.encode() in region for region in memory(pid))


@pytest.fixture
def assert_opens(client, server, knock_binary):
    def knock_and_see(daemon, count=1):
        client.run(knock_binary, "--delay", "20ms", server.ipv4, "7000", "8000", "9000")
        daemon.wait_for(f"{client.ipv4}: door: OPEN SESAME", count)

    return knock_and_see


@pytest.fixture
def folder():
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="knockd-fresh-", dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


@pytest.fixture
def copy(knockd, folder):
    """A copy of the program in another folder."""
    path = folder / "knockd"
    shutil.copy(knockd, path)
    path.chmod(0o755)
    return path


@pytest.fixture
def start_copy(server, copy, folder):
    """start_copy(*prefix): runs the copy on the server, with this prefix of the command line."""
    def begin(*prefix, listens=True, config=DOOR.format(marker=IN_COMMANDS)):
        run_folder = folder / "run"
        run_folder.mkdir()
        os.chown(run_folder, USER, USER)
        if not prefix:
            return Daemon(server, copy, run_folder, config, listens=listens)
        daemon = Daemon(server, copy, run_folder, config, listens=False,
                        prefix=["sh", "-c", 'chmod 644 "$0"; exec "$@"', run_folder / "knockd.conf",
                                *prefix])
        if listens:
            daemon.wait_until_listening()
        return daemon

    return begin


def as_user(capabilities, *then):
    """Runs as this user with exactly these capabilities, without those that setpriv keeps for
    itself."""
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
            f"--inh-caps=-all{capabilities}", f"--ambient-caps=-all{capabilities}", "env", *then]


AMBIENT = ",+net_raw"
NONE = ""
NO_NEW_PRIVS = ["setpriv", "--no-new-privs"]


def test_no_command_and_no_environment_is_in_its_memory(start_copy):
    daemon = start_copy("env", f"A_SECRET={IN_ENVIRONMENT}")
    listener = the_listener(daemon)
    for marker in (IN_COMMANDS, IN_ENVIRONMENT):
        assert holds(daemon.pid, marker), "the search itself finds nothing"
        assert not holds(listener, marker), marker
    assert not holds(listener, MARKER)
    assert pathlib.Path(f"/proc/{listener}/environ").read_bytes().rstrip(b"\0") == b""


def test_ps_shows_what_they_are(start_copy, copy, folder):
    """A listener is shown as such; the daemon keeps the arguments of its caller."""
    daemon = start_copy()
    assert command_line(the_listener(daemon)) == [b"knockd: listener eth0"]
    arguments = [argument.decode() for argument in command_line(daemon.pid)]
    assert arguments[:3] == [str(copy), "-c", f"{folder}/run/knockd.conf"]
    assert arguments[-4:] == ["-i", "eth0", "-g", f"{folder}/run/knockd.log"]
    assert WARNING not in daemon.output()


def test_the_loader_still_finds_its_libraries(start_copy):
    daemon = start_copy("env", "LD_LIBRARY_PATH=/nowhere", f"A_SECRET={IN_ENVIRONMENT}")
    environment = pathlib.Path(f"/proc/{the_listener(daemon)}/environ").read_bytes()
    assert environment.rstrip(b"\0") == b"LD_LIBRARY_PATH=/nowhere"


def test_an_upgrade_changes_nothing_until_the_restart(start_copy, copy, assert_opens):
    daemon = start_copy()
    # The way of a package manager.
    other = copy.with_name("other")
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    other.rename(copy)
    first = the_listener(daemon)
    os.kill(first, 9)
    daemon.wait_for("eth0: now listening on .*")
    second = the_listener(daemon)
    assert second != first
    assert command_line(second) == [b"knockd: listener eth0"]
    assert_opens(daemon)


def in_other_root(root, *mounts):
    """Starts in a root directory like the machine's, but with only these mounts."""
    binds = "".join(f"mount --bind {mount} {root}{mount} && " for mount in mounts)
    script = f'mount --bind / {root} && {binds} exec chroot {root} "$@"'
    return [*OWN_MOUNTS, "sh", "-c", script, "sh"]


def test_in_another_root(start_copy, folder, assert_opens):
    root = folder / "root"
    root.mkdir()
    daemon = start_copy(*in_other_root(root, "/dev", "/proc", "/tmp"))
    assert command_line(the_listener(daemon)) == [b"knockd: listener eth0"]
    assert_opens(daemon)


def test_without_proc_it_is_forked_with_one_warning(start_copy, folder, assert_opens):
    root = folder / "root"
    root.mkdir()
    daemon = start_copy(*in_other_root(root, "/dev", "/tmp"))
    assert daemon.output().count(WARNING) == 1, daemon.output()
    assert_opens(daemon)
    assert command_line(the_listener(daemon))[0].decode().endswith("/knockd")


@pytest.mark.parametrize("own_rights, capabilities, then", [
    (True, NONE, []),      # setcap
    (False, AMBIENT, []),  # a container, a unit with AmbientCapabilities
    (False, AMBIENT, NO_NEW_PRIVS),
    (True, AMBIENT, NO_NEW_PRIVS),
    (True, AMBIENT, []),
], ids=["file", "ambient", "ambient-no_new_privs", "both-no_new_privs", "both"])
def test_as_an_ordinary_user(start_copy, copy, assert_opens, own_rights, capabilities, then):
    if own_rights:
        run("setcap", "cap_net_raw+ep", copy)
    daemon = start_copy(*as_user(capabilities, *then))
    listener = the_listener(daemon)
    assert command_line(listener) == [b"knockd: listener eth0"]
    assert not holds(listener, IN_COMMANDS)
    status = pathlib.Path(f"/proc/{listener}/status").read_text()
    assert re.search(rf"^Uid:\t{USER}\t", status, re.M)
    assert re.search(r"^CapPrm:\t0+$", status, re.M)
    assert_opens(daemon)


def test_file_capabilities_lost_to_no_new_privs_are_reported_in_one_line(start_copy, copy):
    run("setcap", "cap_net_raw+ep", copy)
    daemon = start_copy(*as_user(NONE, *NO_NEW_PRIVS), listens=False)
    assert daemon.wait_for_end() == 1
    assert daemon.matching("eth0: no right to capture packets: .*CAP_NET_RAW .*"), daemon.report()


def test_the_name_of_a_listener_alone_does_not_start_one(server, knockd):
    """A caller that uses that name gets nothing from the program."""
    for given in ("</dev/null", "<<<nonsense"):
        done = server.run("bash", "-c", f"exec -a 'knockd: listener eth0' {knockd} {given}",
                          check=False)
        assert (done.returncode, done.stdout) == (75, "")
