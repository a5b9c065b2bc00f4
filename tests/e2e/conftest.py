# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests. KNOCKD_BINARY is the daemon under test, KNOCK_BINARY the
client, KNOCKD_REFERENCE the folder into which scripts/fetch-reference unpacked Debian's package."""

import os
import pathlib
import shutil
import signal

import pytest

from daemon import Daemon, Ledger
from network import Network
from senders import Frames

TREE = pathlib.Path(__file__).resolve().parents[2]
TEST_SECONDS = 60  # a test that hangs is ended by its own process; a file may say otherwise


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the end-to-end tests make network namespaces: run them as root", returncode=1)
    for name in ("KNOCKD_BINARY", "KNOCKD_REFERENCE"):
        if name not in os.environ:
            pytest.exit(f"{name} is not set: see tests/e2e/CMakeLists.txt", returncode=1)

    def interrupt(_number, _frame):
        raise KeyboardInterrupt  # as SIGINT does: fixtures are taken down

    signal.signal(signal.SIGTERM, interrupt)


@pytest.fixture(autouse=True)
def _time_limit(request):
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
    return os.environ["KNOCKD_BINARY"]


@pytest.fixture(scope="session")
def reference():
    """The path of Debian's knockd 0.8."""
    path = f"{os.environ['KNOCKD_REFERENCE']}/usr/sbin/knockd"
    assert shutil.which(path), f"{path} is missing: scripts/fetch-reference unpacks it"
    return path


@pytest.fixture(scope="session")
def is_reference(knockd, reference):
    """Whether the tests run against 0.8 itself, to try the tests."""
    return os.path.samefile(knockd, reference)


@pytest.fixture
def start(server, knockd, is_reference, tmp_path):
    """start(configuration, *arguments) runs the daemon under test on the server. What is open is
    kept in the test's own folder, unless the configuration says where."""
    runs = []

    def start_daemon(config, *arguments, **options):
        if not is_reference and "StateFile" not in config:
            config += f"\n[options]\nStateFile = {tmp_path}/open-doors\n"
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
