# SPDX-License-Identifier: MIT
"""The unchanged configurations of public guides do what the guides say: a knock at each door runs
its command. iptables is real; a program that this machine cannot have is replaced by a stub that
appends its name and arguments to the ledger."""

import shlex

import pytest

import senders
from fixtures import TREE
from guides import SEEDS, doors_of
from waiting import wait_until

PROGRAMS_OF_THE_GUIDES = ["/root/scripts/open-ssh.sh", "/root/scripts/open-all-services.sh",
                          "/root/scripts/close-all-services.sh", "/path/to/forward.sh",
                          "/etc/uciknockd.sh", "/usr/bin/firewall-cmd"]


class Programs:
    """The stubs, and the effect of a guide's command, for any program."""

    def __init__(self, folder, host, ledger):
        self._host = host
        self._ledger = ledger
        self._folder = folder / "programs"
        self._folder.mkdir()
        for path in PROGRAMS_OF_THE_GUIDES:
            stand_in = self._stand_in(path)
            stand_in.write_text(f'#!/bin/sh\necho "{path} $*" >> {ledger.path}\n')
            stand_in.chmod(0o755)

    def _stand_in(self, path):
        return self._folder / path.rsplit("/", 1)[1]

    def adapt(self, text):
        for path in PROGRAMS_OF_THE_GUIDES:
            text = text.replace(path, str(self._stand_in(path)))
        return text

    def has_run(self, command):
        """True if the rule that the command adds exists, or the rule that it deletes is gone, or
        the stub was called with these arguments."""
        words = shlex.split(command)
        if not words[0].endswith("iptables"):
            return " ".join(words) in self._ledger.lines()
        action = next(i for i, word in enumerate(words) if word in ("-A", "-I", "-D"))
        added = words[action] != "-D"
        words[action] = "-C"
        if words[action + 2] == "1":  # the rule's place
            del words[action + 2]
        return (self._host.run(*words, check=False).returncode == 0) == added


@pytest.fixture
def programs(tmp_path, server, ledger):
    return Programs(tmp_path, server, ledger)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_each_door_of_a_guide_opens(server, client, start, programs, is_reference, seed):
    text = seed.read_text()
    if is_reference and "On_Start" in text:
        pytest.skip("0.8 knows no On_Start")
    if is_reference:  # its LogFile wins over -g
        text = text.replace("/var/log/knockd.log", "knockd.log")
    daemon = start(programs.adapt(text))
    stop_commands = []
    for name, door in doors_of(text):
        senders.with_nc(client, server.ipv4, door["sequence"])
        daemon.wait_for(rf"{client.ipv4}: {name}: OPEN SESAME")
        command = (door.get("start_command") or door["command"]).replace("%IP%", client.ipv4)
        wait_until(lambda: programs.has_run(command), command, daemon.report)
        if "stop_command" in door:
            stop_commands.append(door["stop_command"].replace("%IP%", client.ipv4))
    if is_reference:
        return  # it waits for Cmd_Timeout before it exits
    assert daemon.stop() == 0
    for command in stop_commands:
        # It outlives a daemon that waits no longer for it.
        wait_until(lambda command=command: programs.has_run(command), command, daemon.report)


def test_the_doors_of_the_guides_are_many():
    """Checks the tests above, which are generated from files in the tree."""
    assert len(SEEDS) >= 19
    assert sum(len(doors_of(seed.read_text())) for seed in SEEDS) >= 30


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.stem)
def test_a_configuration_of_a_guide_is_ok(server, knockd, is_reference, seed):
    if is_reference:
        pytest.skip("0.8 has no -t")
    assert "configuration OK" in server.run(knockd, "-t", "-c", seed).stdout


@pytest.mark.parametrize("family", [4, 6])
def test_a_protected_port_is_shut_before_and_after(network, start, is_reference, family):
    """The knock server of a guide, as a configuration: conf/examples/protected-port.conf."""
    if is_reference:
        pytest.skip("0.8 knows no Open")
    server, client, stranger = network.server, network.client, network.stranger
    address = server.address(family)
    server.serve(2222)
    assert client.reaches(address, 2222), "the server itself lets everyone in"

    daemon = start((TREE / "conf/examples/protected-port.conf").read_text())
    assert not client.reaches(address, 2222)
    senders.with_connect(client, address, "1234,5678,9012")
    wait_until(lambda: client.reaches(address, 2222), "the door opens", daemon.report)
    assert not stranger.reaches(address, 2222)

    assert daemon.stop() == 0
    assert not client.reaches(address, 2222)
    # A second start finds the table of the first.
    before = server.run("nft", "list", "ruleset").stdout
    start((TREE / "conf/examples/protected-port.conf").read_text()).stop()
    assert server.run("nft", "list", "ruleset").stdout == before
