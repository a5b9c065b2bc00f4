# SPDX-License-Identifier: MIT
"""The Debian package of knockd-fleet, in a separate Debian with systemd: installed next to
knockd's, configured, run as its own user, removed and purged."""

import os

import pytest

from debian import Debian
from network import run
from waiting import wait_until

TEST_SECONDS = 240  # apt and systemd are slow
# Nobody answers there, which it reports once it runs.
CONFIG = """
[options]
    Broker  = 127.0.0.1:1
    Gateway = gw1
    Doors   = ssh
    LogFile = /var/log/knockd-fleet/log
"""
# This Debian's root is not a mount point, so its systemd cannot give a service another root.
WITHOUT_MOUNTS = """
[Service]
ProtectSystem=no
ProtectHome=no
PrivateTmp=no
PrivateDevices=no
ProtectProc=default
ProcSubset=all
ProtectHostname=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectKernelTunables=no
ProtectControlGroups=no
"""
DAEMON = """
[options]
UseSyslog
Interface = eth0
Control_Group = _knockd-fleet
[ssh]
Sequence = 7421,3096,5518
TCPFlags = syn
Command = true
Cmd_Timeout = 600
Stop_Command = true
"""


@pytest.fixture
def debian(server, tmp_path):
    if "KNOCKD_FLEET_BINARY" not in os.environ:
        pytest.skip("this build has no knockd-fleet")
    folder = tmp_path / "packages"
    run("cpack", "-G", "DEB", "-B", str(folder), cwd=os.environ["KNOCKD_BUILD"], timeout=120)
    debian = Debian(server, tmp_path, True)
    for package in folder.glob("*.deb"):
        debian.copy(package, f"/root/{package.name}")
    yield debian
    debian.close()


def state(debian):
    return debian.run("systemctl", "is-enabled", "knockd-fleet", check=False).stdout.strip(), \
        debian.run("systemctl", "is-active", "knockd-fleet", check=False).stdout.strip()


def test_it_is_installed_run_and_removed(debian):
    debian.run("sh", "-c", "apt-get -q install -y /root/knockd_*.deb /root/knockd-fleet_*.deb",
               timeout=120)
    assert "_knockd-fleet" in debian.read("/etc/passwd")
    assert state(debian) == ("disabled", "inactive")
    done = debian.run("knockd-fleet", "-t", check=False)
    assert "/etc/knockd-fleet.conf: Broker is missing: expected HOST:PORT" in done.stdout

    debian.write("/etc/knockd-fleet.conf", CONFIG)
    debian.write("/etc/knockd.conf", DAEMON)
    debian.run("mkdir", "/etc/systemd/system/knockd-fleet.service.d")
    debian.write("/etc/systemd/system/knockd-fleet.service.d/mounts.conf", WITHOUT_MOUNTS)
    debian.run("systemctl", "daemon-reload")
    found = debian.run("systemd-analyze", "--man=no", "verify", "knockd-fleet.service").stdout
    assert "knockd-fleet" not in found, found
    assert "configuration OK" in debian.run("knockd-fleet", "-t").stdout
    debian.run("systemctl", "enable", "--now", "knockd", "knockd-fleet")
    log = "/var/log/knockd-fleet/log"
    wait_until(lambda: debian.exists(log) and "following knockd" in debian.read(log)
               and "broker 127.0.0.1:1: " in debian.read(log), "it follows the daemon",
               lambda: debian.run("systemctl", "status", "knockd-fleet", check=False).stdout)
    assert state(debian) == ("enabled", "active")
    pid = debian.run("systemctl", "show", "-p", "MainPID", "--value", "knockd-fleet").stdout.strip()
    assert debian.run("ps", "-o", "user=", "-p", pid).stdout.strip().startswith("_knockd")

    # An upgrade starts a new process.
    debian.run("sh", "-c", "dpkg --force-confold -i /root/knockd-fleet_*.deb")
    again = debian.run("systemctl", "show", "-p", "MainPID", "--value", "knockd-fleet").stdout.strip()
    assert again not in ("0", pid)

    debian.run("dpkg", "--purge", "knockd-fleet")
    assert "_knockd-fleet" not in debian.read("/etc/passwd") + debian.read("/etc/group")
    assert not debian.exists("/etc/knockd-fleet.conf")
    assert not debian.exists("/etc/systemd/system/multi-user.target.wants/knockd-fleet.service")
    # The daemon keeps running.
    assert debian.run("systemctl", "is-active", "knockd").stdout.strip() == "active"
