# SPDX-License-Identifier: MIT
"""Runs a knockd, ours or Debian's 0.8, on a host of the test network, and reads its output. Also
the ledger: a file to which the commands of doors append a line, so that a test sees them."""

import functools
import re
import signal
import subprocess

from network import run
from waiting import DEADLINE, repeat_until, wait_until

_STAMP = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d\] ")


class Ledger:
    """The actions of the doors' commands, one line each, in order."""

    def __init__(self, path):
        self.path = path
        path.touch()

    def command(self, event):
        """A command for a configuration; it appends `event ADDRESS`."""
        return f"echo {event} %IP% >> {self.path}"

    def lines(self):
        return self.path.read_text().splitlines()

    def wait_for(self, line, count=1, also_found=lambda: ""):
        wait_until(lambda: self.lines().count(line) >= count, f"{count} x {line!r} in the ledger",
                   lambda: f"ledger: {self.lines()}\n{also_found()}")


def findings(printed):
    """The findings of -t, one line each, without the excerpt of the file below them."""
    return [line for line in printed.splitlines() if not line.startswith(" ")]


@functools.cache
def is_reference(binary):
    """True if this is 0.8."""
    return run(binary, "-V").stdout.startswith("knockd 0.8")


class Daemon:
    """One run of a knockd in the foreground. The constructor returns once it listens, unless
    `listens` is false. Its state file is next to its folder, where the next daemon of the test
    finds it, unless the configuration names another."""

    def __init__(self, host, binary, folder, config, *arguments, interface="eth0", listens=True,
                 own_log=True, prefix=()):
        self.host = host
        folder.mkdir(exist_ok=True)
        if not is_reference(binary):
            if "StateFile" not in config:
                config += f"\n[options]\nStateFile = {folder.parent}/open-doors\n"
            if "Control" not in config:
                config += "\n[options]\nControl = none\n"
        self.config_file = folder / "knockd.conf"
        self.config_file.write_text(config)
        self.config_file.chmod(0o600)
        self.log_file = folder / "knockd.log"
        self.output_file = folder / "output"
        argv = [*prefix, binary, "-c", self.config_file, "-p", folder / "knockd.pid", "-v"]
        if interface:
            argv += ["-i", interface]
        if own_log:
            argv += ["-g", self.log_file]
        with open(self.output_file, "wb") as output:
            self.process = host.start(*argv, *arguments, stdout=output, stderr=subprocess.STDOUT,
                                      cwd=folder)
        self.pid = self.process.pid
        if listens:
            self.wait_until_listening()

    def wait_until_listening(self):
        self.wait_for(r"starting up, listening on .*")

    def output(self):
        """Its standard output and error, including the output of commands."""
        return self.output_file.read_text(errors="replace")

    def lines(self):
        """The lines of its log without their time stamps, and without 0.8's blank lines."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text(errors="replace").splitlines()
        return [_STAMP.sub("", line) for line in lines if line]

    def wait_for(self, pattern, count=1, deadline=DEADLINE):
        """Waits until `count` lines of the log match the whole pattern."""
        return wait_until(lambda: len(self.matching(pattern)) >= count,
                          f"{count} x {pattern!r} in the log", self.report, deadline)

    def matching(self, pattern):
        return [line for line in self.lines() if re.fullmatch(pattern, line)]

    def report(self):
        return "\n".join(["log:", *self.lines(), f"output: {self.output()}",
                          f"status: {self.process.poll()}"])

    def report_end(self):
        """The same for a daemon with much output: only the end."""
        return "\n".join(self.report().splitlines()[-60:])

    def send(self, signal_number):
        self.process.send_signal(signal_number)

    def wait_until_heard(self, least, interface="eth0"):
        """Waits until the kernel has copied this many packets to our listener, and returns how many. The
        daemon's answer may be an older one, if the listener is late."""
        heard = []
        repeat_until(lambda: heard.append(self.packets_heard(interface)), lambda: heard[-1] >= least,
                     f"{least} packets are heard", self.report)
        return heard[-1]

    def packets_heard(self, interface="eth0"):
        """The number of packets that the kernel has copied to our listener so far."""
        pattern = rf"status: {interface}: .*; (\d+) packets?, \d+ lost, .*"
        known = len(self.matching(pattern))
        self.send(signal.SIGUSR1)
        self.wait_for(pattern, known + 1)
        return int(re.fullmatch(pattern, self.matching(pattern)[-1])[1])

    def wait_for_end(self, timeout=DEADLINE):
        """Its exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self.report()}") from None

    def stop(self, timeout=DEADLINE):
        """Terminates it and returns its exit status, normally 0."""
        self.process.terminate()
        return self.wait_for_end(timeout)

    def left_open(self):
        """The number of doors that it left to the next start: closing ends after 1.5 s."""
        told = self.matching(r"\d+ doors? could not be closed in time, the next start takes (it|them) up")
        return int(told[-1].split()[0]) if told else 0
