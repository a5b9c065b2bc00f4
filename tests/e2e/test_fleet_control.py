# SPDX-License-Identifier: MIT
"""The requests of knockd-fleet to the daemon, and the daemon's events: openings and codes of other
gateways, and codes that wait until others know them. Here the test acts as the fleet, with its two
connections to the real socket."""

import json
import os
import re
import signal
import socket
import threading

import pytest

import codes
from codes import Users, computed, step_now
from network import run
from nftables import elements
from test_control import KNOCK, LONG, Asked, door, ids
from waiting import repeat_until, wait_until

A, B = "198.51.100.1", "198.51.100.2"
A6 = "2001:db8::a"
HANGS = "the fleet did not take a code within 300 ms: doors open without it until it does"
USED = "it, or a later one, was used before"


class Fleet:
    """Two connections: one for requests, the other for events."""

    def __init__(self, path):
        self._path = path
        self._socket = self._connect()
        self._answers = self._socket.makefile("r", encoding="utf-8")
        self._following = self._connect()
        self.events = []
        self._following.sendall(b"events\n")
        self.ask("status")  # it follows when a later request of another is answered
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _connect(self):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self._path))
        return connection

    def _read(self):
        self._following.settimeout(None)
        for line in self._following.makefile("r", encoding="utf-8"):
            self.events.append(json.loads(line))

    def ask(self, *words):
        self._socket.sendall("\t".join(map(str, words)).encode() + b"\n")
        return json.loads(self._answers.readline())

    def does(self, *words):
        answer = self.ask(*words)
        assert answer["status"] == 0, (words, answer)
        return answer["text"]

    def refuses(self, *words):
        """Refused with one sentence, and without an effect."""
        before = self.ask("status")["openings"]
        answer = self.ask(*words)
        assert answer["status"] == 1 and "\n" not in answer["text"], (words, answer)
        assert ids(self.ask("status")["openings"]) == ids(before)
        return answer["text"]

    def of(self, event):
        return [one for one in self.events if one["event"] == event]

    def wait_for(self, event, count=1):
        """The last of this many events."""
        wait_until(lambda: len(self.of(event)) >= count, f"{count} x {event!r} is told",
                   lambda: str(self.events[-20:]))
        return self.of(event)[count - 1]

    def new(self):
        """The reported openings, except renewals caused by a late start."""
        return [one for one in self.of("open") if "renewed" not in one]

    def wait_for_new(self, count):
        wait_until(lambda: len(self.new()) >= count, f"{count} doors are opened",
                   lambda: str(self.events[-20:]))

    def openings(self):
        return self.ask("status")["openings"]

    def hang_up_requests(self):
        """Closes only the connection for requests, with all its references."""
        self._answers.close()
        self._socket.close()

    def close(self):
        if self._following.fileno() < 0:
            return
        self.hang_up_requests()
        self._following.shutdown(socket.SHUT_RDWR)
        self._reader.join(10)
        self._following.close()


@pytest.fixture
def asked(start, knockd, server, tmp_path):
    return Asked(start, knockd, server, tmp_path)


@pytest.fixture
def join(asked):
    """join(): another fleet that asks the daemon."""
    fleets = []

    def begin():
        fleets.append(Fleet(asked.path))
        return fleets[-1]

    yield begin
    for fleet in fleets:
        fleet.close()


def tell_user(ledger):
    return f"echo user ${{KNOCKD_USER-nobody}} >> {ledger.path}"


# --- Openings --------------------------------------------------------------------------------------

def test_opens_as_a_knock_at_the_other_gateway_did(asked, join, ledger):
    daemon = asked.start(door(ledger, start=tell_user(ledger)))
    fleet = join()
    fleet.does("fleet-open", "a", A, "30.5", "site-b", "alice")
    ledger.wait_for("user alice")
    assert ledger.lines() == [f"start {A}", "user alice"]
    told = fleet.wait_for("open")
    assert (told["door"], told["address"], told["fleet"], told["user"]) == ("a", A, "site-b", "alice")
    assert "renewed" not in told and 0 < told["until"] - told["time"] <= 30.5
    [opening] = fleet.openings()
    assert (opening["id"], opening["fleet"]) == (told["id"], "site-b")
    assert abs(opening["until"] - told["until"]) < 0.1
    assert daemon.matching(f"{A}: a: opened by gateway site-b for alice")
    assert not daemon.matching(".*(SESAME|by hand).*")
    assert "gateway site-b" in asked.ask("--status").stdout


