# SPDX-License-Identifier: MIT
"""The control socket at its default place, used without a path by root, the daemon's user, a member
of Control_Group, and an unprivileged user."""

import pathlib
import signal
import stat

import pytest

from network import OWN_MOUNTS, run
from waiting import wait_until

NOBODY = 65534
GROUP = "daemon"  # exists on every Debian
WITH_GROUP = f"Control_Group = {GROUP}"
DOOR = "StateFile = none\n[ssh]\nSequence = 7421,3096,5518\nCommand = true\n"
# A separate /run/knockd.
OWN_FOLDER = [*OWN_MOUNTS, "sh", "-ec", 'mkdir -p /run/knockd; mount -t tmpfs -o mode=755 none /run/knockd;'
              ' exec "$@"', "sh"]


@pytest.fixture
def ask(knockd, public_folder):
    """ask(daemon, user, *groups) asks for the status with no other option."""
    binary = public_folder / "knockd"
    binary.write_bytes(knockd.read_bytes())
    binary.chmod(0o755)

    def ask(daemon, user, *groups):
        groups = ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
        return run("nsenter", "-t", str(daemon.pid), "-m", "-r", "-n", "setpriv", f"--reuid={user}",
                   f"--regid={user}", *groups, str(binary), "--status", check=False)

    return ask


def daemon_with(start, options=""):
    return start(f"[options]  # Control as it is by default\n{options}\n{DOOR}", prefix=OWN_FOLDER)


def test_root_and_members_of_the_group_may_ask(start, ask):
    daemon = daemon_with(start, WITH_GROUP)
    for user, groups in ((0, []), (NOBODY, [GROUP])):
        done = ask(daemon, user, *groups)
        assert (done.returncode, done.stdout[:7]) == (0, "knockd "), done.stdout


def test_without_its_group_it_is_accessible_only_to_root_again(start):
    daemon = daemon_with(start, WITH_GROUP)
    folder = pathlib.Path(f"/proc/{daemon.pid}/root/run/knockd")

    def modes():
        return [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "control")]

    assert modes() == [0o750, 0o660]
    daemon.config_file.write_text(daemon.config_file.read_text().replace(WITH_GROUP, ""))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-reading config file: .*")
    wait_until(lambda: (folder / "control").exists() and modes() == [0o700, 0o600], "it is closed",
               lambda: str(modes()))


def test_the_socket_of_another_user_is_next_to_the_pid_file(server, ask, public_folder):
    """Root's folder exists, but is not writable."""
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    config, log = public_folder / "knockd.conf", public_folder / "log"
    config.write_text(f"[options]\nPidFile = {public_folder}/pid\nLogFile = {log}\n{DOOR}")
    config.chmod(0o644)
    rights = ["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"]
    daemon = server.start(*OWN_FOLDER, *user, *rights, public_folder / "knockd", "-c", config,
                          "-i", "eth0")
    wait_until(lambda: log.exists() and "starting up" in log.read_text(), "it listens")
    assert (public_folder / "knockd.control").is_socket(), log.read_text()
    done = run("nsenter", "-t", str(daemon.pid), "-m", "-r", "-n", *user, public_folder / "knockd", "-c",
               config, "--status", check=False)
    assert (done.returncode, done.stdout[:7]) == (0, "knockd "), done.stdout


@pytest.mark.parametrize("options", ["", WITH_GROUP])
def test_a_user_without_permission_gets_that_error(start, ask, options):
    """Not the error that no daemon runs."""
    done = ask(daemon_with(start, options), NOBODY)
    assert done.returncode == 1
    assert "only the user that knockd runs as and the members of Control_Group may ask" in done.stdout
