#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Scans a server with the doors of all guides many times, with each common kind of scan, while
others knock. Prints a table; fails if a door opened for the scanner, or stayed shut for a knocker.
Called by scripts/scans."""

import argparse
import pathlib
import sys
import tempfile
import time

from guides import guarded_rules, knock_rules
from network import Network
from scans import (
    BY_FLAGS, COMMON, COMMON_BY_CONNECT, COMMON_UDP, DOWN, UP, Street, common_ports, flags_down,
    flags_up, luck, sweep)

# The printed name, the scans that begin together, and whether they try the common tcp ports in
# random order, so that a door may open by luck. These run against all doors of guides.
ALL_DOORS = {
    "common": ("nmap -sS", [COMMON], True),
    "up": ("nmap -sS -r -p1-65535", [UP], False),
    "connect": ("nmap -sT", [COMMON_BY_CONNECT], True),
    "udp": ("nmap -sU --top-ports 100", [COMMON_UDP], False),
    "down": ("65535 down to 1", [DOWN], False),
    "two": ("two nmap -sS at once", [COMMON, COMMON], True),
}
# These run only against doors that the scan guard protects; others open to them.
GUARDED_DOORS = {
    **{f"{flags}-up".lower(): (f"{flags}, ascending", [flags_up(flags)], False)
       for flags in BY_FLAGS},
    **{f"{flags}-down".lower(): (f"{flags}, descending", [flags_down(flags)], False)
       for flags in BY_FLAGS},
    "mixed-up": ("tcp, udp and tcp again, ascending", [sweep("S", "udp", "S")], False),
    "mixed-down": ("the same, descending", [sweep("S", "udp", "S", order="down")], False),
}
KINDS = {**ALL_DOORS, **GUARDED_DOORS}


def lucks():
    """The probability that one scan opens a door by luck: for the guide with the highest, and for
    all guides."""
    ports, guides = common_ports(), knock_rules()
    return max(luck(ports, [doors]) for doors in guides), luck(ports, guides)


def scan_and_knock(network, binary, knock, kind, scans):
    """A row of the table, and whether the result is as expected."""
    title, commands, in_disorder = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        guides = guarded_rules() if kind in GUARDED_DOORS else knock_rules()
        street = Street(network, binary, knock, pathlib.Path(folder), guides)
        packets = sent = opened = 0
        for _ in range(-(-scans // len(commands))):
            scan = street.scan(*commands)
            knocks = street.knock_during(scan)
            packets += scan.wait()
            sent += knocks[0]
            opened += knocks[1]
        street.settle()
        attempts = street.told("Stage 1")
        discarded = street.told("port scan, knock discarded")
        broken = street.told("OPEN SESAME")
        lost = street.lost()
        for line in broken + street.failures:
            print(line, file=sys.stderr)
    chances = [f"{scans * chance:.4f}" for chance in lucks()] if in_disorder else ["0", "0"]
    row = (title, scans, f"{packets:,}", len(attempts), len(discarded), len(broken), *chances,
           f"{opened} of {sent}", lost)
    return row, not broken and 0 < opened == sent


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--knockd", required=True)
    parser.add_argument("--knock", required=True)
    parser.add_argument("--scans", type=int, default=100, help="how many of each kind")
    parser.add_argument("kinds", nargs="*", metavar="kind",
                        help=f"of {', '.join(KINDS)}; all if none is given")
    arguments = parser.parse_args()
    unknown = set(arguments.kinds) - set(KINDS)
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")

    print("| scan | scans | packets | attempts begun | discarded as scans | doors opened"
          " | luck would open one of the guide that has most | of all guides"
          " | knocks of others meanwhile that opened | packets lost |")
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    all_well = True
    for kind in arguments.kinds or KINDS:
        began = time.monotonic()
        network = Network()
        try:
            row, well = scan_and_knock(network, arguments.knockd, arguments.knock, kind,
                                       arguments.scans)
        finally:
            network.close()
        print(f"| {' | '.join(map(str, row))} |", flush=True)
        print(f"{kind}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        all_well = all_well and well
    return 0 if all_well else 1


if __name__ == "__main__":
    sys.exit(main())
