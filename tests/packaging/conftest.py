# SPDX-License-Identifier: MIT
"""Fixtures of the packaging tests. The test network and its tools are those of the end-to-end
tests."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import (  # noqa: E402,F401: the path comes first; fixtures
    TREE, client, knock_binary, knockd, ledger, network, prepare, public_folder, server, stranger,
    time_limit)
from network import run  # noqa: E402
from senders import Frames  # noqa: E402


def pytest_configure(config):
    prepare("KNOCKD_BUILD", "KNOCKD_BINARY", "KNOCK_BINARY")


@pytest.fixture(scope="session")
def build():
    """The folder in which it was built."""
    return pathlib.Path(os.environ["KNOCKD_BUILD"]).resolve()


@pytest.fixture
def frames(client, server):
    """Frames from the client to the server."""
    return Frames(client, server)


def install(build, destination, *options):
    run("cmake", "--install", str(build), *options, env={**os.environ, "DESTDIR": str(destination)})


@pytest.fixture
def installed(build, tmp_path):
    """A folder into which everything was installed, with the prefix /usr."""
    old = os.umask(0o077)  # of a careful administrator; the modes of files are the same
    try:
        install(build, tmp_path / "root", "--prefix", "/usr")
    finally:
        os.umask(old)
    return tmp_path / "root"


# Debian's shell and the one of small routers.
@pytest.fixture(params=["dash", "busybox sh"])
def shell(request):
    return request.param.split()
