# SPDX-License-Identifier: MIT
"""The client's knocks that change with time, compared with oathtool, and the manual page's client
made of a shell and oathtool."""

import pathlib
import re
import subprocess
import time

import pytest
from scapy.layers.inet import TCP, UDP

import codes as oath
from client_fixtures import capture, knock  # noqa: F401: fixtures
from network import OWN_MOUNTS
from waiting import wait_until
from wall_clock import WallClock

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
OTHER = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
MAN = pathlib.Path(__file__).resolve().parents[2] / "man/knock.1"


def computed(step, family=4, secret=SECRET, count=4):
    return oath.computed(secret, step, family, count)


def typed(step, digits=8, secret=SECRET):
    return oath.typed(secret, step, range(400, 400 + digits // 2))


def knocked_ports(packets):
    return [packet[TCP].dport if TCP in packet else packet[UDP].dport for packet in packets
            if UDP in packet or packet[TCP].flags == "S"]


@pytest.fixture
def in_a_step(capture):
    """in_a_step(action): the step that contained the whole action, and the knocked ports."""
    def run(action):
        for _ in range(3):
            listening = capture()
            step = int(time.time()) // 30
            action()
            same = int(time.time()) // 30 == step
            ports = knocked_ports(listening.packets())
            if same:
                return step, ports
        raise AssertionError("three times another step began meanwhile")

    return run


def private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def phones(tmp_path):
    """A file with two users."""
    return private(tmp_path / "phones", f"# ours\nalice {OTHER}\nbob  {SECRET.lower()}\n")


@pytest.fixture
def mine(tmp_path):
    """A file with one user."""
    return private(tmp_path / "mine", f"me {SECRET}\n")


@pytest.mark.parametrize("family", [4, 6])
def test_computed_ports_match_oathtool(in_a_step, knock, server, mine, family):
    step, ports = in_a_step(lambda: knock(
        server.address(family), "7000", "totp", "totp", "8000:udp", "totp", "totp", "--secret", mine))
    codes = computed(step, family)
    assert ports == [7000, *codes[:2], 8000, *codes[2:]]


@pytest.mark.parametrize("digits", [6, 8])
def test_typed_ports_match_oathtool(in_a_step, knock, server, mine, digits):
    places = ["400xx", "401xx", "402xx", "403xx"][:digits // 2]
    step, ports = in_a_step(lambda: knock(server.ipv6, "7000", *places, "--secret", mine))
    assert ports == [7000, *typed(step, digits)]


def test_a_door_of_a_configuration(in_a_step, knock, server, phones, tmp_path):
    config = tmp_path / "knockd.conf"
    config.write_text(f"[ssh]\nSequence = 7000,totp,totp,totp,totp\nSecrets = {phones}\nOpen = 22\n")
    arguments = [server.ipv4, "--config", config, "--door", "ssh", "--user"]
    step, ports = in_a_step(lambda: knock(*arguments, "bob"))
    assert ports == [7000, *computed(step)]
    step, ports = in_a_step(lambda: knock(*arguments, "alice"))
    assert ports == [7000, *computed(step, secret=OTHER)]


def test_a_secret_beside_the_configuration(in_a_step, knock, server, mine, tmp_path):
    """The case of a client for which the server's path is meaningless."""
    config = tmp_path / "knockd.conf"
    config.write_text("[ssh]\nSequence = 7000,totp,totp,totp\nSecrets = /no/such/file\n")
    step, ports = in_a_step(lambda: knock(server.ipv4, "--config", config, "--door", "ssh",
                                          "--secret", mine))
    assert ports == [7000, *computed(step, count=3)]


def complaint(knock, *arguments):
    done = knock(*arguments, check=False)
    assert done.returncode == 1 and "GEZD" not in done.stdout and "JBSW" not in done.stdout
    return done.stdout


def test_what_is_refused(knock, server, mine, phones, tmp_path, capture):
    listening = capture()
    arguments = [server.ipv4, "7000", "totp", "totp", "totp", "totp", "--secret"]
    mine.chmod(0o640)
    assert complaint(knock, *arguments, mine) == (
        f"knock: {mine}: others than its owner may use it (mode 0640): expected 0600\n")
    mine.chmod(0o600)
    assert complaint(knock, *arguments, tmp_path) == f"knock: {tmp_path}: expected a regular file\n"
    assert complaint(knock, *arguments, phones) == (
        f"knock: {phones}: has several users: expected --user NAME, one of: alice, bob\n")
    assert complaint(knock, *arguments, phones, "--user", "carl") == (
        f'knock: {phones}: no user "carl": expected one of: alice, bob\n')
    bad = private(tmp_path / "bad", f"me {SECRET}1\n")
    assert complaint(knock, *arguments, bad).startswith(f"knock: {bad}:1: expected a secret of")
    config = tmp_path / "knockd.conf"
    config.write_text("[ssh]\nSequence = 7000,totp,totp,totp\n[plain]\nSequence = 7000,8000,9000\n")
    door = [server.ipv4, "--config", config, "--door"]
    assert complaint(knock, *door, "ssh") == (
        f'knock: {config}: door "ssh" has places that change with time: expected Secrets = FILE in '
        "it, or --secret FILE\n")
    assert complaint(knock, *door, "plain", "--secret", mine) == (
        f'knock: {config}: door "plain" has no places like totp: expected no secret\n')
    assert knocked_ports(listening.packets()) == [], "knocked all the same"


class Rounds:
    """A `knock` that keeps running, and its lines."""

    def __init__(self, client, binary, output, *arguments, prefix=()):
        self._output = output
        with output.open("w") as stream:
            self.process = client.start(*prefix, binary, "-v", *arguments, stdout=stream,
                                        stderr=subprocess.STDOUT)

    def lines(self):
        return self._output.read_text().splitlines()

    def wait_for(self, text, count=1):
        wait_until(lambda: sum(text in line for line in self.lines()) >= count,
                   f"{count} lines with {text!r}", lambda: "\n".join(self.lines()), deadline=60)


def test_another_round_uses_the_codes_of_its_time(client, server, knock_binary, mine, tmp_path):
    clock = WallClock(tmp_path)
    before = int(time.time()) // 30
    rounds = Rounds(client, knock_binary, tmp_path / "output", server.ipv4, "7000", "totp", "totp",
                    "totp", "--secret", mine, "--check", "9", "--timeout", "5s", "--retry", "1",
                    prefix=clock.as_set())
    rounds.wait_for(f"hitting tcp {server.ipv4}:", count=4)
    clock.set(31)  # while it waits for the port
    rounds.wait_for(f"hitting tcp {server.ipv4}:", count=8)
    ports = [int(line.rsplit(":", 1)[1]) for line in rounds.lines() if line.startswith("hitting ")]
    steps = [computed(before + n, count=3) for n in range(5)]
    assert steps.index(ports[5:]) > steps.index(ports[1:4]), rounds.lines()
    rounds.process.terminate()
    rounds.process.wait(timeout=10)


def test_keep_knocks_again_until_a_signal(client, server, knock_binary, mine, tmp_path):
    rounds = Rounds(client, knock_binary, tmp_path / "output", server.ipv4, "7000", "totp", "totp",
                    "totp", "--secret", mine, "--keep", "10s")
    rounds.wait_for(f"knocked from {client.ipv4}; again within 7.500 s", count=2)
    assert sum(line == f"hitting tcp {server.ipv4}:7000" for line in rounds.lines()) == 2
    rounds.process.terminate()
    assert rounds.process.wait(timeout=10) == -15


def test_keep_knocks_when_the_own_address_changes(client, server, knock_binary, mine, tmp_path):
    # It waits for another code: the end of the step is near.
    rounds = Rounds(client, knock_binary, tmp_path / "output", server.ipv4, "7000", "totp", "totp",
                    "totp", "--secret", mine, "--keep", "1h",
                    prefix=WallClock(tmp_path).off_by(oath.seconds_to(5)))
    rounds.wait_for(f"knocked from {client.ipv4}; again within 3570.000 s")
    client.run("ip", "addr", "add", "192.0.2.77/24", "dev", "eth0")
    client.run("ip", "addr", "del", f"{client.ipv4}/24", "dev", "eth0")  # and its secondary ones
    client.run("ip", "addr", "replace", "192.0.2.77/24", "dev", "eth0")
    rounds.wait_for("knocked from 192.0.2.77; again")
    # The code of the first round opens only for the first address.
    hits = [line for line in rounds.lines() if line.startswith("hitting ")]
    assert len(hits) == 8 and not set(hits[1:4]) & set(hits[5:]), hits
    rounds.process.terminate()
    rounds.process.wait(timeout=10)


def test_keep_reports_a_failure_and_tries_again(client, server, knock_binary, mine, tmp_path):
    client.run("ip", "addr", "del", f"{client.ipv4}/24", "dev", "eth0")
    rounds = Rounds(client, knock_binary, tmp_path / "output", server.ipv4, "7000", "totp", "totp",
                    "totp", "--secret", mine, "--keep", "1h")
    rounds.wait_for("unreachable", count=2)
    client.run("ip", "addr", "add", f"{client.ipv4}/24", "dev", "eth0")
    rounds.wait_for(f"knocked from {client.ipv4}; again")
    rounds.process.terminate()
    rounds.process.wait(timeout=10)


def test_keep_ends_at_once_after_a_permanent_failure(knock, server, phones):
    assert "expected --user NAME" in complaint(
        knock, server.ipv4, "7000", "totp", "totp", "totp", "--secret", phones, "--keep", "10m")


def shell_client():
    """The lines in knock(1), as man(1) shows them."""
    displays = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", MAN.read_text(), re.MULTILINE | re.DOTALL)
    found = [text for text in displays if "oathtool" in text]
    assert len(found) == 1 and found[0].count("\n") == 3, found
    return found[0].replace(r"\-", "-")


@pytest.mark.parametrize("shell", [["dash"], ["bash"], ["busybox", "ash"]], ids=" ".join)
def test_three_lines_of_shell_are_a_client(in_a_step, client, server, tmp_path, shell):
    """Unchanged, with a host of that name."""
    private(tmp_path / ".knock.key", SECRET)
    (tmp_path / "hosts").write_text(f"{server.ipv4} server.example.com\n")
    script = tmp_path / "client"
    script.write_text(shell_client())
    step, ports = in_a_step(lambda: client.run(
        *OWN_MOUNTS, "sh", "-c",
        'mount --bind "$HOME/hosts" /etc/hosts && exec "$@"', "sh", *shell, script,
        env={"HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, check=False))
    assert ports == [7000, *computed(step)]
