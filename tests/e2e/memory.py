# SPDX-License-Identifier: MIT
"""The memory that the processes of a host of the test network use."""

import contextlib
import pathlib


def read_of_each(host, name):
    """A file of /proc for each of the host's processes, without those that end meanwhile."""
    for pid in host.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield pathlib.Path(f"/proc/{pid}/{name}").read_text()


def written_memory(host, left_out=()):
    """Private written memory of the host's processes in kB, as two sums: their own, and that of the
    rings into which the kernel writes captured packets. Unwritten pages of a library are not
    included: whether they are private depends on other processes. Libraries whose paths are
    `left_out` are not counted at all."""
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
