# SPDX-License-Identifier: MIT
"""Waits for conditions. A test names what must become true, and a failure reports what was there
instead; only a broken program makes it wait for the whole deadline."""

import time

DEADLINE = 30.0  # seconds; far more than any wait of a working program takes on a busy machine


class NeverHappened(AssertionError):
    """What a test waited for did not happen before the deadline."""


def wait_until(condition, what, found=lambda: "", deadline=DEADLINE):
    """Returns condition()'s first true value. `what` and `found()` explain a failure. Looks more rarely
    the longer it waits and the longer a look takes: other tests need the processor."""
    begin = time.monotonic()
    while True:
        looks = time.monotonic()
        value = condition()
        if value:
            return value
        now = time.monotonic()
        if now > begin + deadline:
            raise NeverHappened(f"{what}: not within {deadline} s. Found:\n{found()}")
        time.sleep(min(max(0.005, (now - begin) / 10, now - looks), 0.1))


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
