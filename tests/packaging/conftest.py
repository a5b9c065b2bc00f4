# SPDX-License-Identifier: MIT
"""Fixtures of the packaging tests. They share the test network and its tools with the end-to-end
tests."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import (  # noqa: E402,F401: the path comes first; fixtures
    TREE, client, knock_binary, knockd, ledger, network, nothing_left, prepare, public_folder, stranger,
    time_limit)
import machine  # noqa: E402
from network import Host, run  # noqa: E402
from senders import Frames  # noqa: E402
from waiting import wait_until  # noqa: E402


def pytest_configure(config):
    prepare("KNOCKD_BUILD", "KNOCKD_BINARY", "KNOCK_BINARY")


@pytest.fixture(scope="session")
def build():
    """The build folder."""
    return pathlib.Path(os.environ["KNOCKD_BUILD"]).resolve()


# eth0 has a carrier, but nobody answers.
ALONE = """
link set lo up
link add eth0 address {host.mac} type veth peer name nobody
link set eth0 addrgenmode none
link set nobody addrgenmode none up
addr add {host.ipv4}/24 dev eth0
addr add {host.ipv6}/64 dev eth0 nodad
link set eth0 up
"""


@pytest.fixture
def server(request):
    """The server of the test network. A test that names no other host has none: making a network takes
    longer than many a test."""
    if "network" in request.fixturenames:
        yield request.getfixturevalue("network").server
        return
    host = Host(f"kn-{os.getpid()}-alone", 1)
    run("ip", "netns", "add", host.namespace)
    try:
        run("ip", "-n", host.namespace, "-batch", "-", input=ALONE.format(host=host))
        wait_until(lambda: "state UP" in host.run("ip", "link", "show", "eth0").stdout,
                   "eth0 has a carrier")
        yield host
    finally:
        host.close()
        machine.forget_daemons()


@pytest.fixture
def frames(client, server):
    """Frames from the client to the server."""
    return Frames(client, server)


def install(build, destination, *options):
    run("cmake", "--install", str(build), *options, env={**os.environ, "DESTDIR": str(destination)})


def install_all(build, root):
    old = os.umask(0o077)  # the umask of a careful administrator; file modes do not depend on it
    try:
        install(build, root, "--prefix", "/usr")
    finally:
        os.umask(old)
    return root


@pytest.fixture
def installed(build, tmp_path):
    """A folder with a complete installation, with the prefix /usr."""
    return install_all(build, tmp_path / "root")


@pytest.fixture(scope="module")
def installed_to_read(build, tmp_path_factory):
    """The same, for all tests of a file, which change nothing in it."""
    return install_all(build, tmp_path_factory.mktemp("installed") / "root")


# Debian's shell and the one of small routers.
@pytest.fixture(params=["dash", "busybox sh"])
def shell(request):
    return request.param.split()
