#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sends a packet to each port of an address, in order, once for each kind: flags like S, SA, SF, A,
F, 0 (none) for tcp, or udp.

    sweep.py up|down PACKETS_A_SECOND PORT_TO_LEAVE_OUT KIND... ADDRESS

The packets have no checksums, so the host itself answers none and no time is lost on answers;
knockd does not check them. Needs root."""

import socket
import struct
import sys
import time

FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "0": 0}
SOURCE_PORT = 40000
BURST = 100  # packets between two readings of the clock


def packets(kind, ports):
    if kind == "udp":
        return [struct.pack("!HHHH", SOURCE_PORT, port, 8, 0) for port in ports]
    flags = sum(FLAGS[letter] for letter in kind)
    return [struct.pack("!HHIIBBHHH", SOURCE_PORT, port, port, 0, 5 << 4, flags, 1024, 0, 0)
            for port in ports]


def main():
    order, rate, left_out, *kinds, address = sys.argv[1:]
    ports = [port for port in range(1, 65536) if port != int(left_out)]
    if order == "down":
        ports.reverse()
    for kind in kinds:
        protocol = socket.IPPROTO_UDP if kind == "udp" else socket.IPPROTO_TCP
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as wire:
            begin = time.monotonic()
            for number, packet in enumerate(packets(kind, ports)):
                if number % BURST == 0:
                    time.sleep(max(0, begin + number / int(rate) - time.monotonic()))
                wire.sendto(packet, (address, 0))


if __name__ == "__main__":
    main()
