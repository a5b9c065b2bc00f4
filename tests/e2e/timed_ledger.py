# SPDX-License-Identifier: MIT
"""A ledger that records when each door was opened and closed, by the boot clock, and checks that
every opened door was closed again, in order and not too early."""

import collections

# One builtin and one redirection each: without a fork the time is that of the command itself.
_COMMAND = ("read now rest < /proc/uptime; {work}; "
            "echo {event} $KNOCKD_DOOR %IP% $now >> {path}")

Event = collections.namedtuple("Event", "what door source time")


def seconds_since_boot():
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


class TimedLedger:
    """`timeouts` are the doors' names and their Cmd_Timeout in seconds."""

    def __init__(self, path, timeouts):
        self.path = path
        self.timeouts = timeouts
        path.touch()

    def door(self, name, sequence, *directives, work=":"):
        """The lines of a configuration for a door that is recorded here. `work` runs in a start
        command between taking its time and recording it."""
        return "\n".join([
            f"[{name}]", f"sequence = {sequence}", f"cmd_timeout = {self.timeouts[name]}",
            f"start_command = {_COMMAND.format(event='start', work=work, path=self.path)}",
            f"stop_command = {_COMMAND.format(event='stop', work=':', path=self.path)}",
            *directives, ""])

    def events(self):
        lines = self.path.read_text().splitlines()
        return [Event(what, door, source, float(time))
                for what, door, source, time in (line.split() for line in lines)]

    def stories(self):
        """{(door, source): its events in order}"""
        stories = collections.defaultdict(list)
        for event in self.events():
            stories[event.door, event.source].append(event)
        return stories

    def open_doors(self):
        return [key for key, story in self.stories().items() if story[-1].what == "start"]

    def faults(self, tolerance=1.0):
        """Violations, as text: a door left open, opened twice without being closed, or closed more
        than `tolerance` seconds early."""
        faults = []
        for (door, source), story in self.stories().items():
            opened = None
            for event in story:
                if event.what == "start":
                    if opened:
                        faults.append(f"{door} {source}: opened while open: {story}")
                    opened = event
                elif opened:
                    if event.time < opened.time + self.timeouts[door] - tolerance:
                        faults.append(f"{door} {source}: shut early: {story}")
                    opened = None
            if opened:
                faults.append(f"{door} {source}: never shut: {story}")
        return faults
