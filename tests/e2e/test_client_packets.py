# SPDX-License-Identifier: MIT
"""The packets of the client: byte for byte those of 0.8's client for the same arguments, in order,
each once."""

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from client_fixtures import (  # noqa: F401: fixtures
    capture, knock, reference_knock, without_chance)
from waiting import wait_until

MIXED = ["7000", "8000:udp", "9000:tcp"]
ARGUMENTS = {
    "tcp": ["7000", "8000", "9000"],
    "udp": ["7000:udp", "8000:udp"],
    "mixed": MIXED,
    "all udp": ["-u", "7000", "8000"],
    "udp said last": ["7000", "8000", "-u"],
    "udp against udp": ["-u", "7000:udp", "8000"],
    "delay": ["-d", "20", *MIXED],
    "long delay option": ["--delay=20", *MIXED],
    "verbose": ["-v", *MIXED],
    "the same port again": ["7000", "7000", "7000:udp", "7000:udp"],
    "lowest and highest": ["1", "65535", "65535:udp"],
}


def destination_port(packet):
    return (packet[TCP] if TCP in packet else packet[UDP]).dport


@pytest.fixture
def sent(client, capture):
    """sent(program, *arguments): the packets of one run."""

    def run(program, *arguments):
        listening = capture()
        client.run(program, *arguments)
        return listening.packets()

    return run


@pytest.fixture(params=["closed", "dropped", "rejected", "open"])
def knock_ports(request, server):
    """How the server treats knocks."""
    if request.param in ("dropped", "rejected"):
        target = {"dropped": "DROP", "rejected": "REJECT"}[request.param]
        for tool in ("iptables", "ip6tables"):
            for protocol in ("tcp", "udp"):
                server.run(tool, "-A", "INPUT", "-p", protocol, "-j", target)
    if request.param == "open":
        for port in (7000, 8000, 9000):
            server.serve(port)
    return request.param


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_packets_equal_those_of_the_reference(sent, server, knock_binary, reference_knock, family,
                                              arguments):
    address = server.address(family)
    expected = sent(reference_knock, f"-{family}", address, *arguments)
    ours = sent(knock_binary, f"-{family}", address, *arguments)
    assert list(map(without_chance, ours)) == list(map(without_chance, expected))
    assert ours, "nothing was heard"


@pytest.mark.parametrize("family", [4, 6])
def test_the_answer_makes_no_difference(sent, client, server, knock_binary, reference_knock,
                                        knock_ports, family):
    """At an open port some knocks become connections, which end with FIN or RST at random, so only
    the first tcp segments are compared."""
    def knocks(packets):
        return [without_chance(packet) for packet in packets
                if TCP not in packet or packet[TCP].flags == "S"]

    address = server.address(family)
    expected = knocks(sent(reference_knock, address, *MIXED))
    assert knocks(sent(knock_binary, address, *MIXED)) == expected
    assert len(expected) == 3


@pytest.mark.parametrize("family", [4, 6])
def test_explicit_tcp_wins_over_the_option_udp(sent, server, knock_binary, reference_knock, family):
    """The usage of guides; 0.8 itself sends udp to all of them."""
    address = server.address(family)
    expected = sent(reference_knock, address, "2222:tcp", "3333:udp", "4444:tcp")
    ours = sent(knock_binary, "-vu", address, "2222:tcp", "3333", "4444:tcp")
    assert list(map(without_chance, ours)) == list(map(without_chance, expected))


def test_verbose_prints_the_same_as_the_reference(client, server, knock_binary, reference_knock):
    for address in (server.ipv4, server.ipv6):
        expected = client.run(reference_knock, "-v", address, *MIXED).stdout
        assert client.run(knock_binary, "-v", address, *MIXED).stdout == expected
        assert len(expected.splitlines()) == 3
    assert client.run(knock_binary, server.ipv4, *MIXED).stdout == ""


def test_one_segment_per_knock_without_an_answer(sent, client, server, knock_binary):
    """The system repeats a SYN after 1 s, but only while its socket exists."""
    server.run("iptables", "-P", "INPUT", "DROP")
    assert len(sent(knock_binary, server.ipv4, "7000", "8000", "9000")) == 3
    sockets = client.run("cat", "/proc/net/tcp").stdout.splitlines()
    assert len(sockets) == 1, "there is more than the heading"


