# SPDX-License-Identifier: MIT
"""knockd(8) lists every key of the status and of events, every event, reason and metric, and no
others: its lists are compared with the output of a daemon that has been through all of them."""

import json
import re
import signal
import socket

import pytest

import codes
from fixtures import TREE
from waiting import wait_until

LONG = "x" * 200
SOCKET_HOLDS = 300_000  # bytes at most, besides those that the daemon keeps
PAGE = (TREE / "man/knockd.8").read_text()
CONFIG = """
[options]
Interface = eth0, none0
Control = {control}
StateFile = {folder}/state
[ssh]
Sequence = 7421,3096,5518
Seq_Timeout = 1
TCPFlags = syn
Open = 22
Open_For = 1h
[one]
Sequence = 6000:udp
Start_Command = false
Stop_Command = true
Max_Open = 1
[typed]
Sequence = 7500,400xx,401xx,402xx,403xx
Secrets = {folder}/secrets
Seq_Timeout = 1
Stop_Command = true
Cmd_Timeout = 1h
[{long}]
Sequence = 6001:udp
Stop_Command = true
Reknock = extend
"""


def section(title):
    return re.split(r"^\.S[sh] ", PAGE.split(f".Ss {title}\n")[1], flags=re.MULTILINE)[0]


def documented(title, macro="Li"):
    items = re.findall(rf"^\.It {macro} (\S+)$", section(title), re.MULTILINE)
    assert len(items) == len(set(items)) > 10, items
    return set(items)


