# SPDX-License-Identifier: MIT
"""The network changes while the daemon runs: the same process still receives knocks."""

import itertools
import re
import signal

import pytest

from links import LINKS, SEQUENCE, Link, add_addresses, config, ethernet, ip, open_tun
from waiting import repeat_until, wait_until

PATIENCE = 0.3  # seconds: a knock that has opened no door by then was sent too early


class Knocker:
    """Knocks from a new source each time, so that the ledger distinguishes the knocks."""

    def __init__(self, link, ledger):
        self.link = link
        self.ledger = ledger
        self._numbers = itertools.count(1)

    def knock(self, destination):
        """Knocks and returns its source."""
        number = next(self._numbers)
        source = f"2001:db8:ffff::{number}" if ":" in destination else f"198.18.0.{number}"
        self.link.knock(SEQUENCE, source, destination)
        return source

    def assert_opens(self, daemon, destination, interface="eth0"):
        source = self.knock(destination)
        self.ledger.wait_for(f"opened {source} {interface}", also_found=daemon.report)

    def assert_soon_opens(self, daemon, destination, interface="eth0"):
        """After a change: the daemon needs a moment to hear again, so knocks are repeated."""
        expected = set()
        repeat_until(lambda: expected.add(f"opened {self.knock(destination)} {interface}"),
                     lambda: not expected.isdisjoint(self.ledger.lines()),
                     f"a knock at {destination} opens", daemon.report, pause=PATIENCE)


@pytest.fixture
def knocker(network, ledger):
    server = network.server
    return Knocker(Link("eth0", server.ipv4, server.ipv6, ethernet(network)), ledger)


SPARE_MAC = "02:00:00:00:01:02"
NEW = "198.51.100.7"
NEW6 = "2001:db8:7::7"
GONE = "interface eth0 does not exist, .*"  # a line of the log


# Each changes something of the server's eth0 and returns the addresses that must then work. `seen`
# waits until the daemon has seen the first half of a change; a daemon that is stopped never does.
def address_added(network, _seen=None):
    add_addresses(network.server, "eth0", f"{NEW}/24", f"{NEW6}/64")
    return [NEW, NEW6, network.server.ipv4, network.server.ipv6]


def address_replaced(network, _seen=None):
    add_addresses(network.server, "eth0", f"{NEW}/24", f"{NEW6}/64")
    address_removed(network)
    return [NEW, NEW6]


def address_removed(network, _seen=None):
    server = network.server
    ip(server, "address", "del", f"{server.ipv4}/24", "dev", "eth0")
    return [server.ipv6]


def peer_address(network, _seen=None):
    ip(network.server, "address", "add", NEW, "peer", "203.0.113.1/32", "dev", "eth0")
    return [NEW]


def down_and_up(network, _seen=None):
    ip(network.server, "link", "set", "eth0", "down")
    ip(network.server, "link", "set", "eth0", "up")
    add_addresses(network.server, "eth0", f"{network.server.ipv6}/64")  # removed by going down
    return [network.server.ipv4, network.server.ipv6]


def deleted_and_created(network, _seen=None):
    ip(network.server, "link", "del", "eth0")
    network.plug(network.server)
    return [network.server.ipv4, network.server.ipv6]


def deleted_and_created_later(network, seen):
    ip(network.server, "link", "del", "eth0")
    seen(GONE)
    network.plug(network.server)
    return [network.server.ipv4, network.server.ipv6]


def renamed_away_and_back(network, seen):
    ip(network.server, "link", "set", "eth0", "down")
    ip(network.server, "link", "set", "eth0", "name", "other")
    ip(network.server, "link", "set", "other", "up")
    seen(GONE)
    ip(network.server, "link", "set", "other", "down")
    ip(network.server, "link", "set", "other", "name", "eth0")
    ip(network.server, "link", "set", "eth0", "up")
    return [network.server.ipv4]


def another_takes_its_name(network, _seen=None):
    server = network.server
    network.plug(server, "spare", ipv4=NEW, ipv6=NEW6)
    ip(server, "link", "set", "eth0", "down")
    ip(server, "link", "set", "eth0", "name", "other")
    ip(server, "link", "set", "spare", "down")
    ip(server, "link", "set", "spare", "name", "eth0")
    ip(server, "link", "set", "eth0", "up")
    return [NEW]


CHANGES = [address_added, address_replaced, address_removed, peer_address, down_and_up,
           deleted_and_created, deleted_and_created_later, renamed_away_and_back,
           another_takes_its_name]


