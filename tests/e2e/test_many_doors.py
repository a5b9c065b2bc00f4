# SPDX-License-Identifier: MIT
"""A thousand doors at four IPv4 and four IPv6 addresses: knocks are heard soon after start, with a
filter that the kernel accepts. Also the message when it refuses the filter."""


import pytest

from links import Link, ethernet, ip, ip_packet
from scapy.layers.inet import TCP, UDP

PORTS = [1024 + number * 7919 % 60000 for number in range(3000)]
DOORS = [PORTS[at:at + 3] for at in range(0, 3000, 3)]
OTHER_PORT = 62000
assert OTHER_PORT not in PORTS
ADDRESSES = [f"192.0.2.{host}" for host in (1, 101, 102, 103)] + \
            [f"2001:db8::{host}" for host in (1, 101, 102, 103)]
# Without the scan guard the filter must list every port.
CONFIG = "[options]\nUseSyslog\nScan_Limit = 0\n" + "".join(
    f"[door{number}]\nsequence = {','.join(map(str, ports))}\n"
    for number, ports in enumerate(DOORS))


@pytest.fixture
def link(network):
    server = network.server
    for address in ADDRESSES:
        if address not in (server.ipv4, server.ipv6):
            prefix = "64 nodad" if ":" in address else "24"
            ip(server, "address", "add", *f"{address}/{prefix}".split(), "dev", "eth0")
    return Link("eth0", server.ipv4, server.ipv6, ethernet(network))


def knock(link, number, address):
    """Knocks at door `number` and returns the source."""
    source = (f"2001:db8:ffff::{number:x}" if ":" in address
              else f"198.18.{number // 250}.{number % 250}")
    link.knock(list(map(str, DOORS[number])), source, address)
    return source


def test_knocks_are_heard_soon_after_start(link, start):
    daemon = start(CONFIG)
    for number, address in enumerate(ADDRESSES):
        door = 999 - number * 142
        source = knock(link, door, address)
        daemon.wait_for(f"{source}: door{door}: OPEN SESAME")
    assert not [line for line in daemon.lines() if "refused" in line]


def test_other_traffic_is_not_copied(link, start):
    daemon = start(CONFIG)
    source = knock(link, 1, ADDRESSES[1])
    daemon.wait_for(f"{source}: door1: OPEN SESAME")
    before = daemon.wait_until_heard(3)  # and some that came before the filter
    for address in ADDRESSES:
        stranger = "2001:db8:ffff::ffff" if ":" in address else "198.18.255.1"
        for payload in (TCP(dport=OTHER_PORT, flags="S"), TCP(dport=OTHER_PORT, flags="PA") / b"x",
                        UDP(dport=DOORS[0][0]) / b"x"):
            link.send(ip_packet(stranger, address, payload))
    source = knock(link, 2, ADDRESSES[2])
    daemon.wait_for(f"{source}: door2: OPEN SESAME")
    assert daemon.wait_until_heard(before + 3) == before + 3


def test_refused_filter_is_reported_and_knocks_are_heard(server, link, start):
    """The case of kernels that grant a socket less memory than even the small filter needs."""
    limit = "/proc/sys/net/core/optmem_max"
    if server.run("test", "-w", limit, check=False).returncode != 0:
        pytest.skip("before Linux 6.9 namespaces have no bound of their own")
    server.run("sh", "-c", f"echo 64 >{limit}")
    daemon = start(CONFIG)
    daemon.wait_for("eth0: the kernel refused the filter: every packet is looked at here, .*")
    source = knock(link, 3, ADDRESSES[3])
    daemon.wait_for(f"{source}: door3: OPEN SESAME")
