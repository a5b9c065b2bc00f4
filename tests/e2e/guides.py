# SPDX-License-Identifier: MIT
"""The configurations of public guides, as they stand in the tree, and what doors they have."""

import pathlib
import re

SEEDS = sorted(pathlib.Path(__file__).resolve().parents[1].glob("data/config/good/seed*.conf"))


def doors_of(text):
    """[(name, {directive: value})] of a configuration, as a reader of the guide reads it."""
    doors = []
    for line in text.splitlines():
        section = re.match(r"\s*\[(.+)\]", line)
        directive = re.match(r"\s*(\w+)\s*=\s*(.*?)\s*$", line)
        if section:
            doors.append((section.group(1), {}))
        elif directive and doors:
            doors[-1][1][directive.group(1).lower()] = directive.group(2)
    return [(name, directives) for name, directives in doors if name.lower() != "options"]


def knock_rules():
    """[[(name, directives)]]: the doors of each guide by their knocks alone, without commands.
    Guides that agree in these are given once."""
    found = []
    for seed in SEEDS:
        doors = [(name, {key: value for key, value in directives.items()
                         if key in ("sequence", "seq_timeout", "tcpflags")})
                 for name, directives in doors_of(seed.read_text())]
        if doors and doors not in found:
            found.append(doors)
    return found
