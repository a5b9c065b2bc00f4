# SPDX-License-Identifier: MIT
"""The configurations of public guides in this tree, and our own examples: their doors, and which of
them the scan guard protects."""

import itertools
import pathlib
import re

TREE = pathlib.Path(__file__).resolve().parents[2]
SEEDS = sorted(TREE.glob("tests/data/config/good/seed*.conf"))
EXAMPLES = sorted(TREE.glob("conf/examples/*.conf"))
SCAN_LIMIT = 4  # knockd's default


def doors_of(text):
    """[(name, {directive: value})] of a configuration, parsed independently of knockd."""
    doors = []
    for line in text.splitlines():
        section = re.match(r"\s*\[(.+)\]", line)
        directive = re.match(r"\s*(\w+)\s*=\s*(.*?)\s*$", line)
        if section:
            doors.append((section.group(1), {}))
        elif directive and doors:
            doors[-1][1][directive.group(1).lower()] = directive.group(2)
    return [(name, directives) for name, directives in doors if name.lower() != "options"]


def knock_rules(files=SEEDS, wanted=lambda directives: True):
    """[[(name, directives)]]: the doors of each guide with their knocks, without commands.
    Duplicates are left out."""
    found = []
    for file in files:
        doors = [(name, {key: value for key, value in directives.items()
                         if key in ("sequence", "seq_timeout", "tcpflags")})
                 for name, directives in doors_of(file.read_text()) if wanted(directives)]
        if doors and doors not in found:
            found.append(doors)
    return found


def is_guarded(directives):
    """True if the scan guard stops sweeps, as knockd.conf(5) promises: it sees every packet that
    may be a knock, two knocks are tcp, and a sweep tries other ports between any two. Ports that
    change with time have their own tests."""
    if "secrets" in directives:
        return False
    tcp = [int(knock.removesuffix(":tcp"))
           for knock in directives.get("sequence", "").split(",") if not knock.endswith(":udp")
           and knock]
    flags = directives.get("tcpflags", "").lower().split(",")
    return ("syn" in flags and "ack" not in flags and len(tcp) >= 2
            and all(abs(a - b) > SCAN_LIMIT + 1 for a, b in itertools.pairwise(tcp)))


# Sequences drawn by `knockd-firewall new-door`.
DRAWN = ("drawn", {"sequence": "31907,14286:udp,52741", "seq_timeout": "15", "tcpflags": "syn"})


def guarded_rules():
    """The same for guides, examples and new-door, limited to doors that the scan guard protects.
    Duplicate sequences are left out."""
    by_sequences = {tuple(directives["sequence"] for _, directives in doors): doors
                    for doors in [*knock_rules([*SEEDS, *EXAMPLES], is_guarded), [DRAWN]]}
    return list(by_sequences.values())
