# SPDX-License-Identifier: MIT
"""knockd-fleet and a broker that means ill, which speaks MQTT 5 by hand."""

import os
import pathlib
import socket

import pytest

from fleet import NOBODY
from waiting import wait_until

pytestmark = pytest.mark.skipif("KNOCKD_FLEET_BINARY" not in os.environ,
                                reason="this build has no knockd-fleet")

PORT = 1883
CONNECT, CONNACK, PUBLISH, SUBACK = 0x10, 0x20, 0x30, 0x90
LET_IN = b"\x00\x00\x00"
LARGEST = 268435455  # bytes that a packet of MQTT may have behind its length


def length_of(length):
    size = b""
    while length >= 128:
        size, length = size + bytes([length % 128 | 128]), length // 128
    return size + bytes([length])


def packet(kind, body):
    return bytes([kind]) + length_of(len(body)) + body


class HostileBroker:
    """One connection after the other, and each told what the test wants."""

    def __init__(self, host):
        with host.inside():
            self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((host.ipv4, PORT))
        self._listening.listen()
        self._listening.settimeout(30)
        self.connection = None

    def accept(self):
        """The next connection, let in; the beginning of what comes by it is read."""
        if self.connection:
            self.connection.close()
        self.connection = self._listening.accept()[0]
        self.connection.settimeout(30)
        assert self.connection.recv(65536)[0] == CONNECT
        self.send(packet(CONNACK, LET_IN))
        assert self.connection.recv(65536), "a subscription"

    def wait_in_silence(self):
        """Answers no ping until it is left."""
        while self.connection.recv(65536):
            pass

    def send(self, data):
        """False: it hung up before all was sent."""
        try:
            self.connection.sendall(data)
            return True
        except OSError:
            return False

    def close(self):
        self._listening.close()
        if self.connection:
            self.connection.close()


class Victim:
    def __init__(self, host, binary, folder, broker):
        folder.chmod(0o755)
        config = folder / "fleet.conf"
        config.write_text("\n".join(["[options]", f"Broker = {broker.ipv4}:{PORT}", "Gateway = gw1",
                                     "Fleet = home", "Doors = ssh", f"Control = {folder}/none", ""]))
        self._log = folder / "log"
        with open(self._log, "wb") as log:
            self.process = host.start("setpriv", "--reuid", NOBODY, "--regid", NOBODY,
                                      "--clear-groups", binary, "-c", config, stdout=log, stderr=log)

    def matching(self, words):
        return [line for line in self._log.read_text().splitlines() if words in line]

    def wait_for(self, words, count=1):
        wait_until(lambda: len(self.matching(words)) >= count, f"{count} x {words!r}",
                   self._log.read_text, deadline=20)

    def most_memory(self):  # bytes
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.fixture
def broker(server):
    broker = HostileBroker(server)
    yield broker
    broker.close()


@pytest.fixture
def victim(broker, server, client, public_folder):
    victim = Victim(client, pathlib.Path(os.environ["KNOCKD_FLEET_BINARY"]).resolve(), public_folder,
                    server)
    broker.accept()
    yield victim
    assert victim.process.poll() is None, victim.matching("")
    victim.process.kill()
    victim.process.wait(10)


def test_one_that_lets_us_in_again_and_again_is_left(broker, victim):
    broker.send(1000 * packet(CONNACK, LET_IN))
    victim.wait_for("it lets us in again and again")
    assert len(victim.matching("connected to broker")) == 1
    broker.accept()
    victim.wait_for("connected to broker", 2)


def test_one_that_refuses_all_the_time_costs_a_line(broker, victim):
    broker.send(1000 * packet(SUBACK, b"\x00\x09\x00\x87"))
    broker.send(packet(CONNACK, LET_IN))  # it is left behind all that
    victim.wait_for("it lets us in again and again")
    assert len(victim.matching("refuses a subscription")) == 1


def test_the_largest_packet_does_not_take_its_memory(broker, victim):
    topic = b"knockd/home/gw2/open/ssh/192.0.2.7"
    begin = len(topic).to_bytes(2, "big") + topic + b"\x00"
    broker.send(bytes([PUBLISH]) + length_of(LARGEST) + begin)
    left = LARGEST - len(begin)
    while left > 0 and broker.send(b"x" * min(left, 1 << 20)):
        left -= min(left, 1 << 20)
    victim.wait_for("local doors go on")
    assert victim.most_memory() < 100 << 20
    broker.accept()
    victim.wait_for("connected to broker", 2)


def test_one_that_says_nothing_more_is_left(broker, victim):
    broker.wait_in_silence()
    victim.wait_for("it is silent")
