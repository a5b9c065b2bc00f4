# SPDX-License-Identifier: MIT
"""knockd-fleet between real daemons and a real mosquitto, with TLS and passwords. The long fault
test is scripts/fleet."""

import json
import os
import pathlib
import re
import signal
import time

import pytest

import codes
from codes import COMPUTED, Users, computed, step_now
from daemon import Ledger
from fleet import KNOCK, LONG, NOBODY, Fleet
from network import run
from senders import Frames
from waiting import wait_until

A, B, C = "198.51.100.1", "198.51.100.2", "198.51.100.3"

pytestmark = pytest.mark.skipif("KNOCKD_FLEET_BINARY" not in os.environ,
                                reason="this build has no knockd-fleet")


@pytest.fixture(scope="session")
def knockd_fleet():
    return pathlib.Path(os.environ["KNOCKD_FLEET_BINARY"]).resolve()


@pytest.fixture
def fleet_of(network, knockd, knockd_fleet, public_folder):
    """fleet_of(size): this many gateways around a broker; only the broker runs yet."""
    made = []

    def make(size, **options):
        made.append(Fleet(network, knockd, knockd_fleet, public_folder, size, **options))
        return made[-1]

    yield make
    for fleet in made:  # before their folder goes
        fleet.close()


def knock(fleet, gateway, source, ports=KNOCK):
    Frames(fleet.network.client, gateway.host).knock(ports, source=source)


def published(fleet, kind):
    return {topic: json.loads(payload) for topic, payload in fleet.broker.retained().items()
            if f"/{kind}/" in topic}


# --- Opening and closing ---------------------------------------------------------------------------

def test_a_knock_at_one_of_five_opens_and_closes_at_all(fleet_of):
    fleet = fleet_of(5)
    fleet.start(lambda gateway: gateway.door(cmd_timeout=3))
    knock(fleet, fleet[0], A)
    fleet.wait_for_open(A)
    # All have the same end, because they share a clock.
    ends = [one["until"] for gateway in fleet.gateways for one in gateway.openings()]
    assert len(ends) == 5 and max(ends) - min(ends) < 0.5, ends
    assert ["fleet" in one for gateway in fleet.gateways for one in gateway.openings()] == \
        [False] + 4 * [True]
    fleet.wait_for_closed(A)
    for gateway in fleet.gateways:
        assert gateway.ledger.read_text().splitlines() == [f"open ssh {A}", f"close ssh {A}"]
    wait_until(lambda: not published(fleet, "open"), "the broker has forgotten it")


def test_close_by_hand_at_one_closes_at_all_and_a_later_knock_opens_again(fleet_of):
    fleet = fleet_of(3)
    fleet.start()
    knock(fleet, fleet[0], A)
    knock(fleet, fleet[1], B)
    fleet.wait_for_open(A)
    fleet.wait_for_open(B)
    assert fleet[2].ask("--close", A).returncode == 0
    fleet.wait_for_closed(A)
    for gateway in fleet.gateways:
        assert gateway.is_open(B)
    wait_until(lambda: not any(A in topic for topic in published(fleet, "open")),
               "its own gateway has taken the message back", lambda: str(fleet.broker.retained()))
    # A gateway that joins later does not open a closed door.
    fleet[1].stop_fleet()
    fleet[1].start_fleet()
    knock(fleet, fleet[0], A)
    fleet.wait_for_open(A)


def test_opened_by_hand_is_open_everywhere_but_no_longer_than_the_door_allows(fleet_of):
    fleet = fleet_of(2)
    fleet.start(lambda gateway: gateway.door(cmd_timeout=60))
    assert fleet[0].ask("--open", "ssh", A, "1h").returncode == 0
    fleet[1].wait_for_open(A)
    assert fleet[1].openings()[0]["left"] <= 60
    assert fleet[0].openings()[0]["left"] > 3000


def test_only_named_doors_are_shared(fleet_of):
    fleet = fleet_of(2)
    fleet.start(lambda gateway: gateway.door() + gateway.door("mail", sequence="7100,7200,7300"))
    knock(fleet, fleet[0], A, "7100,7200,7300")
    fleet[0].wait_for_open(A, "mail")
    knock(fleet, fleet[0], A)
    fleet[1].wait_for_open(A)
    assert not fleet[1].is_open(A, "mail")
    # Nor when someone publishes it anyway.
    until = time.time() + 60
    for door in ("mail", "ssh"):
        fleet.broker.publish(f"knockd/home/gw9/open/{door}/{B}",
                             json.dumps({"until": until, "id": 1}))
    fleet[1].wait_for_open(B)
    assert not fleet[1].is_open(B, "mail")


