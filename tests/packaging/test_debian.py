# SPDX-License-Identifier: MIT
"""The Debian package, installed, upgraded and purged in a Debian of its own: this machine's files
below a layer that takes all changes, without systemd, on a host of the test network."""

import os
import subprocess

import pytest

import senders
from network import run
from waiting import wait_until

CONFIG = """
[options]
LogFile = /var/log/knockd.log
Interface = eth0
{options}
[ssh]
Sequence = 7421,3096,5518
TCPFlags = syn
Start_Command = echo opened %IP% >>/root/ledger
Cmd_Timeout = 600
Stop_Command = echo closed %IP% >>/root/ledger
"""


class Debian:
    def __init__(self, host, folder):
        self._host = host
        self.root = folder / "debian"
        upper = folder / "upper"
        for path in (self.root, upper):
            path.mkdir()
        # A file system of its own below, because a layer cannot lie on another layer. All mounts end
        # with this process.
        self._holder = host.start(
            "unshare", "--mount", "sh", "-c",
            f"mount -t tmpfs none {upper} && mkdir {upper}/changes {upper}/work &&"
            f" mount -t overlay -o lowerdir=/,upperdir={upper}/changes,workdir={upper}/work none"
            f" {self.root} && mount -t proc none {self.root}/proc &&"
            f" mount --rbind /dev {self.root}/dev &&"
            f" rm -rf {self.root}/run/systemd && echo up && exec sleep infinity",
            stdout=subprocess.PIPE, text=True)
        self.is_up = self._holder.stdout.readline() == "up\n"
        self._outside = ["nsenter", "-t", str(self._holder.pid), "-m", "-n"]

    def run(self, *argv, check=True):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive",
                       "LC_ALL": "C"}
        return run(*self._outside, "chroot", str(self.root), *argv, check=check, env=environment)

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    def read(self, path):
        return self.run("cat", path, check=False).stdout

    def write(self, path, text):
        subprocess.run([*self._outside, "tee", f"{self.root}{path}"], input=text, text=True,
                       stdout=subprocess.DEVNULL, check=True)

    def receive(self, package):
        subprocess.run([*self._outside, "tee", f"{self.root}/root/knockd.deb"],
                       input=package.read_bytes(), stdout=subprocess.DEVNULL, check=True)

    def install(self):
        self.run("dpkg", "--force-confold", "-i", "/root/knockd.deb")

    def pid(self):
        return self.read("/var/run/knockd.pid").strip()

    def ledger(self):
        return self.read("/root/ledger").splitlines()


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    run("cpack", "-G", "DEB", "-B", str(folder), cwd=os.environ["KNOCKD_BUILD"])
    return next(folder.glob("knockd_*.deb"))


@pytest.fixture
def debian(server, tmp_path, package):
    debian = Debian(server, tmp_path)
    if not debian.is_up:
        pytest.skip("this machine mounts no overlay")
    # Without an init, and without this, packages' scripts may start nothing.
    debian.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
    debian.run("chmod", "755", "/usr/sbin/policy-rc.d")
    debian.run("dpkg", "--purge", "knockd")
    debian.receive(package)
    return debian


@pytest.fixture
def with_door(debian, server, client):
    """Installed, with a door that is open to the client."""
    def make(options=""):
        debian.install()
        debian.write("/etc/knockd.conf", CONFIG.format(options=options))
        debian.write("/etc/default/knockd", "START_KNOCKD=1\n")
        debian.run("service", "knockd", "start")
        senders.with_connect(client, server.ipv4, "7421,3096,5518")
        wait_until(lambda: debian.ledger() == [f"opened {client.ipv4}"], "the door opens",
                   lambda: debian.read("/var/log/knockd.log"))
        return debian
    return make


def test_a_fresh_installation_starts_nothing(debian, server):
    before = set(server.processes())
    debian.install()
    assert set(server.processes()) == before
    assert debian.run("stat", "-c", "%a", "/etc/knockd.conf").stdout == "640\n"
    assert "configuration OK" in debian.run("knockd", "-t").stdout


def test_an_upgrade_closes_open_doors_and_goes_on(with_door, server, client):
    debian = with_door()
    config, pid = debian.read("/etc/knockd.conf"), debian.pid()
    debian.install()
    assert debian.pid() != pid
    assert debian.read("/etc/knockd.conf") == config
    assert debian.ledger() == [f"opened {client.ipv4}", f"closed {client.ipv4}"]
    senders.with_connect(client, server.ipv4, "7421,3096,5518")
    wait_until(lambda: len(debian.ledger()) == 3, "the door opens again")


def test_an_upgrade_keeps_doors_open_if_told_so(with_door, client):
    debian = with_door("Shutdown = keep")
    debian.install()
    assert debian.ledger() == [f"opened {client.ipv4}"]
    assert "1 doors are open since an earlier run" in debian.read("/var/log/knockd.log")


def test_an_upgrade_starts_nothing_that_was_stopped(with_door):
    debian = with_door()
    debian.run("service", "knockd", "stop")
    debian.install()
    assert not debian.exists("/var/run/knockd.pid")


def test_removal_stops_and_keeps_the_settings(with_door, server, client):
    debian = with_door()
    pid = int(debian.pid())
    debian.run("dpkg", "--remove", "knockd")
    assert pid not in server.processes()
    assert debian.ledger() == [f"opened {client.ipv4}", f"closed {client.ipv4}"]
    assert debian.exists("/etc/knockd.conf")
    assert not debian.exists("/usr/sbin/knockd")


def test_purging_leaves_nothing(with_door):
    debian = with_door()
    debian.run("dpkg", "--purge", "knockd")
    left = debian.run("find", "/etc", "/var/lib", "/usr/lib/systemd", "/usr/share/doc/knockd",
                      "-name", "*knockd*", check=False).stdout.splitlines()
    assert [path for path in left if path.startswith("/")] == []
