# SPDX-License-Identifier: MIT
"""A separate Debian on a host of the test network: the one that scripts/debian-root made, below an
overlay that holds all changes. With systemd as its first process, or with only init scripts.
close() removes its processes, mounts and control group. A Layer is what one of them has changed, as a
base of others."""

import contextlib
import itertools
import os
import pathlib
import signal
import subprocess

import pytest

from network import Host, run
from waiting import wait_until

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# On a separate file system, because an overlay cannot be on another overlay.
UPPER = """
mount -t tmpfs none {upper}
mkdir {upper}/changes {upper}/work
"""
MOUNTS = """
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


class Layer:
    """What a Debian of the class `kind` has changed when change(debian) returns. Debians with it as
    `below` begin there, in a new boot."""

    def __init__(self, kind, folder, systemd, change):
        self._upper = folder / "layer"
        self._upper.mkdir()
        script = f"{UPPER.format(upper=self._upper)}echo up\nexec sleep infinity"
        # Mount namespaces of its Debians are made in this one, which holds the changes.
        self._holder = subprocess.Popen(["unshare", "--mount", "sh", "-ec", script],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        try:
            if self._holder.stdout.readline() != "up\n":
                pytest.skip("this machine lets nobody make such mounts")
            self.base = os.environ["KNOCKD_DEBIAN"]
            self._change(kind, folder, systemd, change)
            self.base = f"{self._upper}/changes:{self.base}"
        except BaseException:
            self.close()
            raise

    def _change(self, kind, folder, systemd, change):
        # Without a network; it also finds what is left running.
        host = Host(f"kn-{os.getpid()}-layer{next(_numbers)}", 1)
        run("ip", "netns", "add", host.namespace)
        with contextlib.ExitStack() as stack:
            stack.callback(host.close)
            debian = kind(host, folder, systemd, self, upper=self._upper)
            stack.callback(debian.close)
            change(debian)

    def argv(self, *argv):
        return ["nsenter", "-t", str(self._holder.pid), "--mount", *argv]

    def close(self):
        self._holder.kill()
        self._holder.wait()


class Debian:
    def __init__(self, host, folder, systemd, below=None, upper=None):
        """With `upper`, the changes go to this folder of the layer below."""
        self.systemd = systemd
        self.root = folder / "debian"
        self.root.mkdir()
        script = MOUNTS + (WITH_SYSTEMD if systemd else WITH_INIT_SCRIPTS)
        if upper is None:
            upper = folder / "upper"
            upper.mkdir()
            script = UPPER + script
        script = script.format(base=below.base if below else os.environ["KNOCKD_DEBIAN"],
                               root=self.root, upper=upper, path=PATH)
        self._group = ControlGroup() if systemd else None
        unshare = [*(below.argv() if below else []), "unshare", "--mount"]
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
            # It fails until systemd answers; then --wait lets it wait for the end of the boot.
            wait_until(lambda: self.run("systemctl", "is-system-running", "--wait", check=False,
                                        timeout=60).stdout in ("running\n", "degraded\n"),
                       "systemd is up", deadline=60)
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

    # Files are read and written from here: tests wait for their content, and programs that do it inside
    # would cost more than what is tested. Links in the paths must be relative.

    def _path(self, path):
        return pathlib.Path(f"/proc/{self._first.pid}/root{self.root}{path}")

    def exists(self, path):
        """Also if it is a link that leads nowhere."""
        return os.path.lexists(self._path(path))

    def read(self, path):
        """The text of a file; empty if it does not exist."""
        try:
            return self._path(path).read_text()
        except FileNotFoundError:
            return ""

    def write(self, path, text):
        self._path(path).write_text(text)

    def copy(self, source, path):
        self._path(path).write_bytes(source.read_bytes())