def test_knocks_on_a_device_that_took_the_name_at_once_are_heard(network, start, ledger):
    """No device goes down, and the daemon runs again only after both renames: only the index
    distinguishes the new eth0 from the old one."""
    server = network.server
    network.plug(server, "spare", SPARE_MAC, NEW, NEW6)
    daemon = start(config(ledger))
    daemon.send(signal.SIGSTOP)
    if ip(server, "link", "set", "eth0", "name", "other", check=False).returncode != 0:
        pytest.skip("this kernel renames no device that is up")
    ip(server, "link", "set", "spare", "name", "eth0")
    daemon.send(signal.SIGCONT)
    Knocker(Link("eth0", NEW, NEW6, ethernet(network, SPARE_MAC)), ledger).assert_soon_opens(daemon, NEW)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_that_are_seen_together(change, network, start, ledger, knocker):
    """A busy machine lets the daemon run only after the change."""
    daemon = start(config(ledger))
    daemon.send(signal.SIGSTOP)
    addresses = change(network, lambda pattern: None)
    daemon.send(signal.SIGCONT)
    for address in addresses:
        knocker.assert_soon_opens(daemon, address)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_knocks_open_after(change, network, start, ledger, knocker):
    daemon = start(config(ledger))
    for address in change(network, daemon.wait_for):
        knocker.assert_soon_opens(daemon, address)
    assert daemon.process.poll() is None, daemon.report()


def test_one_daemon_survives_all_changes(network, start, ledger, knocker):
    daemon = start(config(ledger))

    def seen(pattern):
        """Once more."""
        daemon.wait_for(pattern, known[pattern] + 1)

    for change in CHANGES[:-1]:  # the last leaves two devices behind
        for step in (change, deleted_and_created_later):  # afterwards as at first
            known = {GONE: len(daemon.matching(GONE))}
            for address in step(network, seen):
                knocker.assert_soon_opens(daemon, address)
    assert daemon.stop() == 0, daemon.report()


def test_forty_changes_miss_no_knock(network, start, ledger, knocker):
    """Other addresses are added and removed during knocks at one that stays."""
    server = network.server
    addresses = [f"198.51.100.{number}" for number in range(1, 41)]
    daemon = start(config(ledger))
    for turn, address in enumerate(addresses):
        ip(server, "address", "add", f"{address}/32", "dev", "eth0")
        if turn >= 3:
            ip(server, "address", "del", f"{addresses[turn - 3]}/32", "dev", "eth0")
        knocker.knock(server.ipv4)
    wait_until(lambda: len(ledger.lines()) == len(addresses), "every knock has opened", daemon.report)
    for address in addresses[-3:]:
        knocker.assert_soon_opens(daemon, address)
    assert daemon.stop() == 0, daemon.report()


def status(daemon):
    """Of eth0, by the second of two reports: all that the kernel told before the first is in it."""
    for _ in range(2):
        known = len(daemon.matching("status: eth0: .*"))
        daemon.send(signal.SIGUSR1)
        daemon.wait_for("status: eth0: .*", known + 1)
    return daemon.matching("status: eth0: .*")[-1]


def test_a_status_asked_for_after_a_change_is_that_of_the_changed_network(network, start, ledger,
                                                                          knocker):
    """So changes are followed at once."""
    server = network.server
    daemon = start(config(ledger))
    address_replaced(network)
    assert re.match(rf"status: eth0: listening on {NEW}, {server.ipv6}, {NEW6}; ", status(daemon))
    ip(server, "link", "set", "eth0", "down")
    assert status(daemon) == "status: eth0: waiting for it"
    assert daemon.matching("interface eth0 is down, waiting for it"), daemon.report()
    ip(server, "link", "set", "eth0", "up")
    knocker.assert_soon_opens(daemon, NEW)
    ip(server, "link", "del", "eth0")
    assert status(daemon) == "status: eth0: waiting for it"
    assert daemon.matching(GONE), daemon.report()


def test_forty_downs_and_ups(network, start, ledger, knocker):
    """The device is down for an instant only."""
    server = network.server
    daemon = start(config(ledger))
    for _ in range(40):
        ip(server, "link", "set", "eth0", "down")
        ip(server, "link", "set", "eth0", "up")
    knocker.assert_soon_opens(daemon, server.ipv4)
    assert daemon.stop() == 0, daemon.report()