@pytest.mark.parametrize("delay", [["-d", "0"], []], ids=["no delay", "default delay"])
def test_knocks_keep_their_order(sent, client, server, knock_binary, delay):
    """While the neighbour is still unknown, the first knocks wait for its answer."""
    client.run("ip", "neigh", "flush", "all")
    ports = [7000 + 37 * i % 101 for i in range(32)]
    knocks = [f"{port}:{'udp' if port % 3 == 0 else 'tcp'}" for port in ports]
    packets = sent(knock_binary, *delay, server.ipv4, *knocks)
    assert [destination_port(packet) for packet in packets] == ports


def test_lists_are_knocked_like_words(sent, server, knock_binary):
    words = sent(knock_binary, server.ipv4, *MIXED)
    for arguments in (["7000,8000:udp,9000"], ["7000,8000:udp", "9000"]):
        packets = sent(knock_binary, server.ipv4, *arguments)
        assert list(map(without_chance, packets)) == list(map(without_chance, words))


@pytest.mark.parametrize("arguments, seconds", [
    (["-d", "120"], 0.12), (["--delay", "120ms"], 0.12), (["--delay", "0.12"], 0.12),
    (["--delay=0.12s"], 0.12), ([], 0.05)])
def test_delay_lies_between_knocks(client, server, knock_binary, arguments, seconds):
    """Measured in the process: three knocks, two delays."""
    timed = client.run("bash", "-c", 'TIMEFORMAT=%R; time "$@"', "bash", knock_binary, *arguments,
                       server.ipv4, "7000", "8000", "9000")
    assert float(timed.stdout) >= 2 * seconds - 0.001


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("flags, expected", [("fin,!ack", "F"), ("syn", "S"), ("psh,urg", "PU")])
def test_flags_make_a_valid_segment(sent, server, knock_binary, family, flags, expected):
    address = server.address(family)
    packets = sent(knock_binary, "--flags", flags, address, "7000", "8000:udp", "9000")
    assert [destination_port(packet) for packet in packets] == [7000, 8000, 9000]
    assert UDP in packets[1]
    segments = [packets[0], packets[2]]
    for packet in segments:
        assert packet[TCP].flags == expected
        rebuilt = packet.copy()
        del rebuilt[TCP].chksum
        assert packet[TCP].chksum == type(packet)(bytes(rebuilt))[TCP].chksum
    assert segments[0][TCP].seq != segments[1][TCP].seq


def test_source_is_used(sent, client, server, knock_binary):
    client.run("ip", "addr", "add", "192.0.2.77/24", "dev", "eth0")
    client.run("ip", "addr", "add", "2001:db8::77/64", "dev", "eth0", "nodad")
    packets = sent(knock_binary, "--source", "192.0.2.77", server.ipv4, *MIXED)
    assert [packet[IP].src for packet in packets] == ["192.0.2.77"] * 3
    packets = sent(knock_binary, "--source", "2001:db8::77", "--flags", "fin", server.ipv6, *MIXED)
    assert [packet[IPv6].src for packet in packets] == ["2001:db8::77"] * 3


def test_interface_is_used(sent, client, server, knock_binary):
    """The routes use eth0; the other interface leads nowhere, but accepts packets."""
    client.run("ip", "link", "add", "elsewhere", "type", "veth", "peer", "name", "nowhere")
    client.run("sysctl", "-qw", "net.ipv6.conf.elsewhere.disable_ipv6=1")
    for interface in ("elsewhere", "nowhere"):
        client.run("ip", "link", "set", interface, "up")
    client.run("ip", "addr", "add", "198.51.100.1/24", "dev", "elsewhere")
    client.run("ip", "neigh", "add", server.ipv4, "lladdr", "02:00:00:00:00:99", "dev", "elsewhere")

    assert sent(knock_binary, "--interface", "elsewhere", server.ipv4, *MIXED) == []
    wait_until(lambda: client.packets_sent("elsewhere") == 3, "three packets by the other interface",
               lambda: client.packets_sent("elsewhere"))
    assert len(sent(knock_binary, "--interface", "eth0", server.ipv4, *MIXED)) == 3


def test_link_local_address_takes_its_zone_from_the_interface(sent, client, server, knock_binary):
    server.run("ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
    client.run("ip", "addr", "add", "fe80::2/64", "dev", "eth0", "nodad")
    for arguments in (["--interface", "eth0", "fe80::1"], ["fe80::1%eth0"]):
        assert len(sent(knock_binary, *arguments, *MIXED)) == 3
