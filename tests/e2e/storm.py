# SPDX-License-Identifier: MIT
"""Knocks from many sources, faster than scapy makes frames. Each is one UDP datagram, so the doors
need a sequence of one udp knock."""

import ipaddress
import socket
import struct


def source(number):
    """The address of the knocker with this number, out of 16 million."""
    return str(ipaddress.IPv4Address("10.0.0.0") + number)


def _checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


class Storm:
    """Sends from the client to the server, from addresses that no host has."""

    def __init__(self, client, server):
        self._ethernet = bytes.fromhex((server.mac + client.mac).replace(":", "")) + b"\x08\x00"
        self._destination = socket.inet_aton(server.ipv4)
        self._wire = client.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._wire.bind(("eth0", 0))

    def knock(self, address, port):
        """A datagram without payload; its UDP checksum is left out (RFC 768)."""
        fields = struct.pack("!BBHHHBB", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP)
        addresses = socket.inet_aton(address) + self._destination
        checksum = _checksum(fields + b"\0\0" + addresses)
        self._wire.send(self._ethernet + fields + struct.pack("!H", checksum) + addresses
                        + struct.pack("!HHHH", 40000, port, 8, 0))

    def close(self):
        self._wire.close()
