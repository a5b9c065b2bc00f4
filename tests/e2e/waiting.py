# SPDX-License-Identifier: MIT
"""Waits for conditions. A test names what must become true, and a failure reports what was there
instead; only a broken program makes it wait for the whole deadline."""

import time

DEADLINE = 30.0  # seconds; far more than any wait of a working program takes on a busy machine


class NeverHappened(AssertionError):
    """What a test waited for did not happen before the deadline."""


def wait_until(condition, what, found=lambda: "", deadline=DEADLINE):
    """Returns condition()'s first true value. `what` and `found()` explain a failure."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise NeverHappened(f"{what}: not within {deadline} s. Found:\n{found()}")
        time.sleep(0.005)


def repeat_until(action, condition, what, found=lambda: "", deadline=DEADLINE, pause=0.0):
    """The same, with an action before each check, or at most every `pause` seconds."""
    again = 0.0

    def act_and_look():
        nonlocal again
        if time.monotonic() >= again:
            action()
            again = time.monotonic() + pause
        return condition()

    return wait_until(act_and_look, what, found, deadline)
