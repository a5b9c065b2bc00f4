# SPDX-License-Identifier: MIT
"""A fleet under random faults, one after the other: processes are killed, the network is cut, the
broker loses its data, strangers publish to it. Afterwards every ledger is audited: no gateway's
door was open past its time, or shut before it. scripts/fleet runs 200 faults; KNOCKD_FLEET_FAULTS
and KNOCKD_FLEET_SEED set their number and the seed."""

import collections
import json
import os
import pathlib
import random
import signal
import time

import pytest

from fleet import KNOCK, Fleet
from senders import Frames
from timed_ledger import TimedLedger, seconds_since_boot
from waiting import DEADLINE, wait_until
from wall_clock import WallClock

FAULTS = int(os.environ.get("KNOCKD_FLEET_FAULTS", "10"))
SEED = int(os.environ.get("KNOCKD_FLEET_SEED", "0")) or random.randrange(1, 1 << 30)
SKEW = int(os.environ.get("KNOCKD_FLEET_SKEW", "6"))  # seconds between clocks
TEST_SECONDS = 240 + FAULTS * 60

OPEN_FOR = 15  # seconds
LASTS = 2.0  # seconds of a fault
# Seconds by which a busy machine may be late with a command, plus the rounding of an expiry to
# whole seconds. This is only a bound; the measured figure is printed.
TOLERANCE = 3.0

pytestmark = pytest.mark.skipif("KNOCKD_FLEET_BINARY" not in os.environ,
                                reason="this build has no knockd-fleet")

Opening = collections.namedtuple("Opening", "source gateway due")


