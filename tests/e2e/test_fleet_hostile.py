# SPDX-License-Identifier: MIT
"""knockd-fleet with a hostile broker, and with a daemon that stops and restarts at the worst
moments."""

import os
import pathlib
import time

import pytest

from hostile import (CONNACK, LARGEST, LET_IN, PUBLISH, SUBACK, FakeDaemon, HostileBroker, Victim,
                     length_of, opening, packet)

pytestmark = pytest.mark.skipif("KNOCKD_FLEET_BINARY" not in os.environ,
                                reason="this build has no knockd-fleet")

@pytest.fixture
def broker(server):
    broker = HostileBroker(server)
    yield broker
    broker.close()


@pytest.fixture
def victim(broker, server, client, public_folder):
    victim = Victim(client, pathlib.Path(os.environ["KNOCKD_FLEET_BINARY"]).resolve(), public_folder,
                    server)
    yield victim
    assert victim.process.poll() is None, victim.matching("")
    victim.process.kill()
    victim.process.wait(10)


@pytest.fixture
def daemon(public_folder):
    daemon = FakeDaemon(public_folder)
    yield daemon
    daemon.close()


# --- The broker

def test_broker_that_accepts_twice_is_disconnected(broker, victim):
    broker.accept()
    broker.send(1000 * packet(CONNACK, LET_IN))
    victim.wait_for("it lets us in again and again")
    assert len(victim.matching("connected to broker")) == 1
    broker.accept()
    victim.wait_for("connected to broker", 2)


def test_broker_that_always_refuses_is_one_line(broker, victim):
    broker.accept()
    broker.send(1000 * packet(SUBACK, b"\x00\x09\x00\x87"))
    broker.send(packet(CONNACK, LET_IN))  # it is logged after all of these
    victim.wait_for("it lets us in again and again")
    assert len(victim.matching("refuses a subscription")) == 1


def test_the_largest_packet_does_not_use_up_memory(broker, victim):
    broker.accept()
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


def test_silent_broker_is_disconnected(broker, victim):
    broker.accept()
    broker.wait_in_silence()
    victim.wait_for("it is silent")


# --- The daemon

A, B = "198.51.100.1", "198.51.100.2"


def test_events_during_the_status_are_published(daemon, broker, victim):
    broker.accept()
    daemon.accept_both()
    daemon.events.say(event="open", **opening(A, 1))
    daemon.tell_status()
    broker.wait_for(f"open/ssh/{A}".encode())
    victim.wait_for("following knockd")


def test_idle_connection_closed_by_the_daemon_is_reopened(daemon, victim):
    daemon.accept_both()  # the broker accepts no connection
    daemon.tell_status()
    victim.wait_for("following knockd")
    daemon.requests.close()
    daemon.events.say(event="code", id=7, door="ssh", address=A, secret="0123456789012345", step=1)
    daemon.requests = daemon.accept()
    assert daemon.requests.read() == "fleet-shared 7"
    assert not victim.matching("knockd has ended")


def test_requests_to_a_daemon_are_not_repeated_to_the_next(daemon, broker, victim):
    broker.accept()
    daemon.accept_both()
    daemon.tell_status(opening(B, 1, fleet="gw2"))
    broker.publish(f"gw2/open/ssh/{A}", {"until": time.time() + 500, "id": 1})
    daemon.requests.read_until(f"fleet-open ssh {A}")  # and no answer
    broker.publish(f"gw2/close/ssh/{B}", {"until": time.time() + 500, "ids": [["gw2", 1]]})
    daemon.events.close()
    daemon.requests.close()
    daemon.accept_both()
    daemon.tell_status(opening(B, 1))  # knocked again, at a daemon whose numbers start again
    asked = daemon.requests.read_until(f"fleet-open ssh {A}")
    assert not [line for line in asked if line.startswith("fleet-close")], asked
