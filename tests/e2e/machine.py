# SPDX-License-Identifier: MIT
"""Keeps the tests out of the machine they run on. leave() gives this process, and all that it
starts, a separate network without interfaces and a separate /run and /var/lib/knockd: a daemon with
default paths takes up no opening of the machine's own knockd and leaves it none, and the network
namespaces and rules of the tests are gone with their last process, however it ended. /etc, /var/log
and /var/spool are read-only."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import subprocess

from waiting import wait_until

_CLONE_NEWNS = 0x00020000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
_SEPARATE = ("/run", "/var/lib", "/proc/self/ns/net")
# A mount on /var/lib/knockd alone would need that folder on the machine, so /var/lib is a new
# folder with all others bound into it. The machine's network namespaces must not be held here.
_MOUNTS = """
mount --make-rprivate /
umount --recursive --lazy /run/netns 2>/dev/null || true
mount -t tmpfs -o mode=755 none /run
mkdir -m 1777 /run/lock
mkdir /run/lib
mount -t tmpfs -o mode=755 none /run/lib
for entry in /var/lib/*; do
  own=/run/lib/${entry##*/}
  if [ "$entry" = /var/lib/knockd ]; then
    continue
  elif [ -L "$entry" ]; then
    cp -P "$entry" "$own"
  elif [ -d "$entry" ]; then
    mkdir "$own"
    mount --rbind "$entry" "$own"
  else
    touch "$own"
    mount --bind "$entry" "$own"
  fi
done
mount --move /run/lib /var/lib
rmdir /run/lib
for folder in /etc /var/log /var/spool; do
  mount --rbind $folder $folder
  mount -o remount,bind,ro $folder
done
ip link set lo up
"""
_outside = {}  # descriptors of the machine's own


def leave():
    """For the main thread, before it starts another. A second call does nothing."""
    if _outside:
        return
    outside = {path: os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _SEPARATE}
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS | _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["sh", "-ec", _MOUNTS], check=True, timeout=30)
    _outside.update(outside)


def outside(path):
    """The same path on the machine."""
    top = next(top for top in _SEPARATE if path.startswith(top))
    return pathlib.Path(f"/proc/self/fd/{_outside[top]}{path[len(top):]}")


def is_left():
    """True if nothing of _SEPARATE is the machine's."""
    return bool(_outside) and not any(os.path.samestat(os.stat(path), os.fstat(fd))
                                      for path, fd in _outside.items())


def forget_daemons():
    """Removes what daemons that were killed have left: the next test shall not find it."""
    assert is_left(), "the machine's own"
    for place in ("/run/knockd", "/var/lib/knockd"):
        shutil.rmtree(place, ignore_errors=True)


def processes_in(network):
    """The pids of all processes in a network namespace, given by its stat()."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            if os.path.samestat(os.stat(process / "ns/net"), network):
                found.append(int(process.name))
    return found


def left_behind():
    """Each process, namespace, interface and rule, one a line, that tests have not removed."""
    def output(*argv):
        return subprocess.run(argv, check=True, timeout=30, capture_output=True,
                              text=True).stdout.splitlines()

    found = []
    for pid in processes_in(os.stat("/proc/self/ns/net")):
        with contextlib.suppress(OSError):  # it has just ended
            if pid != os.getpid():
                found.append(pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
    found += output("ip", "netns", "list")
    found += [line for line in output("ip", "-o", "link") if ": lo:" not in line]
    return found + output("nft", "list", "ruleset")


def check_empty():
    """Fails if a test has left something in what leave() made: a test removes what it makes."""
    wait_until(lambda: not left_behind(), "the tests leave nothing behind",
               lambda: "\n".join(left_behind()))
