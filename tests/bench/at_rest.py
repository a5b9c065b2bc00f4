#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the private memory in kB of a knockd and its listener once they listen: the pages that
they have written, and the capture's ring. Called by scripts/sizes.

    at_rest.py KNOCKD

Debian's libpcap is built with D-Bus, which loads seven more libraries into each process, down to
libsystemd and libgcrypt. The libpcap of OpenWrt and other systems is built without it, so the pages
that those libraries have written are left out.
"""

import pathlib
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from daemon import Daemon  # noqa: E402
from memory import written_memory  # noqa: E402
from network import Network, run  # noqa: E402

DOOR = "[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = :\n"


def libraries(program, wanted=""):
    """The paths of all libraries that a program or library loads, limited to those whose line in
    ldd contains the word."""
    return {str(pathlib.Path(path).resolve())
            for path in re.findall(rf"^.*{wanted}.* => (/\S+)", run("ldd", program).stdout, re.M)}


def libraries_of_dbus(program):
    """D-Bus and its dependencies, without those of every program."""
    dbus = libraries(program, "libdbus")
    needed = set().union(dbus, *(libraries(library) for library in dbus))
    return needed - libraries("/bin/true")


knockd = str(pathlib.Path(sys.argv[1]).resolve())
with tempfile.TemporaryDirectory(prefix="knockd-at-rest-") as folder:
    network = Network()
    try:
        Daemon(network.server, pathlib.Path(knockd), pathlib.Path(folder) / "run", DOOR)
        print(sum(written_memory(network.server, left_out=libraries_of_dbus(knockd))))
    finally:
        network.close()