def keys(value, path=""):
    """The paths of all values except objects and lists, in the page's notation."""
    if isinstance(value, dict):
        found = [keys(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()]
    elif isinstance(value, list):
        found = [keys(item, path + "[]") for item in value]
    else:
        return {path}
    return set().union(*found)


class Asker:
    """One connection to the socket, without knockd's own client."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("r", encoding="utf-8")

    def say(self, *words, times=1):
        self._socket.sendall(times * ("\t".join(words).encode() + b"\n"))

    def line(self):
        return json.loads(self._lines.readline())

    def ask(self, *words):
        self.say(*words)
        return self.line()


@pytest.fixture
def control(tmp_path):
    return tmp_path / "control"


@pytest.fixture
def alice(tmp_path):
    return codes.Users(tmp_path / "secrets", "alice")["alice"]


@pytest.fixture
def daemon(start, control, alice, tmp_path):
    return start(CONFIG.format(control=control, long=LONG, folder=tmp_path), interface=None)


@pytest.fixture
def events(daemon, control):
    """All events from now on, up to and including the next event that wait_for() names."""
    asker = Asker(control)
    asker.say("events")
    # The subscription is complete once another connection's request is answered.
    Asker(control).ask("status")
    found = []

    def wait_for(event):
        found.append(asker.line())
        while found[-1]["event"] != event:
            found.append(asker.line())
        return found

    return wait_for


def let_everything_happen(daemon, control, frames, stranger, events, alice):
    asker = Asker(control)
    good = codes.typed(alice, codes.step_now())
    wrong = [good[0], 40100 + (good[1] + 1) % 100]
    for ports, event in ([7500, *wrong], "wrong_code"), ([7500, *good], "open"):
        frames.knock(",".join(map(str, ports)))
        events(event)
    frames.knock("7421,3096,5518")
    events("open")
    assert asker.ask("close", "--door=ssh") == {"status": 0, "text": "1 opening closed"}
    events("closed")
    frames.knock("7421,3096,7421")  # the last is the first of another attempt
    events("wrong")
    frames.tcp(3096)
    for port in range(100, 120):
        frames.tcp(port)
    events("scan")
    frames.tcp(7421)
    events("timeout")
    frames.udp(6000)
    events("command_failed")
    frames.udp(6000, source=stranger.ipv4)
    events("refused")
    assert asker.ask("open", "ssh", "192.0.2.9", "5m")["status"] == 0
    for seconds in "60", "120":
        assert asker.ask("fleet-open", "ssh", "192.0.2.10", seconds, "site-b")["status"] == 0
    daemon.send(signal.SIGHUP)
    events("reload")
    daemon.host.run("ip", "link", "add", "none0", "type", "veth")
    daemon.host.run("ip", "link", "set", "none0", "up")
    return events("interface")


def fall_behind(control):
    """The last event for a follower that reads nothing."""
    slow, asker = Asker(control), Asker(control)
    slow.say("events")

    def open_door(times):
        asker.say("open", LONG, "192.0.2.9", "1h", times=times)
        for _ in range(times):
            asker.line()

    open_door(1)
    # Not many more than needed and many at a time, because a follower that is cut off has 10 s to read.
    enough = (1 << 20) + SOCKET_HOLDS
    for _ in range(enough // len(json.dumps(slow.line(), separators=(",", ":"))) // 100 + 1):
        open_door(100)
    while (event := slow.line())["event"] != "overrun":
        pass
    return event


def test_every_key_of_the_status(daemon, control, frames, stranger, events, alice):
    seen = keys(Asker(control).ask("status", "json"))
    let_everything_happen(daemon, control, frames, stranger, events, alice)
    status = Asker(control).ask("status", "json")
    assert seen | keys(status) == documented("Keys of the status")
    reasons = re.search(r"^Why it ended:\n\.Cm (.*)\nor\n\.Cm (\w+) \.", section("Keys of the status"),
                        re.M)
    assert {attempt["reason"] for attempt in status["attempts"]} == {
        *reasons[1].split(" , "), reasons[2]}


def test_every_key_of_events(daemon, control, frames, stranger, events, alice):
    seen = let_everything_happen(daemon, control, frames, stranger, events, alice)
    seen.append(fall_behind(control))
    listed, names = section("Keys of events").split("The events are:")
    assert {event["event"] for event in seen} == set(re.findall(r"^\.It Cm (\S+)$", names, re.M))
    assert set().union(*map(keys, seen)) == set(re.findall(r"^\.It Li (\S+)$", listed, re.M))


def test_every_metric(daemon, control):
    answer = Asker(control).ask("status", "prometheus")
    assert set(re.findall(r"^# TYPE (\S+)", answer["text"], re.M)) == documented("Metrics")
    labels = set(re.findall(r'[{,](\w+)="', answer["text"]))
    assert labels == set(re.findall(r"\b(door|interface|version)\b", section("Metrics")))


def test_an_interface_without_a_listener_has_no_filter(daemon, control):
    text = Asker(control).ask("status", "prometheus")["text"]
    for metric in ("listening", "filter_in_kernel"):
        found = re.findall(rf'^knockd_{metric}{{interface="(.*)"}} (\d)$', text, re.M)
        assert found == [("eth0", "1"), ("none0", "0")]


def test_the_documented_requests_are_accepted(daemon, control):
    """Each word of the protocol's list is known; a door may be named by the option."""
    shown = re.search(r"\.Bd -literal.*?\n(.*?)\.Ed", section("The protocol"), re.S)[1]
    requests = [line.split()[0] for line in shown.splitlines()]
    assert requests == ["status", "close", "open", "events"]
    asker = Asker(control)
    refused = asker.ask("help")
    assert refused["status"] == 1 and all(word in refused["text"] for word in requests)
    assert asker.ask("status", "table")["status"] == 0
    assert asker.ask("open", "--door=ssh", "192.0.2.9")["status"] == 0
    assert asker.ask("close", "--door=ssh", "192.0.2.9") == {"status": 0, "text": "1 opening closed"}
    assert asker.ask("close", "--door=all")["status"] == 1
    shown = re.search(r"^\.Bd -literal.*?\n(.*?)\.Ed", section("Requests of knockd-fleet"), re.S | re.M)[1]
    for request in shown.splitlines():
        name, words = request.split(maxsplit=1)
        refused = asker.ask(name)
        assert refused == {"status": 1, "text": f"{name}: expected {words.replace('|', ' or ')}"}
    wait_until(lambda: not asker.ask("status")["openings"], "nothing open", daemon.report)
