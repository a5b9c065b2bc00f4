# SPDX-License-Identifier: MIT
"""Programs whose wall clock is off: set_clock.c, built and preloaded."""

import pathlib
import time

from network import run


class WallClock:
    """Gives prefixes for commands whose wall clock differs from the machine's. The daemon's listeners and
    commands have the machine's own."""

    def __init__(self, folder):
        self._path = folder / "clock"
        self._library = folder / "set_clock.so"
        run("cc", "-shared", "-fPIC", "-O1", "-o", self._library,
            pathlib.Path(__file__).with_name("set_clock.c"), "-ldl")
        self._library.chmod(0o755)
        self.set(0)

    def now(self):
        """The time of a program with the prefix as_set()."""
        return time.time() + self.ahead

    def off_by(self, seconds):
        return self._prefix(f"SET_CLOCK_BY={seconds}")

    def as_set(self):
        """By as much as set() said last, also while the program runs."""
        return self._prefix(f"SET_CLOCK={self._path}")

    def set(self, seconds):
        self.ahead = seconds
        new = self._path.with_suffix(".new")
        new.write_text(f"{seconds}\n")
        new.rename(self._path)

    def _prefix(self, setting):
        return ["env", f"LD_PRELOAD={self._library}", setting]
