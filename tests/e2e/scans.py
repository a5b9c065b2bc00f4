# SPDX-License-Identifier: MIT
"""Port scans by common scanners, and a server with the doors of all guides as their target.
scripts/scans runs many scans, test_scans.py a few with a certain result."""

import itertools
import math
import pathlib
import re
import signal
import subprocess

from daemon import Daemon
from guides import SCAN_LIMIT, knock_rules
from network import run
from waiting import DEADLINE, NeverHappened

_KNOCKERS = "198.18.0.0/15"  # RFC 2544: addresses for tests
_CLOSING_PORT = 60001  # by udp; none of nmap's common ports
_CLOSING_KNOCK = f"{_CLOSING_PORT}:udp"


def nmap(*options):
    """A scan of one host at the usual speed in a local network."""
    return ["nmap", "-n", "-Pn", "-T4", *options]


# Packets a second, low enough that with one daemon per guide none loses a packet.
RATE = 20000
UP = nmap("-sS", "-r", "-p1-65535", "--max-rate", str(RATE))
# nmap, nc and hping3 sort the given ports in ascending order.
DOWN = ["bash", "-c",
        "for ((port = 65535; port > 0; --port)); do : < /dev/tcp/$0/$port; done 2> /dev/null"]
COMMON = nmap("-sS")  # the thousand ports most often found open, in random order
COMMON_BY_CONNECT = nmap("-sT")
# The rate bounds the wait for answers: a kernel reports only few closed udp ports a second.
COMMON_UDP = nmap("-sU", "--top-ports", "100", "--min-rate", "500")


def sweep(*kinds, order="up", rate=RATE):
    """Sweeps of all ports with crafted packets, one after another; see sweep.py for the kinds. They
    leave out the port of the closing knock, a wrong knock for attempts at other doors."""
    return ["/usr/bin/python3", pathlib.Path(__file__).with_name("sweep.py"), order, str(rate),
            str(_CLOSING_PORT), *kinds]


# nmap's scan with these flags goes up; a crafted sweep goes down.
BY_FLAGS = {
    "SYN+ACK": ("SA", ("-sS", "--scanflags", "SYNACK")),
    "SYN+FIN": ("SF", ("-sS", "--scanflags", "SYNFIN")),
    "ACK": ("A", ("-sA",)),
    "FIN": ("F", ("-sF",)),
    "NULL": ("0", ("-sN",)),
}


def flags_up(flags):
    return nmap(*BY_FLAGS[flags][1], "-r", "-p1-65535", "--max-rate", str(RATE))


def flags_down(flags):
    return sweep(BY_FLAGS[flags][0], order="down")


class Scan:
    """Scans that begin together from one host; each command gets the address to scan as its last
    argument."""

    def __init__(self, host, address, *commands):
        self._host = host
        self._before = self._host.packets_sent()
        self._processes = [
            host.start(*command, address, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
            for command in commands]

    def is_running(self):
        return any(process.poll() is None for process in self._processes)

    def wait(self):
        """Returns the number of packets sent."""
        for process in self._processes:
            process.wait()
        return self._host.packets_sent() - self._before


class House:
    """A daemon with the doors of one guide and no-op commands; it logs everything it sees."""

    def __init__(self, server, binary, folder, doors, options=""):
        self.doors = doors
        config = f"[options]\nStateFile = {folder}.open-doors\nLog_Rate = 0\n{options}\n"
        for name, directives in [*doors, ("closing", {"sequence": _CLOSING_KNOCK})]:
            config += f"[{name}]\ncommand = :\n"
            config += "".join(f"{key} = {value}\n" for key, value in directives.items())
        self.daemon = Daemon(server, binary, folder, config)

    def told(self, source, what):
        """Its log lines about a source that match the pattern `what`."""
        return self.daemon.matching(rf"{re.escape(source)}: .*: {what}")

    def wait_for_opening(self, source, door, deadline=DEADLINE):
        self.daemon.wait_for(rf"{re.escape(source)}: {re.escape(door)}: OPEN SESAME", deadline=deadline)

    def lost(self):
        """Packets that its captures lost."""
        pattern = r"status: .* packets, (\d+) lost, .*"
        before = len(self.daemon.matching(pattern))
        self.daemon.send(signal.SIGUSR1)
        self.daemon.wait_for(pattern, before + 1)
        return int(re.fullmatch(pattern, self.daemon.matching(pattern)[-1]).group(1))


class Street:
    """A house for each guide, all at the server's address and receiving the same packets. Scans
    come from the client. Knocks come from the stranger, each from a new address."""

    def __init__(self, network, binary, knock, folder, guides=None, options=""):
        self.network = network
        self._knock = knock
        # The stranger uses any of these addresses, and the server answers to them.
        stranger, server = network.stranger, network.server
        stranger.run("ip", "route", "add", "local", _KNOCKERS, "dev", "lo")
        server.run("ip", "route", "add", _KNOCKERS, "via", stranger.ipv4)
        self._sources = (f"198.18.{i // 250}.{1 + i % 250}" for i in range(256 * 250))
        self.houses = [House(server, binary, folder / f"house{number}", doors, options)
                       for number, doors in enumerate(guides or knock_rules())]
        self._doors = itertools.cycle([(house, name, directives["sequence"])
                                       for house in self.houses
                                       for name, directives in house.doors])
        self.failures = []  # addresses of knocks that should have opened

    def scan(self, *commands):
        return Scan(self.network.client, self.network.server.ipv4, *commands)

    def knock(self, sequence):
        """Knocks from a new address and returns it."""
        source = next(self._sources)
        self.network.stranger.run(self._knock, "--delay", "2ms", "--source", source,
                                  self.network.server.ipv4, sequence)
        return source

    def knock_during(self, scan):
        """Knocks at one door after another while the scan runs. Returns the number of knocks sent
        meanwhile, and how many of them opened."""
        sent = opened = 0
        while scan.is_running():
            house, door, sequence = next(self._doors)
            source = self.knock(sequence)
            if not scan.is_running():
                break  # its last packets may have arrived after the scan
            sent += 1
            try:
                house.wait_for_opening(source, door, deadline=10)
                opened += 1
            except NeverHappened as failure:
                self.failures.append(str(failure))
        return sent, opened

    def settle(self):
        """Returns when each house has handled all earlier packets."""
        source = self.knock(_CLOSING_KNOCK)
        for house in self.houses:
            house.wait_for_opening(source, "closing")

    def lost(self):
        return sum(house.lost() for house in self.houses)

    def told(self, what):
        """What the houses have logged about the scanner."""
        return [line for house in self.houses
                for line in house.told(self.network.client.ipv4, what)]


def common_ports():
    """The tcp ports that nmap tries by default."""
    ports = set()
    listed = run("nmap", "-v", "-oG", "-", check=False).stdout
    for part in re.search(r"TCP\(\d+;([\d,-]+)\)", listed).group(1).split(","):
        first, _, last = part.partition("-")
        ports.update(range(int(first), int(last or first) + 1))
    return ports


def luck(ports, guides):
    """The probability that a scan of these ports in random order opens a door of one of the guides:
    its knocks are in order, with at most SCAN_LIMIT other ports in between."""
    sequences = {directives["sequence"] for doors in guides for _, directives in doors}
    chance = 0.0
    for sequence in sequences:
        knocks = sequence.split(",")
        if all(knock.isdigit() and int(knock) in ports for knock in knocks):
            gaps = len(knocks) - 1
            chance += math.comb(SCAN_LIMIT + gaps, gaps) / math.perm(len(ports) - 1, gaps)
    return chance
