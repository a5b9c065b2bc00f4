#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures this knockd beside Debian's 0.8, on the same traffic, in network namespaces, in one run.
Prints a table for README: what, ours, 0.8's, how many times better. Called by scripts/bench."""

import argparse
import datetime
import os
import pathlib
import platform
import random
import socket
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from daemon import Daemon  # noqa: E402
from network import Network  # noqa: E402

PORTS = (7000, 8000, 9000)


def plain_door(fifo):
    return f"[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = echo > {fifo}\n"


def door_that_closes(fifo):
    return ("[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncmd_timeout = 1\n"
            f"start_command = echo > {fifo}\nstop_command = :\n")


class Knocker:
    """Sends the knocks of one source, quickly and without a process for each."""

    def __init__(self, host, destination):
        self.host = host
        self.destination = destination

    def knock(self, port):
        with self.host.socket(socket.AF_INET) as connection:
            connection.setblocking(False)
            connection.connect_ex((self.destination, port))


class Bench:
    def __init__(self, folder, ours, reference):
        self.folder = pathlib.Path(folder)
        self.ours = ours
        self.reference = reference
        self.rows = []

    def start(self, network, binary, door, name):
        """A daemon with its state on a disk like /var's, where it keeps one."""
        folder = self.folder / name
        options = f"[options]\nStateFile = {folder}/open-doors\n" if binary == self.ours else ""
        return Daemon(network.server, binary, folder, options + door)

    def row(self, what, ours, reference, form="{:.2f} ms"):
        ratio = f"{reference / ours:.1f} x" if reference is not None and ours else "-"
        self.rows.append((what, form.format(ours),
                          "-" if reference is None else form.format(reference), ratio))

    # --- latency -------------------------------------------------------------------------------

    def latency_of(self, binary, door_text, name, knocks):
        """From the last knock to the first thing that the command does, in ms, for each of many
        knocks at random moments: 0.8's buffer waits for its own rhythm."""
        network = Network()
        try:
            fifo = self.folder / f"{name}.fifo"
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDWR)
            daemon = self.start(network, binary, door_text(fifo), name)
            knocker = Knocker(network.client, network.server.ipv4)
            times = []
            for _ in range(knocks):
                for port in PORTS[:-1]:
                    knocker.knock(port)
                    time.sleep(0.002)
                time.sleep(random.uniform(0.1, 0.2))
                with network.client.socket(socket.AF_INET) as last:
                    last.setblocking(False)
                    sent = time.monotonic()
                    last.connect_ex((network.server.ipv4, PORTS[-1]))
                    os.read(reader, 1)
                    times.append((time.monotonic() - sent) * 1000)
            daemon.stop()
            os.close(reader)
            return times
        finally:
            network.close()

    def latency(self, knocks):
        for title, door in (("command", plain_door), ("start command, door recorded on disk",
                                                      door_that_closes)):
            key = door.__name__
            ours = self.latency_of(self.ours, door, f"ours-{key}", knocks)
            theirs = self.latency_of(self.reference, door, f"reference-{key}", knocks)
            self.row(f"last knock to {title}, median of {knocks}", statistics.median(ours),
                     statistics.median(theirs))
            self.row("    95th percentile", statistics.quantiles(ours, n=20)[-1],
                     statistics.quantiles(theirs, n=20)[-1])

    # --- size ----------------------------------------------------------------------------------

    def size(self, _):
        self.row("program on disk", os.path.getsize(self.ours) / 1000,
                 os.path.getsize(self.reference) / 1000, "{:.0f} kB")

    def print_table(self):
        print(f"\n{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
              f"Linux {platform.release().split('-')[0]}\n")
        print("| | knockd | knockd 0.8 | ratio |\n|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


def main():
    parts = ("latency", "size")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="our knockd")
    parser.add_argument("--reference", required=True, help="knockd 0.8")
    parser.add_argument("--short", action="store_true", help="a tenth of the work: does it run?")
    parser.add_argument("parts", nargs="*", default=parts, help=f"of {', '.join(parts)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="knockd-bench-", dir="/var/tmp") as folder:
        bench = Bench(folder, options.ours, options.reference)
        for part in options.parts:
            print(f"measuring {part} ...", flush=True)
            getattr(bench, part)(10 if options.short else 100)
        bench.print_table()


if __name__ == "__main__":
    main()
