# SPDX-License-Identifier: MIT
"""Fixtures of the packaging tests. The test network is that of the end-to-end tests."""

import os
import pathlib
import sys

import pytest

TREE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "tests/e2e"))

from network import Network, run  # noqa: E402  (the path comes first)


@pytest.fixture
def network():
    network = Network()
    yield network
    network.close()


@pytest.fixture
def server(network):
    return network.server


@pytest.fixture
def client(network):
    return network.client


@pytest.fixture(scope="session")
def knockd():
    """The path of the daemon."""
    return pathlib.Path(os.environ["KNOCKD_BINARY"]).resolve()


@pytest.fixture(scope="session")
def build():
    """The folder in which it was built."""
    return pathlib.Path(os.environ["KNOCKD_BUILD"]).resolve()


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
