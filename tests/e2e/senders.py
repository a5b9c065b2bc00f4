# SPDX-License-Identifier: MIT
"""Common programs for knocking, each as a function: send(client, address, knocks) sends one or more
packets for each of `knocks`, in order; a knock is "7000" or "7000:udp", as in sequences."""

import os
import random
import socket

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

REFERENCE = os.environ.get("KNOCKD_REFERENCE", "")


def parts(knocks):
    """[(port, protocol)] of a list of knocks or of a comma list."""
    if isinstance(knocks, str):
        knocks = knocks.split(",")
    for knock in knocks:
        port, _, protocol = knock.partition(":")
        yield int(port), protocol or "tcp"


def with_knock(client, address, knocks, binary=None):
    """Debian's `knock`, or another program with the same command line."""
    client.run(binary or f"{REFERENCE}/usr/bin/knock", address,
               *(f"{port}:{protocol}" for port, protocol in parts(knocks)))


def with_nc(client, address, knocks):
    """OpenBSD's nc: `-z` for tcp; for udp a datagram (`-z` would send several)."""
    for port, protocol in parts(knocks):
        if protocol == "udp":
            client.run("sh", "-c", f"echo x | nc -u -q 0 {address} {port}", check=False)
        else:
            client.run("nc", "-z", "-w", "1", address, str(port), check=False)


def with_nmap(client, address, knocks):
    """One nmap run per port, with the options that guides use."""
    version = ["-6"] if ":" in address else []
    for port, protocol in parts(knocks):
        client.run("nmap", *version, "-n", "-Pn", "--host-timeout", "1500ms", "--max-retries", "0",
                   "-sU" if protocol == "udp" else "-sS", "-p", str(port), address)


def with_hping3(client, address, knocks):
    """hping3 supports only IPv4."""
    for port, protocol in parts(knocks):
        kind = "--udp" if protocol == "udp" else "--syn"
        client.run("hping3", "-n", "-c", "1", kind, "-p", str(port), address, check=False)


def with_connect(client, address, knocks, patience=0.2):
    """Like telnet and browsers: one connect() per knock, aborted after `patience` seconds without
    an answer; the kernel repeats an unanswered SYN after 1 s."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port, protocol in parts(knocks):
        kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
        with client.socket(family, kind) as knocker:
            knocker.settimeout(patience)
            try:
                knocker.connect((address, port))
                if protocol == "udp":
                    knocker.send(b"x")
            except OSError:
                pass  # refused or unanswered, but knocked


class Frames:
    """Hand-made frames from one host to another, with any flags and any forged source."""

    def __init__(self, client, server, family=4):
        self.client = client
        self._server = server
        self._family = family

    def frame(self, payload, source=None, destination=None, **ip_fields):
        ip_layer = IPv6 if self._family == 6 else IP
        return (Ether(src=self.client.mac, dst=self._server.mac)
                / ip_layer(src=source or self.client.address(self._family),
                           dst=destination or self._server.address(self._family), **ip_fields)
                / payload)

    def send(self, *frames):
        with self.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            for frame in frames:
                wire.send(bytes(frame))

    def tcp(self, port, flags="S", source_port=None, sequence=None, **fields):
        """One segment; by default with a new source port and sequence number, like a new
        connection."""
        self.send(self.frame(TCP(sport=source_port or random.randint(32768, 60999), dport=port,
                                 seq=random.getrandbits(32) if sequence is None else sequence,
                                 flags=flags), **fields))

    def udp(self, port, payload=b"x", **fields):
        datagram = UDP(sport=random.randint(32768, 60999), dport=port) / payload
        self.send(self.frame(datagram, **fields))

    def knock(self, knocks, **fields):
        for port, protocol in parts(knocks):
            (self.udp if protocol == "udp" else self.tcp)(port, **fields)