class Trouble:
    """The fleet of one run, its openings, and the possible faults."""

    def __init__(self, fleet, knock, draw, open_for):
        self.fleet, self.draw, self.open_for = fleet, draw, open_for
        self._knock = knock
        self._sources = (f"198.51.{high}.{low}" for high in range(100, 200) for low in range(1, 255))
        self.openings = []
        self.closed = {}  # source: time at which it was closed by hand
        self.ledgers = {}
        self.down = collections.defaultdict(list)  # gateway's name: [from, to] without its daemon
        # Seconds from the last reconnection until all had caught up, by fault.
        self.late = collections.defaultdict(list)
        for gateway in fleet.gateways:
            self.ledgers[gateway.name] = TimedLedger(gateway.folder / "times", {"ssh": open_for})

    def doors(self, gateway):
        return self.ledgers[gateway.name].door("ssh", KNOCK, "tcpflags = syn", "Reknock = extend")

    def start_daemon(self, gateway, prefix=()):
        gateway.start_daemon(self.doors(gateway), prefix=prefix)

    # --- What people do meanwhile

    def knock(self, gateway=None):
        """Knocks at a running gateway."""
        gateway = gateway or self.draw.choice([one for one in self.fleet.gateways
                                               if one.daemon.process.poll() is None])
        source = next(self._sources)
        story = lambda: self.ledgers[gateway.name].stories().get(("ssh", source))
        self._knock(gateway, source)
        wait_until(story, f"{gateway.name} opens to {source}", gateway.report)
        self.openings.append(Opening(source, gateway.name, story()[0].time + self.open_for))
        return source

    def close(self):
        """Closes an open door by hand at a gateway. Without knockd-fleet it would be closed only
        there."""
        gateway = self.draw.choice([one for one in self.fleet.gateways
                                    if one.daemon.process.poll() is None
                                    and one.fleet.poll() is None])
        now = seconds_since_boot()
        ours = [one["address"] for one in gateway.openings()
                if one["address"] not in self.closed]
        due = {one.source: one.due for one in self.openings}
        ours = [source for source in ours if due[source] > now + 1]
        if not ours:
            return
        source = self.draw.choice(ours)
        self.closed[source] = now
        assert gateway.ask("--close", source).returncode == 0

    # --- Faults. Each ends what it began.

    def one(self):
        return self.draw.choice(self.fleet.gateways)

    def pause(self):
        """The duration of a fault, during which people continue to knock and close."""
        end = time.monotonic() + LASTS
        for _ in range(self.draw.randint(1, 2)):
            self.knock()
        if self.draw.random() < 0.3:
            self.close()
        wait_until(lambda: time.monotonic() > end, "the fault has lasted")

    def broker_killed(self):
        self.fleet.broker.stop(kill=True)
        self.pause()
        self.fleet.broker.start()

    def broker_restarted(self):
        self.fleet.broker.stop()
        self.pause()
        self.fleet.broker.start()

    def broker_forgets(self):
        self.fleet.broker.stop(kill=True)
        (self.fleet.broker.folder / "mosquitto.db").unlink(missing_ok=True)
        self.pause()
        self.fleet.broker.start()

    def broker_hangs(self):
        self.fleet.broker.process.send_signal(signal.SIGSTOP)
        try:
            self.pause()
        finally:
            self.fleet.broker.process.send_signal(signal.SIGCONT)

    def _fleet_ends(self, kill):
        gateway = self.one()
        gateway.stop_fleet(kill=kill)
        self.pause()
        gateway.start_fleet(connects=False)

    def fleet_killed(self):
        self._fleet_ends(True)

    def fleet_restarted(self):
        self._fleet_ends(False)

    def fleet_hangs(self):
        gateway = self.one()
        gateway.fleet.send_signal(signal.SIGSTOP)
        try:
            self.pause()
        finally:
            gateway.fleet.send_signal(signal.SIGCONT)

    def _daemon_ends(self, gateway, number):
        self.down[gateway.name].append([seconds_since_boot(), None])
        gateway.daemon.send(number)
        gateway.daemon.wait_for_end()

    def _daemon_starts(self, gateway):
        self.start_daemon(gateway)
        self.down[gateway.name][-1][1] = seconds_since_boot()

    def daemon_killed(self):
        gateway = self.one()
        self._daemon_ends(gateway, signal.SIGKILL)
        self.pause()
        self._daemon_starts(gateway)

    def daemon_restarted(self):
        gateway = self.one()
        self._daemon_ends(gateway, signal.SIGTERM)
        self.pause()
        self._daemon_starts(gateway)

    def gateway_killed(self):
        gateway = self.one()
        gateway.stop_fleet(kill=True)
        self._daemon_ends(gateway, signal.SIGKILL)
        self.pause()
        self._daemon_starts(gateway)
        gateway.start_fleet(connects=False)

    def partition(self):
        cut = self.draw.sample(self.fleet.gateways, self.draw.randint(1, 3))
        for gateway in cut:
            gateway.host.run("nft", "add table ip cut; "
                             "add chain ip cut in { type filter hook input priority -10; }; "
                             "add chain ip cut out { type filter hook output priority -10; }; "
                             f"add rule ip cut in ip saddr {self.fleet.broker.host.ipv4} drop; "
                             f"add rule ip cut out ip daddr {self.fleet.broker.host.ipv4} drop")
        try:
            self.pause()
        finally:
            for gateway in cut:
                gateway.host.run("nft", "delete table ip cut")

    def _retained(self):
        return self.fleet.broker.retained("knockd/home/#")

    def duplicates(self):
        """Publishes each message again, under the name of its gateway."""
        for topic, payload in list(self._retained().items())[:8]:
            gateway = topic.split("/")[2]
            if gateway in self.fleet.names:
                self.fleet.broker.publish(topic, payload, user=gateway)
        self.pause()

    def old_messages(self):
        """Messages of a gateway that no longer exists: their time is over, or they have no
        expiry."""
        source = next(self._sources)
        for until in (time.time() - 100, time.time() - 1):
            self.fleet.broker.publish(f"knockd/home/gone/open/ssh/{source}",
                                      json.dumps({"until": until, "id": 1}), "-r")
        self.pause()
        self.fleet.broker.publish(f"knockd/home/gone/open/ssh/{source}", "", "-r")

    def garbage(self):
        for _ in range(5):
            words = ["open", "close", "code", "%2F", "ssh", "198.51.100.1", "", "é", "x" * 300, "..",
                     "sync", "gw1"]
            topic = "knockd/home/" + "/".join(self.draw.choices(words, k=self.draw.randint(1, 5)))
            payload = self.draw.choice(["{}", "[]", "", "x", '{"until":1e309}', "{" * 900, "null"])
            self.fleet.broker.publish(topic, payload)
        self.pause()

    def flood(self):
        self.fleet.broker.flood("knockd/home/gw1/open/ssh/198.51.99.1",
                                (f'{{"until":{n},"id":{n}}}' for n in range(10000)))
        self.pause()

    FAULTS = [broker_killed, broker_restarted, broker_forgets, broker_hangs, fleet_killed,
              fleet_restarted, fleet_hangs, daemon_killed, daemon_restarted, gateway_killed,
              partition, duplicates, old_messages, garbage, flood]

    # --- The audit

    def wait_until_caught_up(self, fault):
        """Returns when openings that are due are open everywhere, and those closed by hand are
        closed."""
        for gateway in self.fleet.gateways:
            wait_until(gateway.is_connected, f"{gateway.name} is connected again", self.report,
                       deadline=60)
        begin = time.monotonic()
        for gateway in self.fleet.gateways:
            def missing(gateway=gateway):
                now = seconds_since_boot()
                shown = {one["address"] for one in gateway.openings()}
                return ([one for one in self.openings if one.due > now + 1
                         and one.source not in self.closed and one.source not in shown]
                        + [f"{source} is open" for source in shown & set(self.closed)])
            wait_until(lambda: not missing(), f"{gateway.name} has caught up",
                       lambda: f"{missing()}\n{self.report()}", deadline=20)
        self.late[fault].append(time.monotonic() - begin)

    def wait_for_the_end(self):
        end = max(one.due for one in self.openings)
        wait_until(lambda: seconds_since_boot() > end, "the last opening is due",
                   deadline=self.open_for + DEADLINE)
        for gateway in self.fleet.gateways:
            wait_until(lambda gateway=gateway: not gateway.openings(),
                       f"nothing is open at {gateway.name}", gateway.report)
            wait_until(lambda gateway=gateway: not self.ledgers[gateway.name].open_doors(),
                       f"all of {gateway.name} was shut", gateway.report)

    def faults(self, skew=0.0):
        """The faults as text, and the deviations of the ends from their times."""
        faults, differences = [], []
        due = {one.source: one.due for one in self.openings}
        for name, ledger in self.ledgers.items():
            for (_, source), story in ledger.stories().items():
                if source not in due:
                    faults.append(f"{name} {source}: nobody knocked")
                    continue
                what = [event.what for event in story]
                # An opening that was recorded before its daemon was killed, without its start
                # command.
                if what[0] == "stop" and any(0 <= start - (due[source] - self.open_for) < TOLERANCE
                                             for start, _ in self.down[name]):
                    what.insert(0, "start")
                # Or killed after closing, before that was recorded: it is closed again.
                for first, again in zip(story, story[1:]):
                    if first.what == again.what == "stop" and any(
                            0 <= start - first.time + 0.1 < TOLERANCE for start, _ in self.down[name]):
                        what.pop()
                if what != ["start", "stop"] * (len(what) // 2):
                    faults.append(f"{name} {source}: {what}")
                    continue
                end = story[-1].time
                restarts = [to for start, to in self.down[name] if start < end <= to + TOLERANCE
                            and to > due[source]]
                latest = max([due[source], *restarts]) + skew + TOLERANCE
                if end > latest:
                    faults.append(f"{name} {source}: open {end - due[source]:.2f} s too long: {story}")
                if source in self.closed:
                    continue
                if end < due[source] - skew - TOLERANCE:
                    faults.append(f"{name} {source}: shut {due[source] - end:.2f} s early: {story}")
                # A daemon restarted in the last seconds of an opening has closed it with all
                # others.
                if not any(start < end <= to + TOLERANCE for start, to in self.down[name]):
                    differences.append(end - due[source])
        return faults, differences

    def report(self):
        return "\n".join([f"seed {SEED}", self.fleet.broker.log()[-1000:],
                          *(gateway.report() for gateway in self.fleet.gateways)])


@pytest.fixture
def trouble_of(network, knockd, public_folder):
    """trouble_of(size): a fleet of this many gateways; only the broker runs yet."""
    made = []
    binary = pathlib.Path(os.environ["KNOCKD_FLEET_BINARY"]).resolve()

    def make(size, open_for=OPEN_FOR):
        fleet = Fleet(network, knockd, binary, public_folder, size)
        made.append(fleet)
        knock = lambda gateway, source: Frames(network.client, gateway.host).knock(KNOCK, source=source)
        return Trouble(fleet, knock, random.Random(SEED), open_for)

    yield make
    for fleet in made:
        fleet.close()


def test_no_fault_leaves_a_door_open_or_shuts_one_early(trouble_of, record_property):
    trouble = trouble_of(5)
    for gateway in trouble.fleet.gateways:
        trouble.start_daemon(gateway)
        gateway.start_fleet()
    # Each fault once, before any is repeated.
    rounds = []
    while len(rounds) < FAULTS:
        rounds += trouble.draw.sample(Trouble.FAULTS, len(Trouble.FAULTS))
    for fault in rounds[:FAULTS]:
        trouble.knock()
        fault(trouble)
        trouble.wait_until_caught_up(fault.__name__)
    trouble.wait_for_the_end()
    faults, differences = trouble.faults()
    assert not faults, "\n".join([*faults, trouble.report()])
    late = sorted(seconds for all_of in trouble.late.values() for seconds in all_of)
    figures = (f"seed {SEED}, {len(late)} faults, {len(trouble.openings)} openings, "
               f"{len(trouble.closed)} closed by hand; ends {min(differences):+.2f} to "
               f"{max(differences):+.2f} s from their time; caught up within {late[len(late) // 2]:.2f} s "
               f"(median), {late[-1]:.2f} s (most):\n")
    figures += "\n".join(f"  {name}: {len(all_of)}, at most {max(all_of):.2f} s"
                         for name, all_of in sorted(trouble.late.items()))
    record_property("figures", figures)
    print(figures)


def test_clocks_that_differ_shift_an_end_by_no_more_than_that(trouble_of, public_folder,
                                                              record_property):
    """A gateway whose clock is ahead publishes an end that is later for the others, but the message
    expires; one whose clock is behind publishes an earlier end."""
    trouble = trouble_of(3, open_for=SKEW + OPEN_FOR)
    clock = WallClock(public_folder)
    skews = (0, SKEW, -SKEW)
    for gateway, seconds in zip(trouble.fleet.gateways, skews):
        trouble.start_daemon(gateway, clock.off_by(seconds))
        gateway.start_fleet(prefix=clock.off_by(seconds))
    shown = lambda source: [gateway.is_open(source) for gateway in trouble.fleet.gateways]
    for gateway, own in zip(trouble.fleet.gateways, skews):
        source = trouble.knock(gateway)
        opens = [trouble.open_for + own - other > 2 for other in skews]  # else no time is left there
        wait_until(lambda: shown(source) == opens, f"others have heard of {source}",
                   lambda: f"{shown(source)}, not {opens}\n{trouble.report()}")
    trouble.wait_for_the_end()
    faults, differences = trouble.faults(skew=2 * SKEW)
    assert not faults, "\n".join(faults)
    assert max(differences) < TOLERANCE, f"an expiry holds whatever the clocks say: {differences}"
    figures = (f"clocks {SKEW} s apart: ends {min(differences):+.2f} to {max(differences):+.2f} s from "
               "their time")
    record_property("figures", figures)
    print(figures)