def test_extends_but_never_shortens_and_no_longer_than_the_door_itself(asked, join, ledger):
    asked.start(door(ledger, cmd_timeout=60))
    fleet = join()
    fleet.does("fleet-open", "a", A, "20", "site-b")
    first = fleet.wait_for("open")
    for shorter in "0.1", "1", "5":
        fleet.does("fleet-open", "a", A, shorter, "site-c")
    assert fleet.openings()[0]["until"] > first["until"] - 0.1
    fleet.does("fleet-open", "a", A, "1000000", "site-d")

    def told(site):
        return [one for one in fleet.of("open") if one["fleet"] == site]

    wait_until(lambda: told("site-d"), "it is lengthened", lambda: str(fleet.events))
    longer = told("site-d")[-1]
    assert longer["renewed"] and longer["id"] == first["id"]
    assert longer["until"] - longer["time"] <= 60
    assert fleet.openings()[0]["left"] <= 60
    assert told("site-c") == [] and ledger.lines() == [f"start {A}"]


def test_a_local_opening_is_extended_and_taken_over_again(asked, join, frames, ledger, client):
    asked.start(door(ledger, "reknock = extend", "seq_cooldown = 1"))
    fleet = join()
    frames.knock(KNOCK)
    own = fleet.wait_for("open")
    assert "fleet" not in own and "fleet" not in fleet.openings()[0]
    # An end that differs only by the delay of the request is not a later one.
    def lengthened():
        return [one for one in fleet.of("open") if "fleet" in one]

    repeat_until(lambda: fleet.does("fleet-open", "a", client.ipv4, LONG, "site-b"), lengthened,
                 "it is lengthened", lambda: str(fleet.events))
    longer = lengthened()[0]
    assert (longer["id"], longer["fleet"], longer["renewed"]) == (own["id"], "site-b", True)
    assert longer["until"] > own["until"] and fleet.openings()[0]["fleet"] == "site-b"

    def taken_over():
        later = fleet.events[fleet.events.index(longer) + 1:]
        return [one for one in later if one["event"] == "open" and "fleet" not in one]

    repeat_until(lambda: frames.knock(KNOCK), taken_over, "a knock here counts again",
                 lambda: str(fleet.events))
    assert taken_over()[0]["renewed"] and taken_over()[0]["id"] == own["id"]
    assert "fleet" not in fleet.openings()[0] and ledger.lines() == [f"start {client.ipv4}"]


def test_ports_are_open_for_the_time_that_is_left(asked, join, server):
    asked.start("[ssh]\nsequence = 7000,8000\ntcpflags = syn\nopen = 22\nopen_for = 1h\n")
    fleet = join()
    fleet.does("fleet-open", "ssh", A, "100", "site-b")
    [(element, seconds)] = elements(server, "open4_32").items()
    assert element == f"{A} tcp 22" and 50 < seconds <= 100


def test_closes_when_its_time_is_over(asked, join, ledger):
    asked.start(door(ledger))
    fleet = join()
    fleet.does("fleet-open", "a", A, "0.7", "site-b")
    until = fleet.wait_for("open")["until"]
    closed = fleet.wait_for("closed")
    assert (closed["by"], closed["fleet"]) == ("time", "site-b")
    assert closed["time"] >= until - 0.002
    assert ledger.lines() == [f"start {A}", f"stop {A}"]


