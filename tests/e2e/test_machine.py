# SPDX-License-Identifier: MIT
"""The tests leave alone the machine they run on, and notice what they leave behind."""

import os
import pathlib
import signal
import subprocess

import pytest

import machine
from network import run
from waiting import wait_until

NAME = f"kn{os.getpid()}"  # nothing else on this machine has this name
CONFIG = f"""
[options]  # StateFile and Control as they are by default
    Table = {NAME}
[{NAME}]
    Sequence = 7000
    Open     = 22
    Open_For = 600
"""


def test_a_killed_daemon_with_default_paths_leaves_the_machine_alone(start, frames):
    daemon = start(CONFIG)
    frames.tcp(7000, source="198.51.100.1")
    daemon.wait_for(f"198.51.100.1: {NAME}: OPEN SESAME")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()

    def traces(place):
        """The files that the daemon has left, below the place."""
        kept = [path for path in place("/var/lib/knockd").glob("*") if NAME in path.read_text()]
        return [*kept, *place("/run/knockd").glob(f"*{NAME}*")]

    assert len(traces(pathlib.Path)) == 2, "its opening, and the lock on its table"
    assert traces(machine.outside) == []


def remembered():
    return [os.path.exists(place) for place in ("/run/knockd", "/var/lib/knockd")]


def test_no_test_finds_what_the_one_before_has_left():
    assert not any(remembered())


@pytest.mark.parametrize("make, remove, line", [
    (["ip", "netns", "add", NAME], ["ip", "netns", "del", NAME], NAME),
    (["ip", "link", "add", NAME, "type", "bridge"], ["ip", "link", "del", NAME], NAME),
    (["nft", "add", "table", NAME], ["nft", "delete", "table", NAME], f"table ip {NAME}"),
], ids=["namespace", "interface", "table"])
def test_what_is_left_behind_is_found(make, remove, line):
    assert machine.left_behind() == []
    run(*make)
    assert any(line in found for found in machine.left_behind())
    run(*remove)
    assert machine.left_behind() == []


def test_a_process_that_is_left_behind_is_found():
    process = subprocess.Popen(["sleep", "600"])
    try:
        wait_until(lambda: machine.left_behind() == ["sleep 600 "], "the process is found")
    finally:
        process.kill()
        process.wait()
    assert machine.left_behind() == []
