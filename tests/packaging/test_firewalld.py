# SPDX-License-Identifier: MIT
"""knockd-firewall and doors without commands with the real firewalld, in a separate Debian with
systemd and D-Bus."""

import re

import pytest

import senders
from daemon import Daemon, findings
from debian import Debian
from fixtures import TREE
from waiting import wait_until


@pytest.fixture
def debian(server, tmp_path):
    debian = Debian(server, tmp_path, systemd=True)
    debian.copy(TREE / "src/firewall/knockd-firewall", "/root/knockd-firewall")
    debian.run("systemctl", "start", "firewalld")
    # It appears on the bus before its rules are in force.
    wait_until(lambda: "hook input" in server.run("nft", "list", "ruleset").stdout
               and debian.run("firewall-cmd", "--state", check=False).stdout == "running\n",
               "firewalld is in force")
    yield debian
    debian.close()


@pytest.fixture
def firewall(debian):
    """It detects that firewalld is in use."""
    def call(*arguments):
        said = debian.run("sh", "/root/knockd-firewall", *map(str, arguments)).stdout
        assert said == ""
    return call


def rules(debian):
    return debian.run("firewall-cmd", "--list-rich-rules").stdout


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_is_opened_to_one_address_and_closed(network, debian, firewall, family):
    server, client, stranger = network.server, network.client, network.stranger
    address, knocker = server.address(family), client.address(family)
    server.serve(2222)
    assert not client.reaches(address, 2222)
    for _ in range(2):
        firewall("open-port", "ssh", knocker, 2222, "1194:udp")
    assert client.reaches(address, 2222, timeout=2)
    assert not stranger.reaches(address, 2222)
    assert rules(debian).count(knocker) == 2
    for _ in range(2):
        firewall("close-port", "ssh", knocker, 2222, "1194:udp")
    assert not client.reaches(address, 2222)
    assert rules(debian).strip() == ""


def test_a_forward_leads_one_address_to_a_machine_behind(network, debian, firewall):
    server, client, stranger = network.server, network.client, network.stranger
    server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
               "net.ipv4.conf.eth0.send_redirects=0")
    stranger.run("ip", "route", "add", client.ipv4, "via", server.ipv4)
    stranger.serve(80)
    for _ in range(2):
        firewall("forward-port", "web", client.ipv4, 81, stranger.ipv4, 80)
    assert client.reaches(server.ipv4, 81, timeout=2)
    for _ in range(2):
        firewall("remove-forward-port", "web", client.ipv4, 81)
    assert not client.reaches(server.ipv4, 81)
    assert rules(debian).strip() == ""


def test_a_failed_close_is_a_failure(debian, firewall):
    """firewall-cmd cannot reach firewalld."""
    firewall("open-port", "ssh", "192.0.2.2", 2222)
    opened = rules(debian)
    for kind in ("", "firewalld"):
        done = debian.run("env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere",
                          f"KNOCKD_FIREWALL={kind}", "sh", "/root/knockd-firewall", "close-port",
                          "ssh", "192.0.2.2", "2222", check=False)
        assert done.returncode == 1 and "knockd-firewall: " in done.stdout
        assert rules(debian) == opened


DOOR = ("[options]\nInterface = eth0\n[ssh]\nSequence = 7421,3096,5518\nTCPFlags = syn\n"
        "Open = 2222\nOpen_For = 1h\n")


def test_a_door_without_commands_beside_it(network, debian, knockd, knock_binary, tmp_path):
    """-t reports what firewalld must accept; with the command of docs/firewalls.md it does."""
    server, client, stranger = network.server, network.client, network.stranger
    file = tmp_path / "knockd.conf"
    file.write_text(DOOR)
    file.chmod(0o600)

    def warnings():
        return findings(server.run(knockd, "-t", "-c", file).stdout)[:-1]

    warning, = warnings()
    assert "port 2222: chain inet firewalld filter_INPUT, which comes after knockd's own" in warning
    server.serve(2222)
    daemon = Daemon(server, knockd, tmp_path / "run", DOOR)
    command = re.search(r"^\| firewalld \| `(.*)` \|$", (TREE / "docs/firewalls.md").read_text(),
                        re.MULTILINE)[1]
    debian.run("sh", "-c", command.replace("22/", "2222/"))
    assert warnings() == []
    assert not client.reaches(server.ipv4, 2222)
    senders.with_knock(client, server.ipv4, "7421,3096,5518", knock_binary)
    daemon.wait_for("ssh: opened .*")
    for _ in range(2):
        assert client.reaches(server.ipv4, 2222)
        assert not stranger.reaches(server.ipv4, 2222)
        debian.run("firewall-cmd", "--reload")
    assert daemon.stop() == 0
    assert not client.reaches(server.ipv4, 2222)
