#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints the kB that a knockd and its listener have to themselves once they listen: what they have
written, and the capture's ring. Called by scripts/sizes.

    at_rest.py KNOCKD
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from daemon import Daemon  # noqa: E402
from memory import written_memory  # noqa: E402
from network import Network  # noqa: E402

DOOR = "[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = :\n"

with tempfile.TemporaryDirectory(prefix="knockd-at-rest-") as folder:
    network = Network()
    try:
        Daemon(network.server, pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder) / "run", DOOR)
        print(sum(written_memory(network.server)))
    finally:
        network.close()
