# SPDX-License-Identifier: MIT
"""A small Ethernet of network namespaces: a server, a client and a stranger around one switch, with
IPv4 and IPv6. It is invisible from the host's own network; close() removes everything in it,
including processes and what daemons with default paths have left."""

import contextlib
import ctypes
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import threading

import machine
from waiting import wait_until

_CLONE_NEWNET = 0x40000000  # linux/sched.h
OWN_MOUNTS = ["unshare", "--mount"]  # begins a command line that mounts something for itself
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def run(*argv, timeout=30, check=True, **options):
    """Runs a program to its end; the result, or the error if it fails, contains its output as
    text."""
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))}: status {done.returncode}\n{done.stdout}")
    return done


def _ip(namespace, *commands):
    """Commands of ip in a namespace, in one process: there are many in each network."""
    run("ip", "-n", namespace, "-batch", "-", input="".join(f"{command}\n" for command in commands))


def _devices_up(namespace):
    lines = (line.split() for line in run("ip", "-n", namespace, "-br", "link").stdout.splitlines())
    return {name.partition("@")[0] for name, state, *_ in lines if state == "UP"}


def _enter(namespace_fd):
    if _libc.setns(namespace_fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def _inside(namespace):
    """Sockets and processes that the calling thread makes in this context belong to the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(home)
    finally:
        os.close(there)
        os.close(home)


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
        """The command line that runs `argv` on this host, with a /sys that shows its interfaces; `ip`
        execs it, so the pid is that of argv."""
        return ["ip", "netns", "exec", self.namespace, *map(str, argv)]

    def run(self, *argv, **options):
        with self.inside():  # without the mounts of `ip netns exec`, in a third of its time
            return run(*map(str, argv), **options)

    def start(self, *argv, **options):
        """Starts a program; close() ends it at the latest."""
        options.setdefault("stdin", subprocess.DEVNULL)
        with self.inside():
            process = subprocess.Popen([*map(str, argv)], **options)
        self._processes.append(process)
        return process

    def inside(self):
        """Sockets and processes that the calling thread makes in this context belong to this host."""
        return _inside(self.namespace)

    def socket(self, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
        with self.inside():
            return socket.socket(family, kind, protocol)

    def serve(self, port):
        """Answers every connection to this tcp port with a greeting, over IPv4 and IPv6, until
        close()."""
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
        """True if the service at a tcp port answers; a dropped SYN takes the whole timeout (in
        seconds, shorter than the first retransmission)."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.socket(family) as connection:
            connection.settimeout(timeout)
            try:
                connection.connect((address, port))
                return connection.recv(16) == b"welcome"
            except OSError:
                return False

    def packets_sent(self, interface="eth0"):
        with self.inside():
            lines = pathlib.Path("/proc/thread-self/net/dev").read_text().splitlines()
        counts = dict(line.split(":") for line in lines if ":" in line)
        return int({name.strip(): numbers.split() for name, numbers in counts.items()}[interface][9])

    def processes(self):
        """The pids of all processes on this host."""
        return machine.processes_in(os.stat(f"/run/netns/{self.namespace}"))

    def pids_of(self, name):
        """The pids of the processes with this name."""
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
        # Daemons have left their parents, so end everything that runs in our namespace.
        wait_until(lambda: not self._kill_all(), f"the end of all processes in {self.namespace}")
        run("ip", "netns", "del", self.namespace)

    def _kill_all(self):
        pids = self.processes()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return pids


class Network:
    """server, client and stranger; each can reach the others. Names are unique on this machine, so
    tests can run in parallel."""

    def __init__(self):
        machine.leave()
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
        with _inside(self._switch):
            for devices in ("all", "default"):
                pathlib.Path(f"/proc/sys/net/ipv6/conf/{devices}/disable_ipv6").write_text("1")
        hosts = (self.server, self.client, self.stranger)
        for host in hosts:
            self._add(host)
        # With snooping off, the switch forwards neighbour solicitations at once.
        _ip(self._switch, "link add switch type bridge mcast_snooping 0", "link set switch up",
            *itertools.chain.from_iterable(self._cable(host, "eth0", host.mac) for host in hosts))
        for host in hosts:
            _ip(host.namespace, *self._addresses("eth0", host.ipv4, host.ipv6))
        self._wait_for_carrier(*((host, "eth0") for host in hosts))

    def add_host(self, name, number):
        """Another host at the switch."""
        host = Host(f"{self._prefix}-{name}", number)
        self._add(host)
        self.plug(host)
        return host

    def _add(self, host):
        run("ip", "netns", "add", host.namespace)
        self._made.append(host.close)

    def plug(self, host, interface="eth0", mac=None, ipv4=None, ipv6=None):
        """Gives a host an interface at the switch, by default with the host's addresses."""
        _ip(self._switch, *self._cable(host, interface, mac or host.mac))
        _ip(host.namespace, *self._addresses(interface, ipv4 or host.ipv4, ipv6 or host.ipv6))
        self._wait_for_carrier((host, interface))

    @staticmethod
    def _port(host, interface):
        return f"{host.namespace.rsplit('-', 1)[1]}-{interface}"[:15]

    def _cable(self, host, interface, mac):
        port = self._port(host, interface)
        return (f"link add {port} type veth peer name {interface} address {mac} netns {host.namespace}",
                f"link set {port} master switch up")

    @staticmethod
    def _addresses(interface, ipv4, ipv6):
        return ("link set lo up", f"addr add {ipv4}/24 dev {interface}",
                f"link set {interface} addrgenmode none",
                f"addr add {ipv6}/64 dev {interface} nodad", f"link set {interface} up")

    def _wait_for_carrier(self, *ends):
        """Until the kernel has noticed the carrier, a device silently drops what it should send."""
        ports = {self._port(*end) for end in ends}
        wanted = [(host.namespace, {interface}) for host, interface in ends] + [(self._switch, ports)]
        for namespace, names in wanted:
            wait_until(lambda namespace=namespace, names=names: names <= _devices_up(namespace),
                       f"{names} of {namespace} are up")

    def close(self):
        """Removes everything, even leftovers of a failed test; reports the first failure."""
        with contextlib.ExitStack() as stack:
            stack.callback(machine.forget_daemons)
            for remove in self._made:
                stack.callback(remove)
            self._made = []
