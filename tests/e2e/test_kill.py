# SPDX-License-Identifier: MIT
"""No door stays open after a kill at any moment: the daemon is killed at random moments, again and
again, while doors open and close, and the actions of their commands are audited."""

import bisect
import os
import random
import signal
import threading
import time

import pytest

from storm import Storm, source
from timed_ledger import TimedLedger, seconds_since_boot
from waiting import wait_until

KILLS = int(os.environ.get("KNOCKD_KILLS", 100))  # scripts/kills runs more
TEST_SECONDS = 400 + KILLS * 2
LIFE = 0.15  # seconds: a daemon that listens is killed after a random part of this
KNOCKS = 60  # a second
PORTS = {"short": 7001, "middle": 7002, "long": 7003}


class Knocker(threading.Thread):
    """Knocks all the time: mostly new sources, sometimes one that knocked a moment ago."""

    def __init__(self, storm, chance):
        super().__init__(daemon=True)
        self._storm = storm
        self._chance = chance
        self._over = threading.Event()

    def run(self):
        knocked = []
        while not self._over.wait(1 / KNOCKS):
            if knocked and self._chance.random() < 0.2:
                self._storm.knock(*self._chance.choice(knocked[-200:]))
            else:
                knocked.append((source(len(knocked) + 1), self._chance.choice(list(PORTS.values()))))
                self._storm.knock(*knocked[-1])

    def stop(self):
        self._over.set()
        self.join()


@pytest.fixture
def chance():
    """Random numbers; the printed seed repeats a run."""
    seed = int(os.environ.get("KNOCKD_SEED", random.getrandbits(32)))
    print(f"KNOCKD_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def storm(client, server):
    storm = Storm(client, server)
    yield storm
    storm.close()


def kill(daemon):
    daemon.send(signal.SIGKILL)
    assert daemon.wait_for_end() == -signal.SIGKILL, daemon.report()
    return seconds_since_boot()


def test_killed_at_random_moments_no_door_is_left_open(start, storm, chance, tmp_path):
    ledger = TimedLedger(tmp_path / "ledger", {"short": 2, "middle": 3, "long": 4})
    config = "".join(ledger.door(name, f"{port}:udp", "reknock = ignore")
                     for name, port in PORTS.items())
    knocker = Knocker(storm, random.Random(chance.random()))
    knocker.start()
    kills = []
    for _ in range(KILLS):
        # Most daemons are killed while working, some while starting.
        daemon = start(config, listens=False)
        if chance.random() < 0.9:
            daemon.wait_until_listening()
        time.sleep(chance.uniform(0, LIFE))
        kills.append(kill(daemon))
    knocker.stop()

    daemon = start(config)
    # Reading the actions of all commands takes a while too.
    wait_until(lambda: not ledger.open_doors(), "every door is shut", daemon.report,
               deadline=30 + KILLS / 100)
    assert daemon.stop() == 0
    assert ledger.faults() == []

    stories = ledger.stories().values()
    assert len(stories) > KILLS, "too little happened"
    survived = [story for story in stories
                if bisect.bisect_right(kills, story[0].time)
                < bisect.bisect_left(kills, story[-1].time)]
    print(f"{KILLS} kills, {len(stories)} doors that opened, {len(survived)} of them open at a kill: "
          f"none was left open, opened twice or shut early")
    assert len(survived) > len(stories) / 2, "too few doors were open when the daemon was killed"

    last = start(config)
    assert not last.matching(".*doors? (is|are) open since an earlier run")
