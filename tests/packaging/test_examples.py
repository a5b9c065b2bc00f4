# SPDX-License-Identifier: MIT
"""Each file of conf/examples: `knockd -t` gives no warning, and after a knock each of its doors
does what the file says, with the real iptables and nft, or with a stub of a program that this
machine cannot have."""

import re
import signal

import pytest

import codes
import senders
from conftest import TREE
from daemon import Daemon, findings
from network import run
from waiting import repeat_until, wait_until

EXAMPLES = TREE / "conf/examples"
CLIENT = "192.0.2.2"

# The state of an open door: for each file, in the order of its doors, a line that the rules, or the
# records of stubs, then contain; after "no ", a line that they no longer contain.
EFFECTS = {
    "all-services": ["udp .*all_192.0.2.2_1194_udp"],
    "codes": [r"192\.0\.2\.2 \. tcp \. 22 timeout 1h"],
    "firewalld": ["firewall-cmd --zone=public --add-port=7777/tcp"],
    "game-server": ["wake-server minecraft", "wake-server valheim"],
    "luci": ["luci_192.0.2.2_443"],
    "notify": ["logger -t doorbell 192.0.2.2 has knocked at bell"],
    "one-time": ["ssh_192.0.2.2_22"],
    "open": [r"192\.0\.2\.2 \. tcp \. 22 timeout 1h"],
    "openwrt": [r"192\.0\.2\.2 \. tcp \. 22 timeout 1h"],
    "port-forward": ["to-destination 192.168.1.99:22", "no to-destination 192.168.1.99:22"],
    "protected-port": [r"192\.0\.2\.2 \. tcp \. 2222 timeout 10h"],
    "scan-trap": ["-A INPUT -s 192.0.2.2/32 -j DROP"],
    "ssh": ["-A INPUT -s 192.0.2.2/32 -p tcp .*--dport 22 -j ACCEPT",
            "no -A INPUT -s 192.0.2.2/32 -p tcp .*--dport 22 -j ACCEPT"],
    "ssh-timed": ["-A INPUT -s 192.0.2.2/32 -p tcp .*--dport 22 -j ACCEPT"],
    "udp": ["ssh_192.0.2.2_22"],
    "vpn": ["udp .*vpn_192.0.2.2_1194_udp"],
    "web": ["web_192.0.2.2_443", "no web_192.0.2.2_443"],
}

# Correct warnings of -t: these sequences are easy on purpose.
WARNINGS = {
    "game-server": [": one knock: any port scan opens the door"] * 2,
    "scan-trap": ["Scan_Limit = 0 turns the scan guard off: a port scan can open doors",
                  ": ascending neighbours: a port scan may knock them",
                  ": well-known ports: strangers try those below 1024 first"],
}


class Bench:
    """An example, adapted to this machine: its files are in the test's own folder."""

    def __init__(self, name, folder):
        self.notes = folder / "notes"
        self.notes.touch()
        programs = folder / "programs"
        programs.mkdir()
        for program, noted in (("firewall-cmd", "$*"), ("logger", "$*"),
                               ("wake-server", "$KNOCKD_DOOR")):
            stand_in = programs / program
            stand_in.write_text(f'#!/bin/sh\necho "{program} {noted}" >>{self.notes}\n')
            stand_in.chmod(0o755)
        self.prefix = ["env", f"PATH={programs}:{TREE}/src/firewall:/usr/sbin:/usr/bin:/sbin:/bin",
                       "KNOCKD_FIREWALL=iptables", f"KNOCKD_LOCK={folder}/lock"]
        sequences = folder / "sequences"
        sequences.write_text("7421,3096,5518\n")
        sequences.chmod(0o600)
        text = (EXAMPLES / f"{name}.conf").read_text()
        self.text = text.replace("/usr/local/bin/wake-server", str(programs / "wake-server"))
        self.text = self.text.replace("/etc/knockd.sequences", str(sequences))
        self.secret = codes.draw()
        secrets = folder / "secrets"
        secrets.write_text(f"alice {self.secret}\n")
        secrets.chmod(0o600)
        self.text = self.text.replace("/etc/knockd.secrets", str(secrets))

    def knocks(self, sequence):
        """The sequence with the current ports of its computed places."""
        if "totp" not in sequence:
            return sequence
        ports = iter(codes.computed(self.secret, codes.step_now()))
        return re.sub("totp", lambda _: str(next(ports)), sequence)

    def doors(self):
        """[(name, sequence)]"""
        found = re.findall(r"^\[(.*)\]|^ +Sequence +=(.*)$|^ +(One)_Time_Sequences", self.text,
                           re.MULTILINE)
        sections = [name for name, _, _ in found if name and name != "options"]
        knocks = [sequence.strip() or "7421,3096,5518" for name, sequence, _ in found if not name]
        return list(zip(sections, knocks, strict=True))


