# SPDX-License-Identifier: MIT
"""ssh through a port that is shut until a knock, with the configurations in the client's man page:
it gets in at the first attempt, every time."""

import os
import pathlib
import pwd
import subprocess

import pytest

from client_fixtures import (  # noqa: F401: fixtures
    SECRET, SEQUENCE, door, open_command, start_daemon)
from network import run
from waiting import wait_until

TRIES = 5
MAN_PAGE = pathlib.Path(__file__).resolve().parents[2] / "man" / "knock.1"


def documented():
    """The lines for ssh_config in the man page, by their keyword."""
    lines = [line.strip().replace(r"\-", "-") for line in MAN_PAGE.read_text().splitlines()]
    return {
        "proxy": next(line for line in lines if line.startswith("ProxyCommand knock")),
        "proxy with nc": next(line for line in lines if line.startswith("ProxyCommand sh")),
        "match exec": next(line for line in lines if line.startswith("Match originalhost")),
    }


WAYS = documented()


@pytest.fixture
def keys(tmp_path):
    """A host key, and the key of a user that the host accepts."""
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def sshd(server, keys):
    """The test's own sshd on the server's port SECRET."""
    config = keys / "sshd_config"
    config.write_text(f"""
Port {SECRET}
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
PidFile none
StrictModes no
UsePAM no
UseDNS no
KexAlgorithms curve25519-sha256
PermitRootLogin yes
PasswordAuthentication no
""")
    separation = pathlib.Path("/run/sshd")  # compiled in
    was_there = separation.is_dir()
    separation.mkdir(mode=0o755, exist_ok=True)
    log = keys / "sshd.log"
    with open(log, "wb") as stream:
        process = server.start("/usr/sbin/sshd", "-D", "-e", "-f", config, stderr=stream)
    wait_until(lambda: "Server listening on 0.0.0.0" in log.read_text(), "sshd listens",
               log.read_text)
    yield log
    process.terminate()
    process.wait(10)
    if not was_there:
        separation.rmdir()


@pytest.fixture
def shut(server):
    """The server drops all new connections."""
    server.run("iptables", "-P", "INPUT", "DROP")
    server.run("iptables", "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j",
               "ACCEPT")


@pytest.fixture
def ssh(client, server, keys, knock_binary):
    """ssh(way): one session as the user, that prints a word."""
    assert all(SEQUENCE.replace(",", " ") in line for line in WAYS.values())

    def session(way):
        host_key = (keys / "host.pub").read_text()
        (keys / "known_hosts").write_text(f"home {host_key}")
        config = keys / "ssh_config"
        # The options of the host come first, so that Match exec sees its address and port.
        config.write_text(f"""
Host home
    HostName {server.ipv4}
    Port {SECRET}
    HostKeyAlias home
    User {pwd.getpwuid(os.getuid()).pw_name}
    IdentityFile {keys}/user
    IdentitiesOnly yes
    UserKnownHostsFile {keys}/known_hosts
    BatchMode yes
    ConnectTimeout 10
    {WAYS[way].replace("knock %h", f"{knock_binary} %h")}
""")
        return subprocess.run(client.argv("ssh", "-F", config, "home", "echo inside"),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              check=False)

    return session


@pytest.mark.parametrize("way", WAYS)
def test_ssh_gets_in_at_the_first_try(ssh, client, server, sshd, shut, start_daemon, way):
    daemon = start_daemon(door())
    for number in range(TRIES):
        assert not client.reaches(server.ipv4, SECRET, timeout=0.05)
        done = ssh(way)
        assert (done.returncode, done.stdout) == (0, "inside\n"), (
            f"try {number + 1}:\n{done.stderr}\n{sshd.read_text()}\n{daemon.report()}")
        # The door has made exactly one rule.
        server.run(*open_command().replace("-I", "-D").replace("%IP%", client.ipv4).split())


def test_ssh_reports_a_door_that_stays_shut(ssh, sshd, shut):
    done = ssh("proxy")
    assert done.returncode == 255
    assert f"knock: port {SECRET} of" in done.stderr
    assert "did not open within 5.000 s: no answer" in done.stderr