def test_forbidden_openings_are_refused(asked, join, ledger):
    daemon = asked.start(door(ledger) + door(ledger, "stop_command_6 =", name="four",
                                             sequence="7100,7200,7300")
                         + "[none]\nsequence = 7500,7600\ncommand = true\n"
                         + "[six]\nsequence = 7700,7800\ncommand = true\nstop_command_6 = true\n")
    fleet = join()
    assert fleet.refuses("fleet-open", "b", A, "30", "site-b").startswith("no door is called b")
    nothing = "has nothing to undo: it is opened by knocks alone"
    assert fleet.refuses("fleet-open", "none", A, "30", "site-b") == f"door none {nothing}"
    assert fleet.refuses("fleet-open", "four", A6, "30", "site-b") == f"door four {nothing}"
    for words in (["a", A, "30"], ["a", A, "30", "x y"], ["a", A, "-1", "b"], ["a", A, "nan", "b"],
                  ["a", "::", "30", "b"], ["a", "ff02::1", "30", "b"], ["a", A, "30", "b", "a b"],
                  ["--door=a", A, "30", "b"], ["", A, "30", "b"], ["a", "", "30", "b"], []):
        fleet.refuses("fleet-open", *words)
    assert ledger.lines() == []
    fleet.does("fleet-open", "four", A, "30", "site-b")
    assert not daemon.matching(".*none.*")
    told = {one["name"]: (one["closes"], one["open_for"]) for one in fleet.ask("status")["doors"]}
    assert told == {"a": (True, LONG), "four": (True, LONG), "none": (False, 10),
                    "six": (True, 10)}


def test_lack_of_room_is_reported_with_the_gateway(asked, join, ledger):
    asked.start(door(ledger, "max_open = 1"))
    fleet = join()
    fleet.does("fleet-open", "a", A, "30", "site-b")
    fleet.refuses("fleet-open", "a", B, "30", "site-c")
    refused = fleet.wait_for("refused")
    assert (refused["address"], refused["fleet"]) == (B, "site-c")


def test_a_closing_names_its_cause(asked, join, ledger):
    daemon = asked.start(door(ledger))
    fleet = join()
    fleet.does("fleet-open", "a", A, "60", "site-b")
    fleet.does("fleet-close", "a", A, "site-c")
    assert fleet.wait_for("closed")["by"] == "fleet"
    daemon.wait_for(f"{A}: a: closed by gateway site-c")
    assert fleet.refuses("fleet-close", "a", A, "site-c") == "nothing was open there"
    fleet.does("fleet-open", "a", A, "60", "site-b")
    assert asked.ask("--close", "a", A).returncode == 0
    assert fleet.wait_for("closed", 2)["by"] == "hand"
    fleet.does("fleet-open", "a", A, "60", "site-b")
    fleet.refuses("fleet-close", "a", B, "site-c")
    fleet.does("fleet-open", "a", B, "0.1", "site-b")
    assert fleet.wait_for("closed", 3)["by"] == "time"
    daemon.send(signal.SIGTERM)
    assert fleet.wait_for("closed", 4)["by"] == "shutdown"
    assert daemon.wait_for_end() == 0


# A hung command must not block the fleet's requests.
def test_no_command_is_waited_for(asked, join, ledger, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    asked.start(door(ledger, start=f"cat {go}"))
    fleet = join()
    assert "start" not in fleet.does("fleet-open", "a", A, "60", "site-b")
    assert fleet.does("fleet-close", "a", A, "site-b") == "closing 1 opening"
    assert fleet.openings() != []
    with open(go, "w", encoding="utf-8"):
        pass
    assert fleet.wait_for("closed")["by"] == "fleet"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "keep"])
def test_a_restart_keeps_the_origin_of_an_opening(asked, join, frames, client, ledger, how):
    config = door(ledger)
    daemon = asked.start(config, "Shutdown = keep")
    fleet = join()
    fleet.does("fleet-open", "a", A, LONG, "site-b", "alice")
    assert asked.ask("--open", "a", client.ipv4, "1m").returncode == 0
    fleet.does("fleet-open", "a", client.ipv4, LONG, "site-c")
    frames.knock(KNOCK, source=B)
    fleet.wait_for("open", 4)
    daemon.send(how)
    daemon.wait_for_end()
    asked.start(config, "Shutdown = keep")
    told = {one["address"]: (one.get("fleet"), one.get("user")) for one in join().openings()}
    assert told == {A: ("site-b", "alice"), client.ipv4: ("site-c", None), B: (None, None)}