@pytest.fixture(params=sorted(path.stem for path in EXAMPLES.glob("*.conf")))
def example(request):
    return request.param


@pytest.fixture
def bench(example, tmp_path):
    return Bench(example, tmp_path)


def test_an_example_has_no_warnings(server, knockd, example, bench, tmp_path):
    with_fw4(server)
    config = tmp_path / "knockd.conf"
    config.write_text(bench.text)
    config.chmod(0o600)
    *warnings, last = findings(server.run(*bench.prefix, knockd, "-t", "-c", config).stdout)
    # A property of this machine.
    warnings = [line for line in warnings if "clock is not in sync" not in line]
    assert last == "configuration OK"
    expected = WARNINGS.get(example, [])
    assert len(warnings) == len(expected), warnings
    for warning, end in zip(warnings, expected):
        assert warning.endswith(end)


def with_fw4(server):
    server.run("nft", f'table inet fw4 {{\ninclude "{TREE}/openwrt/files/sets.nft"\n}}')


def state(server, bench):
    rules = [server.run("iptables", "-t", table, "-S").stdout for table in ("filter", "nat")]
    sets = [server.run("nft", "list", "set", "inet", table, name, check=False).stdout
            for table, name in (("fw4", "knockd4"), ("knockd", "open4_32"))]
    return "".join([*rules, *sets, bench.notes.read_text()]).replace('"', "")


def test_each_door_does_what_its_file_says(server, client, knockd, example, bench, tmp_path):
    with_fw4(server)
    server.run("iptables", "-P", "INPUT", "DROP")  # or there is nothing to open
    before = state(server, bench)
    daemon = Daemon(server, knockd, tmp_path / "run", bench.text, prefix=bench.prefix)
    if example in ("codes", "open", "protected-port"):
        before = state(server, bench)  # with the table, which stays
    doors = bench.doors()
    for (name, sequence), effect in zip(doors, EFFECTS[example], strict=True):
        senders.with_connect(client, server.ipv4, bench.knocks(sequence))
        daemon.wait_for(rf"{CLIENT}: {name}: OPEN SESAME")
        pattern = effect.removeprefix("no ")
        wait_until(
            lambda: bool(re.search(pattern, state(server, bench))) == (pattern == effect),
            effect, lambda: f"{state(server, bench)}\n{daemon.report()}")

    assert daemon.stop() == 0
    assert daemon.matching(r".*non-zero.*") == []
    # All doors with a stop command are closed; the others leave the state above.
    closes = re.search(r"^ +(Stop_Command|Open) ", bench.text, re.MULTILINE)
    if closes and example != "firewalld":
        # A stop command outlives a daemon that waits no longer for it.
        wait_until(lambda: state(server, bench) == before, "all doors are closed",
                   lambda: f"{before}\n{state(server, bench)}\n{daemon.report()}")


@pytest.mark.parametrize("example", ["firewalld"])
def test_a_second_knock_extends_the_time(server, client, knockd, bench, tmp_path):
    """The stop command of the first knock would close the opening of both."""
    daemon = Daemon(server, knockd, tmp_path / "run", bench.text, prefix=bench.prefix)
    [(name, sequence)] = bench.doors()
    senders.with_connect(client, server.ipv4, sequence)
    daemon.wait_for(f"{name}: running command: .*")
    senders.with_connect(client, server.ipv4, sequence)
    daemon.wait_for(f"{CLIENT}: {name}: already open, time extended")


def commands_have_ended(daemon):
    """True if a status after the last command shows it."""
    lines = daemon.lines()
    last = max(i for i, line in enumerate(lines) if "running command" in line)
    return any(" 0 commands running, 0 waiting" in line for line in lines[last:])


@pytest.mark.parametrize("example", ["ssh"])
def test_one_closing_ends_the_openings_of_two_knocks(server, client, knockd, bench, tmp_path):
    def rules():
        return server.run("iptables", "-S", "INPUT").stdout

    before = rules()
    daemon = Daemon(server, knockd, tmp_path / "run", bench.text, prefix=bench.prefix)
    (opens, opening), (_, closing) = bench.doors()
    for count in (1, 2):
        senders.with_connect(client, server.ipv4, opening)
        daemon.wait_for(f"{opens}: running command: .*", count)
    repeat_until(lambda: daemon.send(signal.SIGUSR1), lambda: commands_have_ended(daemon),
                 "the end of both commands", daemon.report)
    assert rules() != before
    senders.with_connect(client, server.ipv4, closing)
    wait_until(lambda: rules() == before, "no rule", lambda: f"{rules()}\n{daemon.report()}")
