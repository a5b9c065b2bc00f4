# SPDX-License-Identifier: MIT
"""Other programs change the ruleset again and again while doors are open: one in knockd's own
table, one in sets of a firewall like OpenWrt's fw4. Afterwards the ports are shut for strangers and
open for the knocker, for exactly the time left. scripts/rulesets does this fifty times for each
change."""

import os
import re
import time

import pytest

import senders
from daemon import Daemon
from fixtures import TREE
from nftables import elements, nft
from waiting import wait_until

ROUNDS = int(os.environ.get("KNOCKD_RULESET_ROUNDS", 2))
TEST_SECONDS = 60 + 20 * ROUNDS
SLACK = 1.0  # seconds by which the kernel's time may differ from the daemon's

SSH, WEB = 22, 80
DOORS = {SSH: "7421,3096:udp,5518", WEB: "9000,8000:udp,7000"}
CONFIG = f"""
[ssh]
Sequence = {DOORS[SSH]}
TCPFlags = syn
Open     = {SSH}
Open_For = 10h
[web]
Sequence   = {DOORS[WEB]}
TCPFlags   = syn
Open       = {WEB}
Open_For   = 10h
Open_Set   = inet fw4 knockd4
Open_Set_6 = inet fw4 knockd6
"""

FILES = TREE / "openwrt/files"
# `fw4 reload`: the sets stay as they are. Port 22 is knockd's own table's alone.
FIREWALL = ["table inet fw4", "flush table inet fw4", "table inet fw4 {",
            f'include "{FILES}/sets.nft"',
            "chain input { type filter hook input priority filter; policy drop;",
            "iif lo accept", "ct state established,related accept",
            "meta l4proto { icmp, icmpv6 } accept", f"tcp dport {SSH} accept",
            'iifname "eth0" jump input_wan', "}",
            "chain input_wan {", f'include "{FILES}/input_wan.nft"', "}", "}"]
OTHERS = ["table inet other", "delete table inet other",
          "table inet other { set many { type ipv4_addr; elements = { " +
          ", ".join(f"10.0.{n // 250}.{n % 250}" for n in range(1000)) + " }", "}", "}"]
KEY = "inet_proto . inet_service"
# A table of another program under the same names, which admits everybody.
WRONG = ["delete table inet knockd", "table inet knockd {",
         f"set shut {{ type {KEY}; elements = {{ tcp . {SSH} }}", "}",
         f"set kept {{ type {KEY}; elements = {{ tcp . {SSH} }}", "}",
         f"set open4_32 {{ type ipv4_addr . {KEY}; flags timeout;",
         f"elements = {{ 192.0.2.3 . tcp . {SSH} timeout 5h }}", "}",
         f"set open6_128 {{ type ipv6_addr . {KEY}; flags timeout; }}",
         "chain shut { type filter hook prerouting priority mangle + 1; accept; }", "}"]

# Transactions of other programs; each is one call of nft.
CHANGES = {
    "flush-ruleset": [["flush ruleset"]],
    "own-table-deleted": [["delete table inet knockd"]],
    "own-table-made-anew-empty": [["delete table inet knockd", "add table inet knockd"]],
    "own-table-made-anew-wrong": [WRONG],
    "own-set-deleted": [["flush chain inet knockd shut", "delete set inet knockd open4_32"]],
    "own-set-flushed": [["flush set inet knockd open4_32", "flush set inet knockd open6_128"]],
    "fw4-reload": [FIREWALL],
    "fw4-restart": [["delete table inet fw4"], FIREWALL],
    "fw4-set-deleted": [["flush chain inet fw4 input_wan", "delete set inet fw4 knockd4",
                         "delete set inet fw4 knockd6"]],
    "another-table": [OTHERS],
}


def own_table(host):
    """The table as nft prints it, without its elements."""
    listed = host.run("nft", "list", "table", "inet", "knockd", check=False).stdout
    return re.sub(r"(set open\S+ \{.*?)\n\t\telements = \{.*?\}", r"\1", listed, flags=re.DOTALL)


