# SPDX-License-Identifier: MIT
"""Fixtures of all tests that run the real programs: the end-to-end tests and the packaging tests. A
conftest.py imports those it needs."""

import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import machine
from daemon import Ledger
from network import Network
from waiting import wait_until

TREE = pathlib.Path(__file__).resolve().parents[2]
TEST_SECONDS = 120  # the test process ends a hung test after this time; a file may override it


def prepare(*variables):
    """The first call in a conftest: checks privileges and environment, lets SIGTERM tear fixtures
    down like SIGINT, and leaves the machine."""
    if os.geteuid() != 0:
        pytest.exit("these tests make network namespaces: run them as root", returncode=1)
    for name in variables:
        if name not in os.environ:
            pytest.exit(f"{name} is not set: see CMakeLists.txt beside the tests", returncode=1)

    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    machine.leave()


@pytest.fixture(scope="session", autouse=True)
def nothing_left():
    """The last test of a file fails if one of them has left something behind."""
    yield
    assert machine.is_left(), "the tests use this machine's own /run, /var/lib or network"
    machine.check_empty()


@pytest.fixture(autouse=True)
def time_limit(request):
    seconds = getattr(request.module, "TEST_SECONDS", TEST_SECONDS)

    def expire(_number, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


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


@pytest.fixture
def stranger(network):
    return network.stranger


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


@pytest.fixture(scope="session")
def knockd():
    """The path of the daemon under test."""
    return pathlib.Path(os.environ["KNOCKD_BINARY"]).resolve()


@pytest.fixture(scope="session")
def knock_binary():
    """The path of the client."""
    return pathlib.Path(os.environ["KNOCK_BINARY"]).resolve()


@pytest.fixture
def public_folder():
    """A folder that any user may enter; pytest's own are closed."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kn-e2e-"))
    folder.chmod(0o777)
    yield folder

    def removed():  # a command may outlive its daemon, and still write
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()

    wait_until(removed, f"{folder} is removed")
