# SPDX-License-Identifier: MIT
"""The kinds of link on which knocks reach a server. A function of LINKS makes each on a test
network; it carries hand-made IP packets. A test is skipped with a reason if the kernel lacks the
device; the reason names what a substitute still covers."""

import fcntl
import os
import random
import socket
import struct

import pytest
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP, IPOption_Router_Alert
from scapy.layers.inet6 import (IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
                                IPv6ExtHdrRouting)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

import senders
from network import run

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_TUNSETLINK = 0x400454CD
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000
ARPHRD_PPP = 512  # linux/if_arp.h

SEQUENCE = "7000,8000:udp,9000"


def config(ledger, extra=""):
    """A door that logs its knocker and interface; `extra` are more lines for it."""
    return f"""
[options]
    UseSyslog
[door]
    sequence      = {SEQUENCE}
    tcpflags      = syn
    start_command = echo opened %IP% $KNOCKD_INTERFACE >> {ledger.path}
    {extra}
"""


def ip_packet(source, destination, payload, extended=False):
    """An IP packet of the addresses' family; `extended`: with IPv4 options, with IPv6 extension
    headers, such as may stand before a TCP or UDP header."""
    if ":" in destination:
        packet = IPv6(src=source, dst=destination)
        if extended:
            packet = (packet / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting()
                      / IPv6ExtHdrFragment(id=random.getrandbits(32)) / IPv6ExtHdrDestOpt())
    else:
        options = [IPOption_Router_Alert(), IPOption_NOP()] if extended else []
        packet = IP(src=source, dst=destination, options=options)
    return packet / payload


def knock_packets(knocks, source, destination, extended=False):
    for port, protocol in senders.parts(knocks):
        source_port = random.randint(32768, 60999)
        if protocol == "udp":
            payload = UDP(sport=source_port, dport=port) / b"x"
        else:
            payload = TCP(sport=source_port, dport=port, seq=random.getrandbits(32), flags="S")
        yield ip_packet(source, destination, payload, extended)


class Link:
    """`interface` of the server, its addresses there, and a way to send to it. knock() accepts any
    source: nobody answers, and the daemon sees a packet before a firewall does."""

    def __init__(self, interface, ipv4, ipv6, send):
        self.interface = interface
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self._send = send

    def address(self, family):
        return self.ipv6 if family == 6 else self.ipv4

    def send(self, packet):
        self._send(packet)

    def knock(self, knocks, source, destination=None, extended=False):
        destination = destination or self.address(6 if ":" in source else 4)
        for packet in knock_packets(knocks, source, destination, extended):
            self.send(packet)


def ethernet(network, mac=None, tags=None):
    """A function that sends IP packets from the client's eth0 as Ethernet frames to a MAC address,
    by default the server's eth0."""
    header = Ether(src=network.client.mac, dst=mac or network.server.mac)
    return frames_to(network.client, "eth0", header if tags is None else header / tags)


def frames_to(host, interface, header):
    wire = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    return lambda packet: wire.send(bytes(header / packet))


def ip(host, *arguments, **options):
    return run("ip", "-n", host.namespace, *map(str, arguments), **options)


def add_addresses(host, interface, *addresses):
    for address in addresses:
        nodad = ["nodad"] if ":" in address else []
        ip(host, "address", "add", address, "dev", interface, *nodad)


def lacking(host, kind, option, *arguments, instead=""):
    """Makes a device, or skips the test because this kernel cannot."""
    done = ip(host, "link", "add", *arguments, check=False)
    if done.returncode != 0:
        pytest.skip(f"this kernel has no {kind} ({option}): {done.stdout.strip()}. {instead}")


def _veth(network):
    server = network.server
    return Link("eth0", server.ipv4, server.ipv6, ethernet(network))


def _tagged(tags):
    """Tagged frames, captured on the device below the tags."""

    def make(network):
        server = network.server
        return Link("eth0", server.ipv4, server.ipv6, ethernet(network, tags=tags))

    return make