def test_these_requests_are_not_offered_to_users(asked, ledger):
    asked.start(door(ledger))
    for option in "--fleet-open", "--fleet-close", "--fleet-used", "--fleet-share", "--fleet-shared":
        done = asked.ask(option, "a", A)
        assert done.returncode == 1 and "option" in done.stderr, done
    assert "fleet" not in run(asked._knockd, "--help").stdout


# --- Codes that were used here -----------------------------------------------------------------------

@pytest.fixture
def users(tmp_path):
    return Users(tmp_path / "secrets", *(f"u{n}" for n in range(10)))


@pytest.fixture
def coded(asked, ledger, users):
    """coded(): a daemon with a door with codes; each user may knock once."""
    def begin():
        return asked.start(codes.door(ledger, "door", users, codes.COMPUTED, "stop_command = true",
                                      f"cmd_timeout = {LONG}") + codes.plain(), "Log_Rate = 0")

    return begin


def knock(frames, users, user, source):
    frames.knock(codes.knocks(computed(users[user], step_now())), source=source)


def in_time(daemon, attempts, attempt):
    """The result of the first attempt(number) that was faster than the daemon's timeout, because a
    busy machine may be slower."""
    for number in range(attempts):
        before = len(daemon.matching(HANGS))
        result = attempt(number)
        if len(daemon.matching(HANGS)) == before:
            return result
    raise AssertionError(f"{attempts} times slower than 300 ms\n{daemon.report()}")


def test_a_code_is_reported_when_it_is_used(coded, join, frames, users):
    daemon = coded()
    fleet = join()
    step = step_now()
    knock(frames, users, "u0", A)
    fleet.wait_for("open")
    [code] = fleet.of("code")
    assert (code["door"], code["address"], code["user"]) == ("door", A, "u0")
    assert re.fullmatch("[0-9]{16}", code["secret"]) and code["step"] in (step, step + 1)
    assert [one["event"] for one in fleet.events if one["event"] in ("code", "open")] == [
        "code", "open"]
    assert users["u0"] not in str(fleet.events) and daemon.matching(f"{A}: door: OPEN SESAME")


def test_a_door_waits_until_its_code_is_shared(coded, join, frames, users, ledger):
    daemon = coded()
    fleet = join()
    fleet.does("fleet-share", "yes")

    def wait_for_it(number):
        knock(frames, users, f"u{number}", A)
        code = fleet.wait_for("code", number + 1)
        opened = len(fleet.new()), len(fleet.openings()), len(ledger.lines())
        fleet.does("fleet-shared", code["id"] + 1000)  # another's
        still = len(fleet.new())
        fleet.does("fleet-shared", code["id"])
        fleet.wait_for_new(number + 1)
        return opened, still, number

    opened, still, number = in_time(daemon, 10, wait_for_it)
    assert opened == (number, number, number) and still == number


def test_a_hung_fleet_delays_one_door_once(coded, join, frames, users, ledger):
    daemon = coded()
    fleet = join()
    fleet.does("fleet-share", "yes")
    knock(frames, users, "u0", A)
    first = fleet.wait_for("open")
    assert first["time"] - fleet.wait_for("code")["time"] >= 0.299
    assert len(daemon.matching(HANGS)) == 1
    # A vain wait would be logged.
    knock(frames, users, "u1", B)
    fleet.wait_for_new(2)
    ledger.wait_for(f"open door u1 {B}")
    assert len(daemon.matching(HANGS)) == 1
    fleet.does("fleet-shared", fleet.of("code")[1]["id"])
    knock(frames, users, "u2", A)
    fleet.wait_for_new(3)
    assert len(daemon.matching(HANGS)) == 2