def test_knocks_at_a_removed_address_are_ignored(network, start, ledger, knocker):
    """At one of the start as at one that came later. The last change is in force when a knock at the
    address that it added opens."""
    server = network.server
    daemon = start(config(ledger))
    knocker.assert_opens(daemon, server.ipv4)
    address_added(network)
    knocker.assert_soon_opens(daemon, NEW)
    address_removed(network)
    ip(server, "address", "del", f"{NEW}/24", "dev", "eth0")
    add_addresses(server, "eth0", "198.51.100.8/32")
    knocker.assert_soon_opens(daemon, "198.51.100.8")
    sources = [knocker.knock(address) for address in (server.ipv4, NEW)]
    knocker.assert_opens(daemon, "198.51.100.8")
    for source in sources:
        assert f"opened {source} eth0" not in ledger.lines(), daemon.report()


@pytest.mark.parametrize("last_at", ["the old address", "the new address"])
def test_knock_in_progress_survives_an_address_change(network, start, ledger, knocker, last_at):
    server = network.server
    daemon = start(config(ledger))
    knocker.link.knock("7000,8000:udp", "198.18.255.1", server.ipv4)
    address_added(network)
    knocker.assert_soon_opens(daemon, NEW)  # the change is in force
    knocker.link.knock("9000", "198.18.255.1", server.ipv4 if last_at == "the old address" else NEW)
    ledger.wait_for("opened 198.18.255.1 eth0", also_found=daemon.report)


def test_each_change_is_one_line(network, start, ledger):
    server = network.server
    daemon = start(config(ledger))
    # The kernel reports one change for each family.
    ip(server, "address", "flush", "dev", "eth0")
    daemon.wait_for("eth0: now listening on no address")
    before = len(daemon.matching("eth0: .*"))
    add_addresses(server, "eth0", f"{NEW}/24")
    daemon.wait_for(f"eth0: now listening on {NEW}")
    add_addresses(server, "eth0", f"{NEW6}/64")
    daemon.wait_for(f"eth0: now listening on {NEW}, {NEW6}")
    assert len(daemon.matching("eth0: .*")) == before + 2, daemon.report()


def test_daemon_started_before_the_device_hears_knocks_once_it_exists(network, start, ledger,
                                                                      knocker):
    ip(network.server, "link", "del", "eth0")
    daemon = start(config(ledger))
    assert daemon.matching(r"interface eth0 does not exist, waiting for it \(there are: lo\)") == \
        daemon.matching("interface .*"), daemon.report()
    network.plug(network.server)
    for address in (network.server.ipv4, network.server.ipv6):
        knocker.assert_soon_opens(daemon, address)


def test_no_address_at_start(network, start, ledger, knocker):
    ip(network.server, "address", "flush", "dev", "eth0")
    daemon = start(config(ledger))
    add_addresses(network.server, "eth0", f"{NEW}/24", f"{NEW6}/64")
    for address in (NEW, NEW6):
        knocker.assert_soon_opens(daemon, address)


# Several interfaces

ETH1_MAC = "02:00:00:00:01:01"


@pytest.fixture
def eth1(network, ledger):
    """A second interface of the server, and a knocker for it."""
    network.plug(network.server, "eth1", ETH1_MAC, NEW, NEW6)
    return Knocker(Link("eth1", NEW, NEW6, ethernet(network, ETH1_MAC)), ledger)


@pytest.mark.parametrize("named", ["-i repeated", "-i list", "Interface list", "any"])
def test_several_interfaces_are_heard_and_named(network, start, ledger, knocker, eth1, named):
    arguments = {"-i repeated": ["-i", "eth0", "-i", "eth1"], "-i list": ["-i", "eth0,eth1"],
                 "Interface list": [], "any": ["-i", "any"]}[named]
    options = "[options]\nInterface = eth0, eth1" if named == "Interface list" else ""
    daemon = start(config(ledger, options), *arguments, interface=None)
    listening = "any" if named == "any" else "eth0, eth1"
    assert daemon.matching(f"starting up, listening on {listening}"), daemon.report()
    for address in (network.server.ipv4, network.server.ipv6):
        knocker.assert_opens(daemon, address, "eth0")
    for address in (NEW, NEW6):
        eth1.assert_opens(daemon, address, "eth1")


def test_one_of_two_interfaces_vanishes_the_other_is_heard(network, start, ledger, knocker, eth1):
    daemon = start(config(ledger), interface="eth0,eth1")
    ip(network.server, "link", "del", "eth1")
    daemon.wait_for("interface eth1 does not exist, .*")
    knocker.assert_opens(daemon, network.server.ipv4)
    network.plug(network.server, "eth1", ETH1_MAC, NEW, NEW6)
    eth1.assert_soon_opens(daemon, NEW, "eth1")
    knocker.assert_opens(daemon, network.server.ipv6)


