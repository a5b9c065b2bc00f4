# SPDX-License-Identifier: MIT
"""Fixtures of the client's tests: runs of `knock`, the daemons that must accept its knocks, and a
capture of the packets that arrive at the server."""

import contextlib
import os
import socket

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from daemon import Daemon

DAEMONS = ["reference", "ours"]
SECRET = 2222  # the port that the door opens
SEQUENCE = "7000,8000:udp,9000"
_MARKER_PORT = 5  # no door uses it: its packet shows that all earlier ones have arrived
_ETH_P_ALL = 3  # linux/if_ether.h


@pytest.fixture(scope="session")
def reference_knock():
    return f"{os.environ['KNOCKD_REFERENCE']}/usr/bin/knock"


@pytest.fixture
def knock(client, knock_binary):
    """knock(*arguments) runs the client on the client's host; checks its status unless check=False,
    its output is in .stdout."""

    def run(*arguments, prefix=(), **options):
        return client.run(*prefix, knock_binary, *arguments, **options)

    return run


@pytest.fixture(params=DAEMONS)
def start_daemon(request, server, knockd, reference, tmp_path):
    """start_daemon(configuration): one of the daemons in use, on the server."""
    runs = []

    def start(config):
        binary = knockd if request.param == "ours" else reference
        runs.append(Daemon(server, binary, tmp_path / f"run{len(runs)}", config))
        return runs[-1]

    return start


def open_command(tool="iptables"):
    return f"{tool} -w -I INPUT -s %IP% -p tcp --dport {SECRET} -j ACCEPT"


def door(sequence=SEQUENCE, command=open_command(), tcpflags="syn", extra=""):
    """A configuration with the door `secret`. 0.8 has no command of its own for IPv6."""
    return f"""
[options]
    UseSyslog
[secret]
    sequence    = {sequence}
    seq_timeout = 15
    tcpflags    = {tcpflags}
    command     = {command}
    {extra}
"""


@pytest.fixture
def guarded(server):
    """The server, with a service at SECRET behind a policy that drops everything new."""
    for tool in ("iptables", "ip6tables"):
        server.run(tool, "-P", "INPUT", "DROP")
        server.run(tool, "-A", "INPUT", "-m", "conntrack", "--ctstate", "ESTABLISHED", "-j", "ACCEPT")
    server.run("ip6tables", "-A", "INPUT", "-p", "icmpv6", "-j", "ACCEPT")
    server.serve(SECRET)
    return server


class Capture:
    """The packets from the client to the server since this object was made."""

    def __init__(self, client, server):
        self._client = client
        self._server = server
        self._wire = server.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._wire.bind(("eth0", _ETH_P_ALL))
        self._wire.settimeout(10)

    def packets(self):
        """The tcp and udp packets, starting with their IP headers; ends the capture."""
        with self._client.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
            marker.sendto(b"end", (self._server.ipv4, _MARKER_PORT))
        packets = []
        with self._wire:
            while True:
                frame = Ether(self._wire.recv(65535))
                if frame.src != self._client.mac or not (TCP in frame or UDP in frame):
                    continue
                if UDP in frame and frame[UDP].dport == _MARKER_PORT:
                    return packets
                packets.append(frame.payload)


@pytest.fixture
def capture(client, server):
    """capture() starts a capture on the server."""
    with contextlib.ExitStack() as stack:

        def begin():
            made = Capture(client, server)
            stack.callback(made._wire.close)
            return made

        yield begin


def without_chance(packet):
    """The bytes of a packet without the fields that the system chooses at random: source port,
    sequence number, IPv4 id, IPv6 flow label, time stamps, and hence the checksums."""
    copy = packet.copy()
    if IP in copy:
        copy[IP].id = 0
        copy[IP].chksum = 0
    else:
        copy[IPv6].fl = 0
    transport = copy[TCP] if TCP in copy else copy[UDP]
    transport.sport = 0
    transport.chksum = 0
    if TCP in copy:
        copy[TCP].seq = 0
        copy[TCP].options = [(name, (0, 0)) if name == "Timestamp" else (name, value)
                             for name, value in copy[TCP].options]
    return bytes(copy)
