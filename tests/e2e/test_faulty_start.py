# SPDX-License-Identifier: MIT
"""A start that fails because of its configuration, after a crash: overdue doors are still closed
with their recorded commands, and nothing else changes."""

import signal
import subprocess

import pytest

from network import OWN_MOUNTS
from waiting import repeat_until

FAULTY = "[broken]\nsequence = abc\n"


def doors(ledger):
    """One door whose time is over soon, and one whose time never ends within a test."""
    return "".join(f"[{name}]\nsequence = {port}\ncmd_timeout = {seconds}\n"
                   f"start_command = {ledger.command(f'{name} opens')}\n"
                   f"stop_command = {ledger.command(f'{name} closes')}\n"
                   for name, port, seconds in (("short", 7001, 1), ("long", 7002, 600)))


@pytest.fixture
def crash(start, frames, ledger, client):
    """crash(options) leaves both doors open and recorded, and returns the daemon that died."""

    def open_both_and_die(options="", **how):
        daemon = start(options + doors(ledger), **how)
        frames.tcp(7002)
        frames.tcp(7001)
        ledger.wait_for(f"short opens {client.ipv4}", also_found=daemon.report)
        ledger.wait_for(f"long opens {client.ipv4}", also_found=daemon.report)
        daemon.send(signal.SIGKILL)
        daemon.wait_for_end()
        return daemon

    return open_both_and_die


@pytest.fixture
def try_start(server, knockd, tmp_path):
    """try_start(file, *arguments, prefix) starts the daemon, which must fail; returns its
    output."""

    def start_and_fail(file, *arguments, prefix=()):
        done = subprocess.run(
            server.argv(*prefix, knockd, "-c", file, "-i", "eth0", "-p", tmp_path / "pid",
                        *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=30, check=False, cwd=tmp_path)
        assert done.returncode == 1, done.stdout + done.stderr
        return done.stdout + done.stderr

    return start_and_fail


def closes_what_is_due_alone(ledger, client, attempt):
    said = []
    repeat_until(lambda: said.append(attempt()),
                 lambda: f"short closes {client.ipv4}" in ledger.lines(),
                 "the door that is due is closed", lambda: "\n".join(said))
    assert ledger.lines().count(f"short closes {client.ipv4}") == 1
    assert f"long closes {client.ipv4}" not in ledger.lines()
    return said


@pytest.mark.parametrize("arguments", [[], ["-d"]], ids=["foreground", "background"])
def test_overdue_doors_are_closed(crash, try_start, start, ledger, client, arguments):
    daemon = crash()
    sound = daemon.config_file.read_text()
    daemon.config_file.write_text(sound + FAULTY)
    said = closes_what_is_due_alone(ledger, client,
                                    lambda: try_start(daemon.config_file, *arguments))
    assert all("port \"abc\"" in text for text in said), said
    assert "1 door stays open until a start without errors" in said[-1]

    # The other is still recorded, with its time.
    daemon = start(sound)
    daemon.wait_for("1 door is open since an earlier run")
    assert daemon.stop() == 0
    ledger.wait_for(f"long closes {client.ipv4}", also_found=daemon.report)


@pytest.mark.parametrize("has_file", [True, False], ids=["faulty", "missing"])
def test_the_default_state_file_is_used_when_none_is_named(crash, try_start, ledger, client,
                                                           tmp_path, has_file):
    (tmp_path / "lib").mkdir()
    prefix = [*OWN_MOUNTS, "sh", "-c", f'mount --bind {tmp_path}/lib /var/lib && exec "$0" "$@"']
    daemon = crash("[options]\nControl = none\nStateFile = /var/lib/knockd/open-doors\n", prefix=prefix)
    faulty = tmp_path / "faulty.conf"
    if has_file:
        faulty.write_text("[options]\nSateFile = /nowhere\n" + FAULTY)
    assert (tmp_path / "lib/knockd/open-doors").exists(), daemon.report()
    closes_what_is_due_alone(ledger, client, lambda: try_start(faulty, prefix=prefix))


def test_a_running_daemon_is_not_disturbed(start, try_start, frames, ledger, client):
    daemon = start(doors(ledger))
    frames.tcp(7002)
    ledger.wait_for(f"long opens {client.ipv4}", also_found=daemon.report)
    sound = daemon.config_file.read_text()
    daemon.config_file.write_text(sound + FAULTY)
    said = try_start(daemon.config_file)
    assert "state file" not in said
    assert len(said.splitlines()) == 1, said
    assert daemon.stop() == 0
    assert ledger.lines() == [f"long {event} {client.ipv4}" for event in ("opens", "closes")]


def test_a_check_closes_nothing(crash, try_start, ledger, client):
    daemon = crash()
    daemon.config_file.write_text(daemon.config_file.read_text() + FAULTY)
    try_start(daemon.config_file, "-t")
    assert not [line for line in ledger.lines() if "closes" in line]


def test_no_file_is_created_when_nothing_is_recorded(try_start, tmp_path):
    faulty = tmp_path / "faulty.conf"
    faulty.write_text(f"[options]\nControl = none\nStateFile = {tmp_path}/lib/open-doors\n" + FAULTY)
    assert len(try_start(faulty).splitlines()) == 1
    assert not (tmp_path / "lib").exists()
