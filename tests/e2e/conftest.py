# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests. KNOCKD_BINARY is the daemon under test, KNOCK_BINARY the
client, KNOCKD_REFERENCE the folder into which scripts/fetch-reference unpacked Debian's package."""

import os
import shutil

import pytest

import daemon
from daemon import Daemon
from fixtures import (  # noqa: F401: fixtures
    client, knock_binary, knockd, ledger, network, nothing_left, prepare, public_folder, server,
    stranger, time_limit)
from senders import Frames


def pytest_configure(config):
    prepare("KNOCKD_BINARY", "KNOCKD_REFERENCE")


@pytest.fixture(scope="session")
def reference():
    """The path of Debian's knockd 0.8."""
    path = f"{os.environ['KNOCKD_REFERENCE']}/usr/sbin/knockd"
    assert shutil.which(path), f"{path} is missing: scripts/fetch-reference unpacks it"
    return path


@pytest.fixture(scope="session")
def is_reference(knockd):
    """True if the tests run against 0.8 itself, to check the tests."""
    return daemon.is_reference(knockd)


@pytest.fixture
def start(server, knockd, tmp_path):
    """start(configuration, *arguments) runs the daemon under test on the server."""
    runs = []

    def start_daemon(config, *arguments, **options):
        folder = tmp_path / f"run{len(runs)}"
        runs.append(Daemon(server, knockd, folder, config, *arguments, **options))
        return runs[-1]

    return start_daemon


@pytest.fixture
def frames(client, server):
    """Frames from the client to the server, over IPv4."""
    return Frames(client, server)


@pytest.fixture
def frames6(client, server):
    return Frames(client, server, family=6)