def _vlan_device(network):
    server = network.server
    lacking(server, "VLAN devices", "CONFIG_VLAN_8021Q", "link", "eth0", "name", "eth0.7", "type",
            "vlan", "id", 7, instead="Tagged frames on the parent device are tried without it")
    add_addresses(server, "eth0.7", "198.51.100.1/24", "2001:db8:7::1/64")
    ip(server, "link", "set", "eth0.7", "up")
    return Link("eth0.7", "198.51.100.1", "2001:db8:7::1", ethernet(network, tags=Dot1Q(vlan=7)))


def _vlan_device_heard_on_its_parent(network):
    link = _vlan_device(network)
    link.interface = "eth0"
    return link


def _bridge(network):
    server = network.server
    ip(server, "address", "flush", "dev", "eth0")
    ip(server, "link", "add", "br0", "address", server.mac, "type", "bridge", "mcast_snooping", 0)
    ip(server, "link", "set", "eth0", "master", "br0")
    add_addresses(server, "br0", f"{server.ipv4}/24", f"{server.ipv6}/64")
    ip(server, "link", "set", "br0", "up")
    return Link("br0", server.ipv4, server.ipv6, ethernet(network))


def open_tun(host, name, link_type=None):
    """A tun device on a host, as a file: data written to it arrives on the device as a packet."""
    with host.inside():
        tun = open("/dev/net/tun", "r+b", buffering=0)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        if link_type is not None:
            fcntl.ioctl(tun, _TUNSETLINK, link_type)
    return tun


def _tun(name, link_type=None):
    def make(network):
        server = network.server
        tun = open_tun(server, name, link_type)
        add_addresses(server, name, "198.51.100.1/24", "2001:db8:7::1/64")
        ip(server, "link", "set", name, "up")
        return Link(name, "198.51.100.1", "2001:db8:7::1", lambda packet: tun.write(bytes(packet)))

    return make


def _ppp(_network):
    reason = "" if os.path.exists("/dev/ppp") else "this kernel has no PPP (CONFIG_PPP). "
    pytest.skip(f"{reason}A tun device with PPP's link type is tried instead: as with PPP, libpcap "
                "hears it as a cooked capture")


def _wireguard(network):
    lacking(network.server, "WireGuard", "CONFIG_WIREGUARD", "wg0", "type", "wireguard",
            instead=(stand_in := "A tun device has the same link type, raw IP"))
    pytest.skip(stand_in)


def _loopback(network):
    nowhere = "00:00:00:00:00:00"
    return Link("lo", "127.0.0.1", "::1",
                frames_to(network.server, "lo", Ether(src=nowhere, dst=nowhere)))


def _dummy(network):
    """Nothing arrives on a dummy device, but its outgoing packets are captured, as on any
    device."""
    server = network.server
    lacking(server, "dummy devices", "CONFIG_DUMMY", "dummy0", "type", "dummy")
    add_addresses(server, "dummy0", "198.51.100.1/24", "2001:db8:7::1/64")
    ip(server, "link", "set", "dummy0", "up")
    return Link("dummy0", "198.51.100.1", "2001:db8:7::1",
                frames_to(server, "dummy0", Ether(src=server.mac, dst=server.mac)))


LINKS = {
    "veth": _veth,
    "tagged frames on the parent device": _tagged(Dot1Q(vlan=7)),
    "frames with a priority tag": _tagged(Dot1Q(vlan=0, prio=5)),
    "QinQ on the parent device": _tagged(Dot1AD(vlan=8) / Dot1Q(vlan=7)),
    "two tags of one kind on the parent device": _tagged(Dot1Q(vlan=8) / Dot1Q(vlan=7)),
    "VLAN device": _vlan_device,
    "VLAN device, heard on its parent": _vlan_device_heard_on_its_parent,
    "bridge": _bridge,
    "tun": _tun("tun0"),
    "ppp": _ppp,
    "like ppp": _tun("ppp0", ARPHRD_PPP),
    "wireguard": _wireguard,
    "loopback": _loopback,
    "dummy": _dummy,
}
