# SPDX-License-Identifier: MIT
"""A small Ethernet of network namespaces: a server, a client and a stranger around one switch, with
IPv4 and IPv6. Nothing of it can be seen from the host's own network; everything in it, processes
included, is gone after close()."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import threading

from waiting import wait_until

_CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def run(*argv, timeout=30, check=True, **options):
    """Runs a program to its end; its output is text in the result, and in the error if it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
                          **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}")
    return done


def _enter(namespace_fd):
    if _libc.setns(namespace_fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Host:
    """One namespace with the interface eth0. `number` is the last part of its addresses."""

    def __init__(self, namespace, number):
        self.namespace = namespace
        self.ipv4 = f"192.0.2.{number}"
        self.ipv6 = f"2001:db8::{number}"
        self.mac = f"02:00:00:00:00:{number:02x}"
        self._processes = []
        self._services = []

    def address(self, family):
        return self.ipv6 if family == 6 else self.ipv4

    def argv(self, *argv):
        """The command line that runs `argv` in here; `ip` replaces itself, so the pid is argv's."""
        return ["ip", "netns", "exec", self.namespace, *map(str, argv)]

    def run(self, *argv, **options):
        return run(*self.argv(*argv), **options)

    def start(self, *argv, **options):
        """Starts a program that close() ends at the latest."""
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(self.argv(*argv), **options)
        self._processes.append(process)
        return process

    @contextlib.contextmanager
    def inside(self):
        """Sockets that the calling thread makes in this context are sockets of this host."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.namespace}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(there)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(there)
            os.close(home)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.inside():
            return socket.socket(family, kind, protocol)

    def serve(self, port):
        """Greets everyone who gets through to this tcp port, over IPv4 and IPv6, until close()."""
        with self.inside():
            listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self._services.append(listener)

        def greet():
            with contextlib.suppress(OSError):  # ends when close() shuts the listener down
                while True:
                    with listener.accept()[0] as guest:
                        guest.sendall(b"welcome")

        threading.Thread(target=greet, daemon=True).start()

    def reaches(self, address, port, timeout=0.3):
        """Whether the service behind a tcp port answers; a dropped SYN costs the whole timeout (in
        seconds, shorter than the first retransmission)."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.socket(family) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect((address, port))
                return connection.recv(16) == b"welcome"
            except OSError:
                return False

    def processes(self):
        """The pids of all that runs in here."""
        return [int(pid) for pid in run("ip", "netns", "pids", self.namespace).stdout.split()]

    def pids_of(self, name):
        """The pids of those with this name."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
                if pathlib.Path(f"/proc/{pid}/comm").read_text() == name + "\n":
                    found.append(pid)
        return found

    def close(self):
        for listener in self._services:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for process in self._processes:
            process.kill()
            process.wait()
        # What daemons left behind (they leave their parents): all of it runs in our own namespace.
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.processes(), f"the end of all processes in {self.namespace}")
        run("ip", "netns", "del", self.namespace)


class Network:
    """server, client and stranger; each reaches each. Names are unique on this machine, so tests
    may run side by side."""

    def __init__(self):
        self._prefix = f"kn-{os.getpid()}-{next(_numbers)}"
        self._switch = f"{self._prefix}-switch"
        self.server = Host(f"{self._prefix}-server", 1)
        self.client = Host(f"{self._prefix}-client", 2)
        self.stranger = Host(f"{self._prefix}-stranger", 3)
        self._made = []
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self):
        run("ip", "netns", "add", self._switch)
        self._made.append(lambda: run("ip", "netns", "del", self._switch))
        run("ip", "netns", "exec", self._switch, "sysctl", "-qw",
            "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        # Without snooping the switch needs no time to learn where neighbour solicitations go.
        run("ip", "-n", self._switch, "link", "add", "switch", "type", "bridge",
            "mcast_snooping", "0")
        run("ip", "-n", self._switch, "link", "set", "switch", "up")
        for host in (self.server, self.client, self.stranger):
            self._start(host)

    def add_host(self, name, number):
        """Another host at the switch."""
        host = Host(f"{self._prefix}-{name}", number)
        self._start(host)
        return host

    def _start(self, host):
        run("ip", "netns", "add", host.namespace)
        self._made.append(host.close)
        run("ip", "-n", host.namespace, "link", "set", "lo", "up")
        self.plug(host)

    def plug(self, host, interface="eth0", mac=None, ipv4=None, ipv6=None):
        """Gives a host an interface at the switch, with the host's addresses unless told others."""
        port = f"{host.namespace.rsplit('-', 1)[1]}-{interface}"[:15]
        here = ["ip", "-n", host.namespace]
        run(*here, "link", "add", interface, "address", mac or host.mac, "type", "veth",
            "peer", "name", port, "netns", self._switch)
        run("ip", "-n", self._switch, "link", "set", port, "master", "switch", "up")
        run(*here, "addr", "add", f"{ipv4 or host.ipv4}/24", "dev", interface)
        run(*here, "link", "set", interface, "addrgenmode", "none")
        run(*here, "addr", "add", f"{ipv6 or host.ipv6}/64", "dev", interface, "nodad")
        run(*here, "link", "set", interface, "up")
        # Until the kernel has seen to the carrier, a device drops in silence what it is to send.
        for end in ([*here, "link", "show", interface],
                    ["ip", "-n", self._switch, "link", "show", port]):
            wait_until(lambda end=end: "state UP" in run(*end).stdout, " ".join(end))

    def close(self):
        """Removes everything, also what a test left half done; the first failure is reported."""
        with contextlib.ExitStack() as stack:
            for remove in self._made:
                stack.callback(remove)
            self._made = []