def deadlines(state_file, address):
    """{port: until when it is open for this address, by the boot clock}, as the daemon knows it."""
    until = {}
    for line in state_file.read_text().splitlines():
        found = re.search(rf" open id=\d+ source={re.escape(address)} door=(\S+) .* left=(\S+) "
                          r"boot=(\S+) ", line)
        if found:
            until[{"ssh": SSH, "web": WEB}[found[1]]] = float(found[2]) + float(found[3])
    return until


class Gateway:
    """The daemon, its firewall, and the client, which is admitted by both doors over both
    families."""

    def __init__(self, network, knockd, knock_binary, folder):
        self.server, self.client, self.stranger = network.server, network.client, network.stranger
        for port in DOORS:
            self.server.serve(port)
        nft(self.server, *FIREWALL)
        self.daemon = Daemon(self.server, knockd, folder / "run", CONFIG)
        self.table = own_table(self.server)
        self.until = {}
        for family in (4, 6):
            for sequence in DOORS.values():
                senders.with_knock(self.client, self.server.address(family), sequence, knock_binary)
        self.daemon.wait_for(r"\w+: opened .*", 4)
        for family in (4, 6):
            self.until[family] = wait_until(lambda family=family: self._recorded(folder, family),
                                            "both doors are recorded", self.daemon.report)

    def _recorded(self, folder, family):
        until = deadlines(folder / "open-doors", self.client.address(family))
        return until if len(until) == 2 else None

    def elements(self, port, family):
        if port == SSH:
            return elements(self.server, {4: "open4_32", 6: "open6_128"}[family])
        return elements(self.server, f"knockd{family}", ("inet", "fw4"))

    def is_right(self, port, family):
        return set(self.elements(port, family)) == {f"{self.client.address(family)} tcp {port}"}

    def time_off(self, port, family):
        """The difference in seconds between the kernel's time and the daemon's; the clock is read
        before and after the query."""
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        left, = self.elements(port, family).values()
        after = time.clock_gettime(time.CLOCK_BOOTTIME)
        until = self.until[family][port]
        return max(until - after - left, left - (until - before), 0)

    def wait_until_right(self, port):
        for family in (4, 6):
            wait_until(lambda family=family: self.is_right(port, family), f"port {port}, IPv{family}",
                       lambda: self.server.run("nft", "list", "ruleset").stdout +
                       self.daemon.report_end())

    def check(self, port):
        """Returns the deviation of the kernel's time."""
        for family in (4, 6):
            address = self.server.address(family)
            assert not self.stranger.reaches(address, port), f"port {port}, IPv{family}"
            assert self.client.reaches(address, port, timeout=2), f"port {port}, IPv{family}"
        return max(self.time_off(port, family) for family in (4, 6))


@pytest.mark.parametrize("change", CHANGES)
def test_ports_are_shut_and_open_as_before(network, knockd, knock_binary, tmp_path, change):
    gateway = Gateway(network, knockd, knock_binary, tmp_path)
    server = gateway.server
    off, longest = 0.0, 0.0
    for number in range(1, ROUNDS + 1):
        for transaction in CHANGES[change]:
            nft(server, *transaction)
        changed = time.monotonic()
        wait_until(lambda: own_table(server) == gateway.table, f"own table, round {number}",
                   lambda: own_table(server) + gateway.daemon.report_end())
        gateway.wait_until_right(SSH)
        longest = max(longest, time.monotonic() - changed)
        off = max(off, gateway.check(SSH))
        if server.run("nft", "list", "set", "inet", "fw4", "knockd4", check=False).returncode != 0:
            nft(server, *FIREWALL)
        gateway.wait_until_right(WEB)
        off = max(off, gateway.check(WEB))
        assert off <= SLACK, f"the time left is off by {off} s, round {number}"
    assert gateway.daemon.matching(r".*(NOT shut|cannot).*") == []
    print(f"{change}: right after each of {ROUNDS}; time left off by at most {off * 1000:.0f} ms; "
          f"put right within {longest * 1000:.0f} ms, pauses included")