def test_any_hears_a_device_that_was_added_later(network, start, ledger, knocker):
    daemon = start(config(ledger), interface="any")
    network.plug(network.server, "eth1", ETH1_MAC, NEW, NEW6)
    eth1 = Knocker(Link("eth1", NEW, NEW6, ethernet(network, ETH1_MAC)), ledger)
    eth1.assert_soon_opens(daemon, NEW, "eth1")
    knocker.assert_opens(daemon, network.server.ipv4)


def test_point_to_point_device_returns_with_another_address(network, start, ledger):
    """The case of PPPoE after each forced disconnection."""
    server = network.server
    daemon = start(config(ledger), interface="tun0")
    knocker = Knocker(None, ledger)
    for number in (1, 2):
        tun = open_tun(server, "tun0")
        address = f"198.51.100.{number}"
        ip(server, "address", "add", address, "peer", "203.0.113.1", "dev", "tun0")
        ip(server, "link", "set", "tun0", "up")
        knocker.link = Link("tun0", address, None, lambda packet, tun=tun: tun.write(bytes(packet)))
        knocker.assert_soon_opens(daemon, address, "tun0")
        tun.close()


# Packets that are received twice

def hear_out(daemon, ledger, interfaces, count=1):
    """Waits until `count` doors were opened and the listeners have reported everything else."""
    wait_until(lambda: len(ledger.lines()) >= count, f"{count} doors open", daemon.report)
    daemon.send(signal.SIGUSR1)
    for interface in interfaces.split(","):
        daemon.wait_for(f"status: {interface}: .* packets?, .*")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("interface", ["eth0", "eth0,eth1", "any"])
def test_target_door_opens_once_for_forwarded_knocks(network, start, ledger, knocker, eth1, family,
                                                     interface):
    """The server forwards from eth0 to eth1; a packet is seen on both, but is one knock."""
    server = network.server
    target = "2001:db8:7::99" if family == 6 else "198.51.100.99"
    server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    ip(server, "neigh", "add", target, "lladdr", network.stranger.mac, "dev", "eth1")
    daemon = start(config(ledger, f"target = {target}"), interface=interface)
    source = network.client.address(family)
    knocker.link.knock(SEQUENCE, source, target)
    knocker.link.knock(SEQUENCE, source, server.address(family))  # this is not the target
    hear_out(daemon, ledger, interface)
    # Either of the two listeners may report it first.
    assert ledger.lines() in ([f"opened {source} eth0"], [f"opened {source} eth1"]), daemon.report()


def test_packet_that_any_hears_on_a_bridge_and_its_port_is_one_knock(network, start, ledger):
    link = LINKS["bridge"](network)
    daemon = start(config(ledger).replace(SEQUENCE, "8000:udp"), interface="any")
    for number in (1, 2):
        link.knock("8000:udp", f"198.18.0.{number}")
    hear_out(daemon, ledger, "any", count=2)
    assert sorted(ledger.lines()) == ["opened 198.18.0.1 br0", "opened 198.18.0.2 br0"]


# Names

@pytest.mark.parametrize("name, complaint", [
    ("a-name-of-sixteen", "interface"),
    ("eth/0", "interface"),
    ("", "interface"),
    ("..", "interface"),
])
@pytest.mark.parametrize("by", ["-i", "Interface"])
def test_an_invalid_interface_name_is_an_error(server, knockd, tmp_path, name, complaint, by):
    option = f"Interface = eth0,{name}," if by == "Interface" else ""
    file = tmp_path / "knockd.conf"
    file.write_text(f"[options]\n{option}\n[door]\nsequence = 7001,8010,9023\ntcpflags = syn\n")
    arguments = ["-i", name] if by == "-i" else []
    done = server.run(knockd, "-t", "-c", file, *arguments, check=False)
    assert done.returncode == 1, done.stdout
    assert complaint in done.stdout.lower() and name in done.stdout


@pytest.mark.parametrize("names, warning", [
    ("eth0,eth1,eth0", 'interface "eth0" is named twice'),
    ("eth0,any", 'interface "any" covers the others that are named'),
])
@pytest.mark.parametrize("by", ["-i", "Interface"])
def test_superfluous_interface_name_is_only_a_warning(network, start, knockd, ledger, knocker,
                                                      names, warning, by):
    option = f"[options]\nInterface = {names}" if by == "Interface" else ""
    daemon = start(config(ledger, option), interface=names if by == "-i" else None)
    tested = network.server.run(knockd, "-t", "-c", daemon.config_file).stdout
    assert warning in (daemon.output() if by == "-i" else tested)
    knocker.assert_opens(daemon, network.server.ipv4, "eth0")
    hear_out(daemon, ledger, "any" if "any" in names else "eth0")
    assert len(ledger.lines()) == 1
