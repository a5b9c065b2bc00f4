# SPDX-License-Identifier: MIT
"""A fake broker and a fake daemon for knockd-fleet: both send what the test wants, one message
after the other."""

import fcntl
import json
import pathlib
import socket
import termios
import time

from fleet import NOBODY
from waiting import wait_until

PORT = 1883
CONNECT, CONNACK, PUBLISH, SUBACK = 0x10, 0x20, 0x30, 0x90
LET_IN = b"\x00\x00\x00"
LARGEST = 268435455  # the most bytes of an MQTT packet after its length


def length_of(length):
    size = b""
    while length >= 128:
        size, length = size + bytes([length % 128 | 128]), length // 128
    return size + bytes([length])


def packet(kind, body):
    return bytes([kind]) + length_of(len(body)) + body


class HostileBroker:
    """Serves one connection after the other and sends what the test wants."""

    def __init__(self, host):
        with host.inside():
            self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((host.ipv4, PORT))
        self._listening.listen()
        self._listening.settimeout(30)
        self.connection = None

    def accept(self):
        """Accepts the next connection and reads its first packets."""
        if self.connection:
            self.connection.close()
        self.connection = self._listening.accept()[0]
        self.connection.settimeout(30)
        assert self.connection.recv(65536)[0] == CONNECT
        self.send(packet(CONNACK, LET_IN))
        assert self.connection.recv(65536), "a subscription"

    def wait_in_silence(self):
        """Answers no ping until the client disconnects."""
        while self.connection.recv(65536):
            pass

    def send(self, data):
        """False if the client hung up before everything was sent."""
        try:
            self.connection.sendall(data)
            return True
        except OSError:
            return False

    def publish(self, topic, message):
        """Returns when the fleet has acknowledged it."""
        topic = f"knockd/home/{topic}".encode()
        self.send(packet(PUBLISH | 2, len(topic).to_bytes(2, "big") + topic + b"\x00\x07\x00" +
                         json.dumps(message).encode()))
        self.wait_for(b"\x40\x02\x00\x07")

    def wait_for(self, data):
        """Reads until these bytes have arrived."""
        received = b""
        while data not in received:
            more = self.connection.recv(65536)
            assert more, f"{data} expected, not {received}"
            received += more

    def close(self):
        self._listening.close()
        if self.connection:
            self.connection.close()


class Victim:
    def __init__(self, host, binary, folder, broker):
        folder.chmod(0o755)
        config = folder / "fleet.conf"
        config.write_text("\n".join(["[options]", f"Broker = {broker.ipv4}:{PORT}", "Gateway = gw1",
                                     "Fleet = home", "Doors = ssh", f"Control = {folder}/socket", ""]))
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


class Caller:
    """A connection of the fleet to the daemon."""

    def __init__(self, connection):
        connection.settimeout(30)
        self._connection = connection
        self._lines = connection.makefile("r")

    def read(self):
        """The next line, its words by spaces."""
        return self._lines.readline().rstrip("\n").replace("\t", " ")

    def say(self, **members):
        """Sends one line of JSON. Returns when the fleet has read it."""
        self._connection.sendall(json.dumps(members, separators=(",", ":")).encode() + b"\n")
        wait_until(lambda: fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"1234") == bytes(4),
                   f"{members} is read")

    def answer(self):
        self.say(status=0, text="")

    def read_until(self, begin):
        """Answers all lines up to this one; returns all of them."""
        lines = [self.read()]
        while not lines[-1].startswith(begin):
            assert lines[-1], f"{begin} expected, not {lines}"
            self.answer()
            lines.append(self.read())
        return lines

    def close(self):
        self._lines.close()
        self._connection.close()


class FakeDaemon:
    def __init__(self, folder):
        path = folder / "socket"
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        path.chmod(0o777)
        self._listening.listen()
        self._listening.settimeout(30)
        self.events = self.requests = None

    def accept(self):
        return Caller(self._listening.accept()[0])

    def accept_both(self):
        """Returns when the fleet asks for the status."""
        self.events, self.requests = self.accept(), self.accept()
        assert self.events.read() == "events"
        self.requests.read_until("status json")

    def tell_status(self, *openings):
        self.requests.say(doors=[{"name": "ssh", "open_for": 600.0, "closes": True}],
                          openings=list(openings))

    def close(self):
        for one in (self.events, self.requests, self._listening):
            if one:
                one.close()


def opening(address, opening_id, **members):
    return {"id": opening_id, "door": "ssh", "address": address, "until": time.time() + 500,
            **members}
