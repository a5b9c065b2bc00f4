# SPDX-License-Identifier: MIT
"""A separate Debian on a host of the test network: the one that scripts/debian-root made, below an
overlay that holds all changes. With systemd as its first process, or with only init scripts.
close() removes its processes, mounts and control group."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess

import pytest

from network import run
from waiting import wait_until

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# On a separate file system, because an overlay cannot be on another overlay.
MOUNTS = """
mount -t tmpfs none {upper}
mkdir {upper}/changes {upper}/work
mount -t overlay -o lowerdir={base},upperdir={upper}/changes,workdir={upper}/work none {root}
mount -t proc none {root}/proc
"""
WITH_INIT_SCRIPTS = """
mount --rbind /dev {root}/dev
echo up
exec sleep infinity
"""
WITH_SYSTEMD = """
mount -t sysfs -o ro none {root}/sys
mount -t cgroup2 none {root}/sys/fs/cgroup
for folder in dev run tmp; do mount -t tmpfs -o mode=755 none {root}/$folder; done
for device in null zero full random urandom tty; do
  touch {root}/dev/$device
  mount --bind /dev/$device {root}/dev/$device
done
echo up
exec chroot {root} env -i container=test PATH={path} /lib/systemd/systemd >/dev/null 2>&1
"""
_numbers = itertools.count(1)


class ControlGroup:
    """A control group for systemd, which manages the one that it starts in."""

    def __init__(self):
        mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
        top = next((mount[1] for mount in mounts if mount[2] == "cgroup2"), None)
        if top is None or not os.access(f"{top}/cgroup.procs", os.W_OK):
            pytest.skip("this machine has no control groups (version 2) that may be written")
        self.path = pathlib.Path(top) / f"kn-{os.getpid()}-{next(_numbers)}"
        self.path.mkdir()

    def close(self):
        def is_empty():
            return "populated 0" in (self.path / "cgroup.events").read_text()

        wait_until(is_empty, f"the end of all processes in {self.path}")
        for folder, _, _ in os.walk(self.path, topdown=False):
            os.rmdir(folder)


class Debian:
    def __init__(self, host, folder, systemd):
        self.systemd = systemd
        self.root = folder / "debian"
        self._group = ControlGroup() if systemd else None
        upper = folder / "upper"
        for path in (self.root, upper):
            path.mkdir()
        script = MOUNTS + (WITH_SYSTEMD if systemd else WITH_INIT_SCRIPTS)
        script = script.format(base=os.environ["KNOCKD_DEBIAN"], root=self.root, upper=upper,
                               path=PATH)
        unshare = ["unshare", "--mount"]
        begin = []
        if systemd:
            unshare += ["--pid", "--cgroup", "--ipc", "--uts", "--fork", "--kill-child"]
            begin = ["sh", "-ec", f'echo 0 >{self._group.path}/cgroup.procs; exec "$@"', "sh"]
        self._first = subprocess.Popen([*begin, *host.argv(*unshare, "sh", "-ec", script)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self._first.stdout.readline() != "up\n":
            self.close()
            pytest.skip("this machine lets nobody make such mounts")
        pid = self._first.pid
        namespaces = ["-m", "-n"]
        if systemd:
            pid = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
            namespaces += ["-p", "-C", "-i", "-u"]
        self._outside = ["nsenter", "-t", str(pid), *namespaces, f"--root=/proc/{self._first.pid}/root"]
        if systemd:
            wait_until(lambda: self.run("systemctl", "is-system-running", check=False).stdout
                       in ("running\n", "degraded\n"), "systemd is up", deadline=60)
        else:
            # Without an init system, packages' scripts could start nothing without this.
            self.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n")
            self.run("chmod", "755", "/usr/sbin/policy-rc.d")

    def close(self):
        self._first.kill()
        self._first.wait()
        if self._group:
            # Its processes are killed with their parent, but not at once.
            for pid in (self._group.path / "cgroup.procs").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            self._group.close()

    def run(self, *argv, check=True, **options):
        environment = {"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        return run(*self._outside, "chroot", str(self.root), *argv, check=check, env=environment,
                   **options)

    def start(self, *argv, **options):
        """Starts a program in it; close() ends it at the latest."""
        return subprocess.Popen([*self._outside, "chroot", str(self.root), *argv],
                                env={"PATH": PATH}, stdin=subprocess.DEVNULL, **options)

    def exists(self, path):
        return self.run("test", "-e", path, check=False).returncode == 0

    def read(self, path):
        """The text of a file; empty if it does not exist."""
        return self.run("sh", "-c", '[ ! -e "$0" ] || cat "$0"', path).stdout

    def write(self, path, text):
        self._put(path, text.encode())

    def copy(self, source, path):
        self._put(path, source.read_bytes())

    def _put(self, path, content):
        subprocess.run([*self._outside, "tee", f"{self.root}{path}"], input=content,
                       stdout=subprocess.DEVNULL, check=True)
