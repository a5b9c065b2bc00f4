# SPDX-License-Identifier: MIT
"""An idle daemon sleeps: none of its processes wakes, so a router's or laptop's processor can sleep
too. With packets it wakes no more often than necessary."""

import pathlib
import re
import socket
import time

import pytest

INTERVAL = 3.0  # seconds; the absence of events is the only thing that needs a fixed time

IDLE = "[a]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = true\n"


def wakeups(host):
    """How often each thread of each process in the namespace has been scheduled."""
    counts = {}
    for pid in host.processes():
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            text = status.read_text()
            counts[status.parent.name] = sum(
                int(count) for count in re.findall(r"ctxt_switches:\s+(\d+)", text))
    return counts


def settled(host):
    """wakeups() once the start is over: two equal readings."""
    before = None
    for _ in range(100):
        now = wakeups(host)
        if now == before:
            return now
        before = now
        time.sleep(0.2)
    raise AssertionError(f"never comes to rest: {before}")


@pytest.mark.parametrize("interface", ["eth0", "any"])
def test_no_process_wakes_without_packets(start, server, interface):
    daemon = start(IDLE, interface=interface)
    before = settled(server)
    assert str(daemon.pid) in before
    time.sleep(INTERVAL)
    assert wakeups(server) == before, daemon.report()


def test_no_process_wakes_while_a_door_is_open(start, server, frames):
    daemon = start("[a]\nsequence = 7000\ncmd_timeout = 3600\nstart_command = true\n"
                   "stop_command = true\n")
    frames.tcp(7000)
    daemon.wait_for("a: running command: true")
    before = settled(server)
    time.sleep(INTERVAL)
    assert wakeups(server) == before, daemon.report()


def test_a_packet_wakes_the_daemon(start, server, frames):
    """Checks the measurement itself."""
    daemon = start(IDLE)
    before = settled(server)
    frames.tcp(7000)
    daemon.wait_for(r"\S+: a: Stage 1")
    assert wakeups(server) != before


def waits(host):
    """How often the host's listener has started to wait."""
    for pid in host.processes():
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        if "\tknockd-listen\n" in status:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M).group(1))
    raise AssertionError("no listener")


def test_a_stream_of_packets_wakes_the_listener_about_once_a_millisecond(start, server, client):
    daemon = start("[a]\nsequence = 7000:udp,8000:udp\ncommand = true\n")
    with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        before, began = waits(server), time.monotonic()
        for number in range(6000):
            sender.sendto(b"", (server.ipv4, 7000))
            if number % 3 == 0:
                time.sleep(0.0005)
        milliseconds = (time.monotonic() - began) * 1000
        woken = waits(server) - before
    daemon.wait_for(r"\S+: a: Stage 1")
    assert 0 < woken < 1.3 * milliseconds