@pytest.mark.parametrize("how", ["no", "gone"])
def test_the_wait_ends_with_the_fleets_connection(coded, join, frames, users, how):
    daemon = coded()

    def end_the_wait(number):
        fleet = join()
        wait_until(lambda: fleet.ask("fleet-share", "yes")["status"] == 0, "the last is gone")
        knock(frames, users, f"u{number}", A)
        fleet.wait_for("code")
        fleet.does("fleet-share", "no") if how == "no" else fleet.hang_up_requests()
        fleet.wait_for("open")
        fleet.close()

    in_time(daemon, 9, end_the_wait)
    warnings = len(daemon.matching(HANGS))
    fleet = join()
    knock(frames, users, "u9", B)
    fleet.wait_for("open")
    assert len(daemon.matching(HANGS)) == warnings, "nobody waits without a fleet"


def test_one_connection_may_share(coded, join):
    coded()
    fleet, other = join(), join()
    other.refuses("fleet-shared", 1)
    fleet.does("fleet-share", "yes")
    for words in (["fleet-share", "yes"], ["fleet-share", "no"], ["fleet-shared", 1]):
        other.refuses(*words)
    fleet.hang_up_requests()
    wait_until(lambda: other.ask("fleet-share", "yes")["status"] == 0, "another may")


def test_a_door_that_waits_can_be_closed(coded, asked, join, frames, users, ledger):
    daemon = coded()
    fleet = join()
    fleet.does("fleet-share", "yes")

    def close_it(number):
        knock(frames, users, f"u{number}", A)
        code = fleet.wait_for("code", number + 1)
        closed = fleet.ask("close", "door", A)
        fleet.does("fleet-shared", code["id"])
        return closed

    assert in_time(daemon, 10, close_it) == {"status": 0, "text": "1 opening closed"}
    last = fleet.of("code")[-1]["id"]
    assert last not in ids(fleet.openings()) and last not in ids(fleet.of("open"))


# --- Codes that were used elsewhere ------------------------------------------------------------------

def secret_ids(fleet, frames, users, *names):
    """The ids of these users' secrets, as the daemon reports them, by name."""
    fleet.does("fleet-share", "no")  # its connection may be silent from now on
    for name in names:
        known = len(fleet.of("code"))
        knock(frames, users, name, "203.0.113.77")
        fleet.wait_for("code", known + 1)
    return {code["user"]: code["secret"] for code in fleet.of("code")}


def test_a_code_used_elsewhere_opens_nothing_here(coded, join, ledger, frames, frames6, users):
    daemon = coded()
    fleet = join()
    ids_of = secret_ids(fleet, frames, users, "u0", "u1")
    step = step_now(15)
    for user, used in ("u0", step + 1), ("u1", step + 2):
        fleet.does("fleet-used", ids_of[user], used, A, "site-b")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    daemon = coded()
    knocks = codes.Knocks(daemon, ledger, frames, frames6)
    knocks.stays_shut(computed(users["u0"], step + 1), B, USED)
    knocks.stays_shut(computed(users["u0"], step), B, USED)
    knocks.opens(computed(users["u0"], step + 1), A, "u0")  # who used it there
    knocks.opens(computed(users["u0"], step + 1, 6), A6, "u0")  # of the other family
    knocks.stays_shut(computed(users["u1"], step + 1), B,
                      "one of a later time was used, when the clock was ahead")
    knocks.opens(computed(users["u2"], step), B, "u2")


def test_invalid_codes_are_ignored(coded, join, ledger, frames, users):
    daemon = coded()
    fleet = join()
    ids_of = secret_ids(fleet, frames, users, "u0")
    step = step_now(15)
    assert fleet.refuses("fleet-used", ids_of["u0"], step + 3, A, "site-b") == (
        "the step of the code is yet to come")
    fleet.refuses("fleet-used", "alice", step, A, "site-b")
    fleet.refuses("fleet-used", ids_of["u0"], step, "host", "site-b")
    book = [path for path in daemon.config_file.parents[1].glob("*") if "code" in path.name
            and path.is_file()]
    before = [path.read_bytes() for path in book]
    assert fleet.does("fleet-used", "0123456789012345", step, A, "site-b") == ""
    assert book and [path.read_bytes() for path in book] == before
    codes.Knocks(daemon, ledger, frames).opens(computed(users["u0"], step + 1), B, "u0")
