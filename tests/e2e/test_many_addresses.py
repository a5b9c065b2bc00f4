# SPDX-License-Identifier: MIT
"""A thousand addresses on one interface: knocks at each are heard soon after start, and the kernel
still keeps other traffic away from the daemon."""

import re

import pytest

from links import Link, ethernet, ip, ip_packet
from scapy.layers.inet import TCP, UDP

SEQUENCE = "7000,8000:udp,9000"
CONFIG = f"""
[options]
    UseSyslog
[door]
    sequence = {SEQUENCE}
    tcpflags = syn
"""
ADDRESSES = [f"10.{host // 250}.7.{host % 250 + 1}" for host in range(500)] + \
            [f"2001:db8:{host:x}:7::{host + 1:x}" for host in range(500)]


@pytest.fixture
def link(network, tmp_path):
    server = network.server
    commands = [f"address add {address}/{'128' if ':' in address else '32'} dev eth0"
                for address in ADDRESSES]
    (tmp_path / "addresses").write_text("\n".join(commands))
    ip(server, "-batch", tmp_path / "addresses")
    return Link("eth0", server.ipv4, server.ipv6, ethernet(network))


def test_knocks_at_each_are_heard(link, start):
    daemon = start(CONFIG.replace(SEQUENCE, "7000"))
    for number, address in enumerate(ADDRESSES):
        source = f"2001:db8:ffff::{number:x}" if ":" in address else f"198.18.1.{number % 250 + 1}"
        link.knock("7000", source, address)
    daemon.wait_for(".*: door: OPEN SESAME", len(ADDRESSES))


def test_other_traffic_is_not_copied(link, start):
    daemon = start(CONFIG)
    link.knock(SEQUENCE, "198.18.0.1", ADDRESSES[7])
    daemon.wait_for("198.18.0.1: door: OPEN SESAME")
    before = daemon.wait_until_heard(3)  # and some that came before the filter
    for address in ADDRESSES:
        source = "2001:db8:ffff::1" if ":" in address else "198.18.0.2"
        neighbour = re.sub("[0-9a-f]+$", "fffe" if ":" in address else "254", address)
        link.send(ip_packet(source, neighbour, TCP(dport=7000, flags="S")))
        link.send(ip_packet(source, neighbour, UDP(dport=8000) / b"x"))
        link.send(ip_packet(source, address, TCP(dport=443, flags="PA") / b"x"))
        link.send(ip_packet(source, address, UDP(dport=53) / b"x"))
    link.knock(SEQUENCE, "198.18.0.3", ADDRESSES[-501])
    daemon.wait_for("198.18.0.3: door: OPEN SESAME")
    assert daemon.wait_until_heard(before + 3) == before + 3