# --- What comes and goes ---------------------------------------------------------------------------

def test_without_a_broker_local_doors_work_and_a_reconnect_catches_up(fleet_of):
    fleet = fleet_of(2)
    fleet.start()
    knock(fleet, fleet[0], A)
    fleet.wait_for_open(A)
    fleet.broker.stop(kill=True)
    for gateway in fleet.gateways:
        gateway.wait_for("broker .*; local doors go on, trying again")
    knock(fleet, fleet[0], B)
    fleet[0].wait_for_open(B)
    knock(fleet, fleet[1], C)
    fleet[1].wait_for_open(C)
    assert fleet[1].ask("--close", A).returncode == 0
    assert not fleet[1].is_open(B) and fleet[0].is_open(A)
    fleet.broker.start()
    fleet.wait_for_open(B, deadline=30)
    fleet.wait_for_open(C, deadline=30)
    fleet.wait_for_closed(A)


def test_restarted_daemon_reopens_what_is_due(fleet_of):
    fleet = fleet_of(2)
    fleet.start()
    knock(fleet, fleet[0], A)
    fleet.wait_for_open(A)
    fleet[1].daemon.stop()  # which closes all its doors
    assert fleet[1].ledger.read_text().splitlines() == [f"open ssh {A}", f"close ssh {A}"]
    fleet[1].wait_for("knockd has ended|knockd is not running.*")
    knock(fleet, fleet[0], B)
    fleet[0].wait_for_open(B)
    fleet[1].start_daemon()
    fleet.wait_for_open(A)
    fleet.wait_for_open(B)
    # A killed daemon keeps its own openings as its own.
    fleet[0].daemon.send(signal.SIGKILL)
    fleet[0].daemon.wait_for_end()
    fleet[0].start_daemon()
    fleet[0].wait_for("following knockd at .*", 2)
    fleet.wait_for_open(A)
    assert fleet[1].ask("--close", "all").returncode == 0
    fleet.wait_for_closed(A)
    fleet.wait_for_closed(B)


def test_fleet_that_is_killed_leaves_doors_alone_and_catches_up(fleet_of):
    fleet = fleet_of(2)
    fleet.start()
    knock(fleet, fleet[0], A)
    fleet.wait_for_open(A)
    fleet[0].stop_fleet(kill=True)
    knock(fleet, fleet[1], B)
    fleet[1].wait_for_open(B)
    assert fleet[0].is_open(A)
    assert fleet[1].ask("--close", A).returncode == 0
    before = published(fleet, "open")
    fleet[0].start_fleet()
    fleet.wait_for_open(B)
    fleet.wait_for_closed(A)
    assert any(topic.endswith(f"gw1/open/ssh/{A}") for topic in before), before
    wait_until(lambda: not any(A in topic for topic in published(fleet, "open")),
               "its old message is taken back", lambda: str(fleet.broker.retained()))


def test_twin_is_named(fleet_of):
    fleet = fleet_of(2)
    fleet.start()
    fleet[1].stop_fleet()
    fleet[1].start_fleet(user="gw1", gateway="gw1")
    for gateway in fleet.gateways:
        gateway.wait_for("another knockd-fleet is gateway gw1 of fleet home at broker .*: expected "
                         r"a name of its own for each \(Gateway\)", deadline=20)


def test_a_refusal_of_the_broker_is_one_line(fleet_of):
    fleet = fleet_of(1)
    gateway = fleet[0]
    gateway.start_daemon()
    gateway.start_fleet(password="wrong", connects=False)
    gateway.wait_for(r'broker .*: it refuses user "gw1" \(User, Password_File\): Not authorized; .*')
    gateway.stop_fleet()
    # Its name at the broker differs from its own.
    gateway.start_fleet(gateway="other")
    gateway.wait_for("following knockd at .*")
    knock(fleet, gateway, A)
    gateway.wait_for(r'broker .* refuses our messages: Not authorized; expected that user "gw1" may '
                     "write knockd/home/other/#")
    gateway.stop_fleet()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-keyout", "/dev/null", "-out", fleet.broker.certificates.ca, "-days", "2",
        "-subj", "/CN=another CA")
    gateway.start_fleet(connects=False)
    gateway.wait_for("broker .*: TLS: certificate verify failed; local doors go on, trying again")


# --- Codes -----------------------------------------------------------------------------------------

