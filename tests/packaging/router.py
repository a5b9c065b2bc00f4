# SPDX-License-Identifier: MIT
"""An OpenWrt router in a folder: its files, and the init script, run with a router's shell and with
stubs of procd and UCI."""

import os
import re

from fixtures import TREE
from network import run

STAND_INS = TREE / "tests/packaging/openwrt"
FILES = TREE / "openwrt/files"


class Router:
    def __init__(self, folder, knockd):
        self.root = folder
        self.script = "knockd.init"
        self._knockd = knockd
        for path in ("etc/config", "var/run", "lib/functions", "networks", "usr/sbin"):
            (folder / path).mkdir(parents=True)
        (folder / "lib/functions/network.sh").write_text((STAND_INS / "network.sh").read_text())
        (folder / "usr/sbin/knockd").symlink_to(knockd)
        self.by_hand = folder / "etc/knockd.conf"
        self.by_hand.write_text("[by-hand]\nsequence = 7421,3096,5518\ntcpflags = syn\n"
                                "command = true\n")
        self.by_hand.chmod(0o640)
        self.written = folder / "var/run/knockd.conf"
        self.uci("knockd", "")
        self.uci("network", "config interface wan\n option device eth1\n")

    def uci(self, package, text):
        (self.root / f"etc/config/{package}").write_text(text)

    def with_fw4(self):
        """Switches its firewall to fw4."""
        (self.root / "sbin").mkdir()
        (self.root / "sbin/fw4").touch()

    def up(self, network, device):
        (self.root / f"networks/{network}").write_text(device)

    def down(self, network):
        (self.root / f"networks/{network}").unlink()

    def running(self):
        """Makes procd report that the daemon runs."""
        (self.root / "running").touch()

    def call(self, action, check=True):
        """The script's status, and its calls to procd and messages to the caller, as lines."""
        done = run("busybox", "ash", "-u", str(STAND_INS / "rc.common"),
                   str(FILES / self.script), action, check=check,
                   env={**os.environ, "IPKG_INSTROOT": str(self.root)})
        return done.returncode, done.stdout.replace(str(self.root), "").splitlines()

    def refused(self, action="start"):
        """The message of a failure, which must be in the log too."""
        status, lines = self.call(action, check=False)
        assert status != 0
        assert not any("procd_open_instance" in line for line in lines)
        said = [line.removeprefix("knockd: ") for line in lines if line.startswith("knockd: ")]
        assert [f"user.err knockd: {line}" for line in said] == self.log()[-len(said):]
        return said

    def log(self):
        log = self.root / "log"
        text = log.read_text() if log.exists() else ""
        return text.replace(str(self.root), "").splitlines()

    def start(self):
        return self.call("start")[1]

    def instance(self):
        lines = self.start()
        return lines[lines.index("procd_open_instance"):lines.index("procd_close_instance") + 1]

    def triggers(self):
        return [line for line in self.start() if "trigger" in line]

    def checked(self):
        """The written configuration, checked to be valid, and the daemon's warnings."""
        warnings = run(str(self._knockd), "-t", "-c", str(self.written)).stdout
        return self.written.read_text(), warnings

    def interface(self):
        return re.findall(r"^\s*interface = (.*)$", self.written.read_text(), re.MULTILINE)
