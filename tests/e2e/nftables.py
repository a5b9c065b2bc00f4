# SPDX-License-Identifier: MIT
"""The kernel's ruleset on a host of the test network, through the real nft(8)."""

import re
import subprocess

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}


def nft(host, *lines):
    """Loads a ruleset with nft(8) in one transaction."""
    done = subprocess.run(host.argv("nft", "-f", "-"), input="\n".join(lines) + "\n", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False)
    assert done.returncode == 0, f"{done.stdout}\nof {lines}"


def _seconds(text):
    return sum(int(number) * _UNITS[unit] for number, unit in
               re.findall(r"(\d+)(ms|d|h|m|s)", text))


def elements(host, set_name, table=("inet", "knockd")):
    """The keys of a set's elements, as "192.0.2.7 tcp 22", with the seconds left (None: permanent).
    Empty without the set."""
    listed = host.run("nft", "list", "set", *table, set_name, check=False)
    found = re.search(r"elements = \{(.*?)\}", listed.stdout, re.DOTALL)
    if listed.returncode != 0 or not found:
        return {}
    left = {}
    for element in found[1].split(","):
        key, _, times = " ".join(element.split()).partition(" timeout ")
        # "1h expires 59m59s992ms"; within its first moment "1h" alone
        left[key.replace(" . ", " ")] = _seconds(times.split(" ")[-1]) if times else None
    return left
