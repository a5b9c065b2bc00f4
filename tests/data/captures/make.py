#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Rebuilds the captures of this folder, byte for byte the same each time.

Each capture is a story: NAME.pcap, with the doors in NAME.conf and the output of replay in
NAME.out. A bug caused by a packet gets its own story. Addresses are those for documentation (RFC
5737, RFC 3849); checksums are left zero, as network cards leave them.
"""

import os
import socket
import struct

START = 1767323045  # 2026-01-02 03:04:05 UTC
HERE = "198.51.100.1"
HERE6 = "2001:db8::1"
ALICE = "192.0.2.7"
ALICE6 = "2001:db8::7"
BOB = "203.0.113.9"

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

# LINKTYPE_ numbers: https://www.tcpdump.org/linktypes.html
ETHERNET, RAW, LOOP, COOKED, COOKED2, WLAN = 1, 101, 108, 113, 276, 105


# --- Packets -------------------------------------------------------------------------------------

def tcp_header(source_port, port, sequence, flags):
    return struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, flags, 64240, 0, 0)


def udp_header(source_port, port, payload=b""):
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


def ipv4(source, destination, protocol, payload, options=b"", offset=0, more=False):
    words = 5 + len(options) // 4
    fragment = (0x2000 if more else 0) | offset
    return struct.pack("!BBHHHBBH4s4s", 4 << 4 | words, 0, 4 * words + len(payload), 0, fragment,
                       64, protocol, 0, socket.inet_aton(source),
                       socket.inet_aton(destination)) + options + payload


def ipv6(source, destination, protocol, payload):
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), protocol, 64,
                       socket.inet_pton(socket.AF_INET6, source),
                       socket.inet_pton(socket.AF_INET6, destination)) + payload


class Knocker:
    """Sends like a system: each connection attempt has its own port and sequence number."""

    def __init__(self, address=ALICE, to=HERE):
        self.address = address
        self.to = to
        self.attempts = 0

    def ip(self, protocol, payload):
        family = ipv6 if ":" in self.address else ipv4
        return family(self.address, self.to, protocol, payload)

    def tcp(self, port, flags=SYN):
        self.attempts += 1
        return self.ip(6, tcp_header(40000 + self.attempts, port, 1000 * self.attempts, flags))

    def udp(self, port):
        self.attempts += 1
        return self.ip(17, udp_header(40000 + self.attempts, port, b"knock"))


# --- Frames --------------------------------------------------------------------------------------

def ether_type(packet):
    return 0x86DD if packet[0] >> 4 == 6 else 0x0800


def ethernet(packet, tags=()):
    frame = bytes.fromhex("02000000000102000000000a")
    for kind, number in tags:
        frame += struct.pack("!HH", kind, number)
    return frame + struct.pack("!H", ether_type(packet)) + packet


def cooked(packet):
    return struct.pack("!HHH8sH", 0, 1, 6, bytes(8), ether_type(packet)) + packet


def cooked2(packet):
    return struct.pack("!HHIHBB8s", ether_type(packet), 0, 2, 1, 0, 6, bytes(8)) + packet


def loopback(packet):
    # OpenBSD's form: the address family of the capturing system in network order.
    return struct.pack("!I", 24 if packet[0] >> 4 == 6 else 2) + packet


# --- Files ---------------------------------------------------------------------------------------

def pcap(name, frames, link=ETHERNET, nanoseconds=False, cut=0):
    """`frames`: pairs of seconds since START and bytes. `cut` bytes are missing at the end."""
    unit = 10**9 if nanoseconds else 10**6
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    data = struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 256, link)
    for seconds, frame in frames:
        ticks = round((START + seconds) * unit) if isinstance(seconds, int) else (
            START * unit + round(seconds * unit))
        data += struct.pack("<IIII", ticks // unit, ticks % unit, len(frame[:256]), len(frame))
        data += frame[:256]
    write(name, data[:len(data) - cut])


def block(kind, body):
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def pcapng(name, frames, link=ETHERNET, ticks_of=None):
    """`ticks_of` turns the seconds of a frame into its 64-bit time stamp in microseconds."""
    ticks_of = ticks_of or (lambda seconds: START * 10**6 + round(seconds * 10**6))
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    data += block(1, struct.pack("<HHI", link, 0, 256))
    for seconds, frame in frames:
        ticks = ticks_of(seconds)
        data += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame),
                                     len(frame)) + frame)
    write(name, data)


def write(name, data):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "wb") as file:
        file.write(data)


def on_ethernet(story):
    return [(seconds, ethernet(packet)) for seconds, packet in story]


def three_knocks(knocker, begin=0.0):
    return [(begin + i, knocker.tcp(port)) for i, port in enumerate((7000, 8000, 9000))]


# --- The rules of matching -----------------------------------------------------------------------

def rules():
    alice, bob = Knocker(), Knocker(BOB)
    pcap("rule-1-timeout.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (1.0, alice.tcp(8000)), (4.999999, alice.tcp(9000)),  # in time
        (10.0, bob.tcp(7000)), (11.0, bob.tcp(8000)), (15.0, bob.tcp(9000)),  # at its end
        (20.0, alice.tcp(7000)),  # nothing follows
    ]))

    alice = Knocker()
    first, second, third = alice.tcp(7000), alice.tcp(8000), alice.tcp(9000)
    pcap("rule-2-retransmission.pcap", on_ethernet([
        (0.0, first), (0.5, first), (1.5, first), (2.0, second), (3.0, second),
        (4.0, third), (5.0, third), (7.0, third),  # opens once
        (9.0, first), (9.1, second), (9.2, third)]))  # known after that, too

    # A browser at dropped ports: two sockets per port, whose SYNs are repeated every second.
    alice = Knocker()
    sent, story = [], []
    for i, port in enumerate((7000, 8000, 9000, 7500, 8500)):
        sent += [alice.tcp(port), alice.tcp(port)]
        story += [(i + j / 100, packet) for j, packet in enumerate(sent[-2:] + sent)]
    pcap("rule-2-browser.pcap", on_ethernet(story))

    alice = Knocker()
    pcap("rule-3-repeat.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (0.1, alice.tcp(7000)), (1.0, alice.tcp(8000)),
        (1.1, alice.tcp(8000)), (2.0, alice.tcp(9000)),
        # Twice the same port is two knocks where the sequence has it twice.
        (10.0, alice.tcp(1111)), (11.0, alice.tcp(1111)), (12.0, alice.tcp(2222))]))

    alice = Knocker()
    pcap("rule-3-flags.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (0.5, alice.tcp(8000, FIN)), (0.6, alice.tcp(9000, SYN | ACK)),
        (1.0, alice.tcp(8000)), (2.0, alice.tcp(9000, SYN | URG))]))

    alice = Knocker()
    pcap("rule-3-wrong-knock.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (1.0, alice.tcp(9000)), (2.0, alice.tcp(8000)),
        (3.0, alice.tcp(9000)),  # nothing: the attempt is over
        (4.0, alice.tcp(7000)), (4.1, alice.tcp(22)), (4.2, alice.tcp(8000)),
        (4.3, alice.udp(9000)), (5.0, alice.tcp(9000))]))  # ports of no door have no effect

    alice = Knocker()
    pcap("rule-4-afresh.pcap", on_ethernet(
        [(0.0, alice.tcp(7000)), (1.0, alice.tcp(8000))] + three_knocks(alice, 2.0)))

    alice, bob = Knocker(), Knocker(BOB)
    pcap("rule-4-side-by-side.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (0.5, bob.tcp(7000)), (1.0, alice.tcp(8000)),
        (1.5, bob.tcp(8000)), (2.0, alice.tcp(9000)), (2.5, bob.tcp(9001))]))

    alice = Knocker()
    pcap("rule-5-one-knock.pcap", on_ethernet([
        (0.0, alice.tcp(7000)), (1.0, alice.tcp(7000))]))


# --- Doors and their directives ------------------------------------------------------------------

def doors():
    alice, bob = Knocker(), Knocker(BOB)
    pcap("cooldown.pcap", on_ethernet(
        three_knocks(alice) + three_knocks(bob, 10.0) + three_knocks(bob, 32.0)))
    for name in ("run", "extend", "ignore"):
        alice = Knocker()
        pcap(f"reknock-{name}.pcap", on_ethernet(
            three_knocks(alice) + three_knocks(alice, 4.0) + three_knocks(alice, 30.0)))
    alice = Knocker()
    pcap("one-time.pcap", on_ethernet(
        [(i, alice.tcp(port)) for i, port in enumerate(
            (1001, 1002, 1003, 1001, 1002, 1003, 2001, 2002, 2003, 3001, 3002, 1001, 1002))]))
    # The client is two lines ahead. 1004 comes while the door cools down, 1009 is not in force yet.
    alice = Knocker()
    pcap("one-time-ahead.pcap", on_ethernet(
        [(i, alice.tcp(port)) for i, port in enumerate(
            (1003, 2003, 1004, 2004, 1002, 2002, 1009, 2009, 1005, 2005, 1004, 2004))]))
    alice = Knocker()
    pcap("udp.pcap", on_ethernet([
        (0.0, alice.udp(7000)), (0.5, alice.udp(7000)), (1.0, alice.tcp(8000)),
        (2.0, alice.udp(9000)), (10.0, alice.tcp(7000)), (11.0, alice.tcp(8000))]))
    alice, alice6 = Knocker(), Knocker(ALICE6, HERE6)
    extensions = tcp_header(50000, 8000, 77, SYN)
    for following, own in ((6, 60), (60, 0)):  # destination options in hop-by-hop options
        extensions = struct.pack("!BB6x", following, 0) + extensions
    pcap("ipv6.pcap", on_ethernet([
        (0.0, alice6.tcp(7000)), (0.1, alice.tcp(7000)),
        (1.0, ipv6(ALICE6, HERE6, 0, extensions)), (1.1, alice.tcp(8000)),
        (2.0, alice6.tcp(9000)), (2.1, alice.tcp(9000))]))
    pcap("only-ipv4.pcap", on_ethernet(
        three_knocks(Knocker(ALICE6, HERE6)) + three_knocks(Knocker(), 5.0)))
    pcap("target.pcap", on_ethernet(
        three_knocks(Knocker(to="198.51.100.99")) + three_knocks(Knocker(BOB), 5.0)))
    alice = Knocker()
    ports = (20, 21, 7000, 22, 23, 24, 25, 25, 80, 8000, 9000, 443)
    pcap("scan.pcap", on_ethernet([(i / 10, alice.tcp(port)) for i, port in enumerate(ports)]
                                  # Four other ports are no scan, nor are answers.
                                  + [(5.0, alice.tcp(7000))]
                                  + [(5.1 + i / 10, alice.tcp(port)) for i, port in
                                     enumerate((21, 22, 23, 24))]
                                  + [(5.6, alice.tcp(25, SYN | ACK)), (5.7, alice.tcp(8000)),
                                     (5.8, alice.tcp(9000))]))
    alice = Knocker()
    sweep = [port + i for port in (7000, 8000, 9000) for i in range(-4, 5)]
    pcap("scan-syn-ack.pcap", on_ethernet(
        [(i / 100, alice.tcp(port, SYN | ACK)) for i, port in enumerate(sweep + sweep[::-1])]
        + [(5.0 + i / 100, alice.tcp(port, SYN | FIN)) for i, port in enumerate(sweep)]))
    pcap("log-rate.pcap", on_ethernet(
        [(i / 100, Knocker(f"192.0.2.{i + 1}").tcp(7000)) for i in range(5)]
        + three_knocks(Knocker(BOB), 0.5)))


# --- Link types and files ------------------------------------------------------------------------

def links():
    pcap("link-ethernet.pcap", on_ethernet(three_knocks(Knocker())))
    pcap("link-vlan.pcap", [
        (seconds, ethernet(packet, [(0x88A8, 5), (0x8100, 10)]))
        for seconds, packet in three_knocks(Knocker())])
    for name, number, frame in (("cooked", COOKED, cooked), ("cooked2", COOKED2, cooked2),
                                ("raw", RAW, bytes), ("loopback", LOOP, loopback)):
        story = three_knocks(Knocker()) + three_knocks(Knocker(ALICE6, HERE6), 5.0)
        pcap(f"link-{name}.pcap", [(seconds, frame(packet)) for seconds, packet in story], number)
    pcap("link-unknown.pcap", [(0.0, bytes(64))], WLAN)


def files():
    pcapng("pcapng.pcapng", on_ethernet(three_knocks(Knocker())))
    pcap("nanoseconds.pcap", on_ethernet(
        [(0.0, (alice := Knocker()).tcp(7000)), (4.9999999, alice.tcp(8000)),
         (5.0, alice.tcp(9000))]), nanoseconds=True)
    pcap("cut-short.pcap", on_ethernet(three_knocks(Knocker()) + three_knocks(Knocker(BOB), 5.0)),
         cut=30)
    pcap("empty.pcap", [])
    pcap("clock-set-back.pcap", on_ethernet(
        [(100.0, (alice := Knocker()).tcp(7000)), (40.0, alice.tcp(8000)),
         (41.0, alice.tcp(9000))]))
    # Impossible time stamps must not affect the others.
    times = {0.0: START * 10**6, 1.0: 2**63, 2.0: 2**64 - 1, 3.0: (START + 3) * 10**6}
    alice = Knocker()
    pcapng("far-times.pcapng", on_ethernet(
        [(0.0, alice.tcp(7000)), (1.0, alice.tcp(8000)), (2.0, alice.tcp(9000)),
         (3.0, alice.tcp(7000))]), ticks_of=times.get)


# --- Explanations --------------------------------------------------------------------------------

def explanations():
    alice = Knocker()
    first = alice.tcp(7000)
    arp = bytes.fromhex("ffffffffffff02000000000a0806") + bytes(28)
    fragment = ipv4(ALICE, HERE, 6, bytes(24), offset=185)
    options = ipv4(ALICE, HERE, 6, tcp_header(50000, 8000, 5, SYN), options=bytes([1] * 40))
    lying = bytearray(ethernet(alice.tcp(7000)))
    lying[14] = 0x41  # a header of four bytes
    pcap("explain.pcap", [
        (0.0, ethernet(first)), (0.1, ethernet(first)), (0.2, ethernet(alice.tcp(7000))),
        (0.3, ethernet(alice.tcp(22))), (0.4, ethernet(alice.tcp(8000, FIN))), (0.5, arp),
        (0.6, ethernet(ipv4(ALICE, HERE, 1, bytes(8)))), (0.7, ethernet(fragment)),
        (0.8, ethernet(first)[:30]), (0.9, bytes(lying)), (1.0, ethernet(options)),
        (2.0, ethernet(alice.tcp(7000))), (3.0, ethernet(alice.udp(9000))),
        (4.0, ethernet(alice.tcp(8000))), (5.0, ethernet(alice.tcp(9000))),
        (6.0, ethernet(alice.tcp(8000))), (7.0, ethernet(alice.tcp(7000))),
        (12.0, ethernet(alice.tcp(7000))),
        (30.0, arp)])  # comes after the end of the attempt


for make in (rules, doors, links, files, explanations):
    make()