def test_code_used_at_one_is_refused_at_the_other(fleet_of, tmp_path):
    fleet = fleet_of(2)
    users = Users(tmp_path / "secrets", "alice")
    doors = lambda gateway: codes.door(Ledger(gateway.folder / "codes"), "ssh", users, COMPUTED,
                                       f"cmd_timeout = {LONG}", "stop_command = true")
    fleet.start(doors)
    ports = codes.knocks(computed(users["alice"], step_now(15)))
    knock(fleet, fleet[0], A, ports)
    fleet.wait_for_open(A)
    assert fleet[1].openings()[0]["user"] == "alice"
    wait_until(lambda: published(fleet, "code"), "the code is at the broker",
               lambda: str(fleet.broker.retained()))
    knock(fleet, fleet[1], B, ports)
    fleet[1].daemon.wait_for(f"{B}: ssh: .*it, or a later one, was used before.*")
    assert not fleet[1].is_open(B)
    # Without a broker the door works without waiting.
    fleet.broker.stop()
    for gateway in fleet.gateways:
        gateway.wait_for("broker .*; local doors go on, trying again")
    knock(fleet, fleet[0], C, codes.knocks(computed(users["alice"], step_now(15) + 1)))
    fleet[0].wait_for_open(C)
    assert not fleet[0].daemon.matching("the fleet did not take a code.*")


# --- Strangers -------------------------------------------------------------------------------------

GARBAGE = ["", "x", "{", "[" * 5000, "null", '{"until":1e999,"id":1}', '{"until":99999999999,"id":1}',
           '{"until":-1,"id":1}', '{"id":1}', '{"until":2000000000,"id":"1"}', "\\0\\377",
           '{"until":2000000000,"id":1,"user":"; rm -rf /"}', "{" + '"a":1,' * 3000 + '"b":1}']


def test_garbage_opens_nothing_and_is_harmless(fleet_of):
    fleet = fleet_of(1)
    fleet.start()
    gateway = fleet[0]
    topics = [f"knockd/home/gw9/{kind}/ssh/{where}" for kind in ("open", "close")
              for where in (A, "0.0.0.0", "224.0.0.1", "a", "%00")]
    topics += ["knockd/home/gw9/code/0123456789012345/4", "knockd/home/gw9/code/x/y"]
    for topic in topics:
        for payload in GARBAGE:
            fleet.broker.publish(topic, payload)
    # Ten thousand at once, none of which is kept.
    fleet.broker.flood(f"knockd/home/gw9/open/ssh/{A}",
                               (f'{{"until":{n},"id":{n}}}' for n in range(10000)))
    knock(fleet, gateway, B)
    gateway.wait_for_open(B)
    wait_until(lambda: any(B in topic for topic in published(fleet, "open")),
               "the fleet goes on", gateway.report)
    assert [one["address"] for one in gateway.openings()] == [B]
    assert len(gateway.matching(r"\d+ messages? of the fleet refused, the last: .*")) <= 2
    assert all(line.isprintable() for line in gateway.lines())


def test_it_runs_without_privileges(fleet_of):
    fleet = fleet_of(1)
    fleet.start()
    status = pathlib.Path(f"/proc/{fleet[0].fleet.pid}/status").read_text()
    found = dict(re.findall(r"^(\w+):\s*(.*)$", status, re.MULTILINE))
    assert found["Name"] == "knockd-fleet"
    assert found["Uid"].split() == 4 * [str(NOBODY)]
    assert [int(found[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Amb")] == [0, 0, 0, 0]
    assert found["NoNewPrivs"] == "1" and found["Seccomp"] == "2"


# --- The command line ------------------------------------------------------------------------------

def test_command_line(knockd_fleet, public_folder):
    assert run(knockd_fleet, "-V").stdout.startswith("knockd-fleet ")
    assert run(knockd_fleet, "--help").stdout.startswith("usage: knockd-fleet")
    config = public_folder / "fleet.conf"
    config.write_text("[options]\nBroker = broker.example\nDoors = ssh\nGateway = a b\n")
    done = run(knockd_fleet, "-t", "-c", config, check=False)
    assert (done.returncode, done.stdout) == (
        1, f"{config}:4:11: Gateway \"a b\": expected 1 to 64 letters, digits, '.', '_' and '-'\n")
    config.write_text("[options]\nBroker = broker.example\nDoors = ssh\nGateway = a\n")
    done = run(knockd_fleet, "-tc", config)
    assert done.stdout == "configuration OK\n"
    done = run(knockd_fleet, "-c", config, check=False)  # as root
    assert done.returncode == 1 and "expected an ordinary user" in done.stdout
    done = run(knockd_fleet, "--tst", check=False)
    assert done.returncode == 1 and "--test" in done.stdout
