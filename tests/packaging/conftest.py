# SPDX-License-Identifier: MIT
"""Fixtures of the packaging tests. They share the test network and its tools with the end-to-end
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
    """The build folder."""
    return pathlib.Path(os.environ["KNOCKD_BUILD"]).resolve()


@pytest.fixture
def frames(client, server):
    """Frames from the client to the server."""
    return Frames(client, server)


def install(build, destination, *options):
    run("cmake", "--install", str(build), *options, env={**os.environ, "DESTDIR": str(destination)})


@pytest.fixture
def installed(build, tmp_path):
    """A folder with a complete installation, with the prefix /usr."""
    old = os.umask(0o077)  # the umask of a careful administrator; file modes do not depend on it
    try:
        install(build, tmp_path / "root", "--prefix", "/usr")
    finally:
        os.umask(old)
    return tmp_path / "root"


# Debian's shell and the one of small routers.
@pytest.fixture(params=["dash", "busybox sh"])
def shell(request):
    return request.param.split()
