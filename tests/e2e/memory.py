# SPDX-License-Identifier: MIT
"""What the processes of a host of the test network take of memory."""

import contextlib
import pathlib


def read_of_each(host, name):
    """A file of /proc of each of the host's processes, without those that end meanwhile."""
    for pid in host.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield pathlib.Path(f"/proc/{pid}/{name}").read_text()


def written_memory(host, left_out=()):
    """kB that the host's processes have written and share with nobody, as two sums: their own, and
    that of the rings into which the kernel puts what is captured. Pages of a library are no part of
    it: they are private or not by who else runs it. Libraries whose paths are `left_out` do not
    count at all."""
    own = ring = 0
    for text in read_of_each(host, "smaps"):
        for line in text.splitlines():
            words = line.split()
            if "-" in words[0]:
                in_ring = "socket:[" in line
                counts = words[-1] not in left_out
            elif in_ring and words[0] == "Rss:":
                ring += int(words[1])
            elif not in_ring and counts and words[0] == "Private_Dirty:":
                own += int(words[1])
    return own, ring


def private_memory(host):
    return written_memory(host)[0]
