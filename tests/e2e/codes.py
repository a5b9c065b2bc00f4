# SPDX-License-Identifier: MIT
"""Codes of a user's device, computed by oathtool, and the daemons, doors and knocks for them.
Nothing here uses code of the programs under test."""

import functools
import re
import secrets
import time

from network import run
from waiting import wait_until

STEP = 30  # seconds
FIRST_COUNTER = 1 << 40
FIRST_PORT, PORTS = 10081, 55455
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

FIXED = 7000
COMPUTED = f"{FIXED},totp,totp,totp,totp"
TYPED = f"{FIXED},400xx,401xx,402xx,403xx"


def draw(letters=32):
    """A secret in base32."""
    return "".join(secrets.choice(BASE32) for _ in range(letters))


@functools.cache
def _oathtool(*arguments):
    return run("oathtool", *arguments).stdout.strip()


def computed(secret, step, family=4, places=4):
    """The ports at the computed places of a door in this step."""
    first = FIRST_COUNTER + 8 * step + (4 if family == 6 else 0)
    values = [_oathtool("--hotp", "-b", "-d", "8", "-c", str(first + n), secret)
              for n in range(places)]
    return [FIRST_PORT + int(value) % PORTS for value in values]


def shown(secret, step, digits=8):
    """The code that an authenticator shows."""
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(step * STEP))
    return _oathtool("--totp", "-b", "-d", str(digits), "-N", moment, secret)


def typed(secret, step, hundreds=(400, 401, 402, 403)):
    """The ports that a user types."""
    digits = shown(secret, step, 2 * len(hundreds))
    return [100 * hundred + int(digits[2 * n:2 * n + 2]) for n, hundred in enumerate(hundreds)]


def knocks(ports, fixed=FIXED):
    return [str(port) for port in ([fixed] if fixed else []) + list(ports)]


def step_now(least=5, now=time.time):
    """The current step; waits until at least this many seconds are left in it. `now` is the clock."""
    wait_until(lambda: now() % STEP < STEP - least, f"a step with {least} s left",
               deadline=least + 5)
    return int(now()) // STEP


def wait_for_next_step(now=time.time):
    """Waits for the next step and returns its number."""
    after = int(now()) // STEP + 1
    wait_until(lambda: now() // STEP >= after, "the next step", deadline=STEP + 5)
    return after


def seconds_to(left, now=time.time):
    """By how much to set a clock ahead (or back) for its step to have this many seconds left, within
    a second."""
    return int(STEP - left - now() % STEP)


class Users:
    """A file of secrets."""

    def __init__(self, path, *names):
        self.path = path
        self.secrets = {name: draw() for name in names}
        self.write()

    def write(self):
        self.path.touch(0o600)
        self.path.write_text("".join(f"{name} {secret}\n" for name, secret in self.secrets.items()))

    def __getitem__(self, name):
        return self.secrets[name]


def door(ledger, name, users, sequence=COMPUTED, *more):
    """Its command enters "open NAME-OF-DOOR USER ADDRESS"."""
    return "\n".join([f"[{name}]", f"secrets = {users.path}", f"sequence = {sequence}",
                      f"command = echo open {name} ${{KNOCKD_USER-nobody}} %IP% >> {ledger.path}",
                      *more, ""])


PLAIN = 6999  # for a door without secrets


def plain(name="plain"):
    return f"[{name}]\nsequence = {PLAIN}\ncommand = :\n"


class Knocks:
    """Knocks at one daemon, from forged addresses, and their results. `now` is the daemon's clock."""

    def __init__(self, daemon, ledger, frames, frames6=None, now=time.time):
        self.daemon, self.ledger, self.now = daemon, ledger, now
        self._frames = {4: frames, 6: frames6}
        self._fences = 0

    def step(self, least=5):
        return step_now(least, self.now)

    def send(self, ports, source, fixed=FIXED):
        self._frames[6 if ":" in source else 4].knock(knocks(ports, fixed), source=source)

    def settle(self):
        """Returns when the daemon has handled everything sent so far."""
        self._fences += 1
        source = f"203.0.113.{self._fences}"
        self._frames[4].tcp(PLAIN, source=source)
        self.daemon.wait_for(rf"{re.escape(source)}: plain: OPEN SESAME")

    def sesames(self, source, name=".*"):
        return len(self.daemon.matching(rf"{re.escape(source)}: {name}: OPEN SESAME"))

    def opens(self, ports, source, user, name="door", fixed=FIXED):
        before = self.sesames(source, name)
        line = f"open {name} {user} {source}"
        entered = self.ledger.lines().count(line)
        self.send(ports, source, fixed)
        self.daemon.wait_for(rf"{re.escape(source)}: {name}: OPEN SESAME", before + 1)
        self.ledger.wait_for(line, entered + 1, self.daemon.report)

    def stays_shut(self, ports, source, why=None, fixed=FIXED):
        """`why`: the end of its only log line; None: nothing is logged."""
        told = rf"{re.escape(source)}: [^ ]+: code .*refused: .*"
        said, opened = len(self.daemon.matching(told)), self.sesames(source)
        self.send(ports, source, fixed)
        self.settle()
        lines = self.daemon.matching(told)[said:]
        assert self.sesames(source) == opened, self.daemon.report()
        if why is None:
            assert lines == []
        else:
            assert len(lines) == 1 and lines[0].endswith(why), self.daemon.report()
