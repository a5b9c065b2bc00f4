#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares this knockd with Debian's 0.8, on the same traffic, in network namespaces, in one run.
Prints the table of docs/measured.md: what, ours, 0.8's, how many times better. Called by
scripts/bench."""

import argparse
import contextlib
import ctypes
import datetime
import functools
import json
import os
import pathlib
import platform
import random
import select
import socket
import stat
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))

from daemon import Daemon  # noqa: E402
from memory import private_memory, read_of_each, written_memory  # noqa: E402
from network import Network  # noqa: E402
from storm import Storm, source  # noqa: E402
from waiting import wait_until  # noqa: E402

_PIDFD_GETFD = 438  # asm-generic/unistd.h
_SO_GET_FILTER = 26  # asm-generic/socket.h
_NETLINK_NETFILTER = 12  # linux/netlink.h
_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NFNLGRP_NFTABLES = 7  # linux/netfilter/nfnetlink.h
_NEW_SET_ELEMENT = 10 << 8 | 12  # NFNL_SUBSYS_NFTABLES, NFT_MSG_NEWSETELEM
_libc = ctypes.CDLL(None, use_errno=True)

PORTS = (7000, 8000, 9000)
WEB = 443  # a port of no door


def plain_door(fifo):
    return f"[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = echo > {fifo}\n"


def door_that_closes(fifo):
    return ("[door]\nsequence = 7000,8000,9000\ntcpflags = syn\ncmd_timeout = 1\n"
            f"start_command = echo > {fifo}\nstop_command = :\n")


ALLOWED = "table inet own { set allowed { type ipv4_addr; flags timeout; }\n}"
NFT_DOOR = ("[door]\nsequence = 7000,8000,9000\ntcpflags = syn\n"
            "command = nft add element inet own allowed { %IP% timeout 50ms }\n")
NATIVE_DOOR = ("[door]\nsequence = 7000,8000,9000\ntcpflags = syn\nOpen = 22\nOpen_For = 1\n"
               "Open_Set = inet own allowed\n")


def has_new_element(changes, daemon):
    """Waits for the next notification of a changed ruleset; true if it adds an element."""
    if not select.select([changes], [], [], 10)[0]:
        raise AssertionError(f"no element within 10 s\n{daemon.report_end()}")
    messages, at, kinds = changes.recv(65536), 0, []
    while at < len(messages):
        length, kind = struct.unpack_from("=IH", messages, at)
        kinds.append(kind)
        at += (length + 3) & ~3
    return _NEW_SET_ELEMENT in kinds


def many_doors(count, fifo):
    """Doors with three ports each that no other door uses; the last is the plain one."""
    doors = []
    ports = iter(range(10000, 60000, 13))
    for number in range(count - 1):
        sequence = ",".join(str(next(ports)) for _ in PORTS)
        doors.append(f"[door{number}]\nsequence = {sequence}\ntcpflags = syn\ncommand = :\n")
    return "".join(doors) + plain_door(fifo)


class Knocker:
    """Sends the knocks of one source, quickly and without a process for each."""

    def __init__(self, host, destination):
        self.host = host
        self.destination = destination

    def knock(self, port):
        with self.host.socket(socket.AF_INET) as connection:
            connection.setblocking(False)
            connection.connect_ex((self.destination, port))


def cpu_seconds(host):
    """Processor time of the host's processes so far, without that of commands that have ended. (In
    nanoseconds by the scheduler; `stat` has it in hundredths of a second, 0.04 us for each packet of
    a flood of five seconds.)"""
    return sum(int(text.split()[0]) for text in read_of_each(host, "schedstat")) / 1e9


def copies_of_captures(host):
    """The capture sockets of the host's processes, as descriptors of our own."""
    for pid in host.processes():
        process = os.pidfd_open(pid)
        for number in os.listdir(f"/proc/{pid}/fd"):
            fd = _libc.syscall(_PIDFD_GETFD, process, int(number), 0)
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                with socket.socket(fileno=fd) as copy:
                    if copy.family == socket.AF_PACKET:
                        yield copy
            else:
                os.close(fd)
        os.close(process)


def filter_size(host):
    """Instructions of the filter that the kernel has for the host's one capture; 0: none. (`ss
    --bpf` leaves out sockets with a large one.)"""
    size = ctypes.c_uint(0)  # the buffer is too small, so the kernel reports the count
    for capture in copies_of_captures(host):
        _libc.getsockopt(capture.fileno(), socket.SOL_SOCKET, _SO_GET_FILTER, None,
                         ctypes.byref(size))
    return size.value


def is_at_rest(host):
    before = cpu_seconds(host)
    time.sleep(0.3)
    return cpu_seconds(host) == before


class Bench:
    def __init__(self, folder, ours, reference, tools):
        self.folder = pathlib.Path(folder)
        self.ours = ours
        self.reference = reference
        self.flood_tool = tools / "flood"
        self.bare_capture_tool = tools / "bare_capture"
        self.bare_opener_tool = tools / "bare_opener"
        self.bare_relay_tool = tools / "bare_relay"
        self.rows = []

    def start(self, network, binary, door, name):
        """A daemon with its state on a disk like /var's, where it keeps one. Waits for it longer
        than a test does: 0.8 is slow with a thousand doors."""
        folder = self.folder / name
        options = (f"[options]\nControl = {folder}/control\nStateFile = {folder}/open-doors\n"
                   if binary == self.ours else "")
        daemon = Daemon(network.server, binary, folder, options + door, listens=False)
        wait_until(lambda: daemon.matching("starting up, listening on .*"), "the daemon listens",
                   daemon.report, deadline=300)
        return daemon

    def row(self, what, ours, reference, form="{:.2f} ms"):
        ratio = f"{reference / ours:.1f} x" if reference is not None and ours else "-"
        self.rows.append((what, form.format(ours),
                          "-" if reference is None else form.format(reference), ratio))

    # --- latency -------------------------------------------------------------------------------

    @staticmethod
    def opening_time(reader, begin, patience=None):
        """Milliseconds from `begin`, which starts an opening, to the first output of the command.
        None after `patience` seconds; waits for ever without it."""
        sent = time.monotonic()
        begin()
        if not select.select([reader], [], [], patience)[0]:
            return None
        elapsed = (time.monotonic() - sent) * 1000
        os.read(reader, 64)
        return elapsed

    @staticmethod
    def last_knocks(network, knocks):
        """For each of many knocks, a call that sends the last packet of it. At random moments,
        because 0.8 reads its buffer at fixed intervals."""
        knocker = Knocker(network.client, network.server.ipv4)
        for _ in range(knocks):
            for port in PORTS[:-1]:
                knocker.knock(port)
                time.sleep(0.002)
            time.sleep(random.uniform(0.1, 0.2))
            with network.client.socket(socket.AF_INET) as last:
                last.setblocking(False)
                yield functools.partial(last.connect_ex, (network.server.ipv4, PORTS[-1]))

    def knock_times(self, network, reader, knocks):
        """From the last knock to the first output of the command, in ms."""
        return [self.opening_time(reader, knock) for knock in self.last_knocks(network, knocks)]

    def latency_of(self, binary, door_text, name, knocks):
        network = Network()
        try:
            fifo = self.folder / f"{name}.fifo"
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDWR)
            daemon = self.start(network, binary, door_text(fifo), name)
            times = self.knock_times(network, reader, knocks)
            daemon.stop()
            os.close(reader)
            return times
        finally:
            network.close()

    @contextlib.contextmanager
    def bare_opener(self, fifo):
        """A program that starts the plain door's command for each byte that it gets."""
        opener = subprocess.Popen([self.bare_opener_tool, f"echo > {fifo}"], stdin=subprocess.PIPE,
                                  bufsize=0)
        try:
            yield opener.stdin
        finally:
            opener.stdin.close()
            opener.wait(timeout=20)

    def bare_latency(self, knocks):
        fifo = self.folder / "bare.fifo"
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDWR)
        times = []
        with self.bare_opener(fifo) as opener:
            for _ in range(knocks):
                time.sleep(random.uniform(0.1, 0.2))
                times.append(self.opening_time(reader, lambda: opener.write(b"\n")))
        os.close(reader)
        return statistics.median(times)

    def latency(self, knocks):
        for title, door in (("command", plain_door), ("start command, door recorded on disk",
                                                      door_that_closes)):
            key = door.__name__
            ours = self.latency_of(self.ours, door, f"ours-{key}", knocks)
            theirs = self.latency_of(self.reference, door, f"reference-{key}", knocks)
            self.row(f"last knock to {title}, median of {knocks}", statistics.median(ours),
                     statistics.median(theirs))
            self.row("    95th percentile", statistics.quantiles(ours, n=20)[-1],
                     statistics.quantiles(theirs, n=20)[-1])
            if door is plain_door:
                self.rows.append(("    a program that does nothing but start the command",
                                  f"{self.bare_latency(knocks):.2f} ms", "", ""))

    # --- an element in the kernel --------------------------------------------------------------

    def element_times(self, binary, door_text, name, knocks):
        """From the last knock to the notification that an element was added to a set, in ms."""
        network = Network()
        try:
            network.server.run("sh", "-c", f"printf '%s\\n' '{ALLOWED}' | nft -f -")
            changes = network.server.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
            changes.bind((0, 0))
            changes.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
            daemon = self.start(network, binary, door_text, name)
            times = []
            for knock in self.last_knocks(network, knocks):
                while select.select([changes], [], [], 0)[0]:
                    changes.recv(65536)
                began = time.monotonic()
                knock()
                while not has_new_element(changes, daemon):
                    pass
                times.append((time.monotonic() - began) * 1000)
            daemon.stop()
            changes.close()
            return times
        finally:
            network.close()

    def bare_relay(self, knocks):
        """The median in ms until a program of two processes has passed the last knock on."""
        network = Network()
        try:
            relay = network.server.start(self.bare_relay_tool, "eth0", PORTS[-1],
                                         stdout=subprocess.PIPE)
            wait_until(lambda: is_at_rest(network.server), "it waits")
            times = [self.opening_time(relay.stdout.fileno(), knock)
                     for knock in self.last_knocks(network, knocks)]
            relay.terminate()
            relay.wait(10)
            return statistics.median(times)
        finally:
            network.close()

    def element(self, knocks):
        """A door without a shell beside one whose command is nft, ours and 0.8's."""
        native = self.element_times(self.ours, NATIVE_DOOR, "native", knocks)
        command = self.element_times(self.ours, NFT_DOOR, "ours-nft", knocks)
        theirs = self.element_times(self.reference, NFT_DOOR, "reference-nft", knocks)
        for title, of in ((f"last knock to an element in the kernel, median of {knocks}",
                           statistics.median),
                          ("    99th percentile", lambda all: statistics.quantiles(all, n=100)[-1])):
            self.row(title + "; Open_Set, and 0.8 with nft", of(native), of(theirs))
            self.row(title + "; both with nft", of(command), of(theirs))
        self.rows.append(("    a program of two processes that hand the knock on and do nothing, median",
                          f"{self.bare_relay(knocks):.2f} ms", "", ""))

    # --- flood ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def flooded(self, binary, rate, name, seconds):
        """A daemon under a flood of knocks at its first port from forged addresses."""
        network = Network()
        try:
            fifo = self.folder / f"{name}.fifo"
            os.mkfifo(fifo)
            daemon = self.start(network, binary, plain_door(fifo), name)
            wait_until(lambda: is_at_rest(network.server), "the daemon is at rest", deadline=60)
            before = private_memory(network.server), cpu_seconds(network.server)
            flood = network.stranger.start(self.flood_tool, "eth0", network.server.mac,
                                           network.server.ipv4, PORTS[0], rate, seconds,
                                           stdout=subprocess.PIPE, text=True)
            yield network, fifo, flood, before
            daemon.process.kill()
        finally:
            network.close()

    def flood_of(self, binary, rate, name, knocks):
        """Real knocks during a flood of forged first knocks: the share that open within 250 ms,
        their median in ms, the median of a program that only starts the same command meanwhile,
        forged knocks a second, kB of memory gained."""
        seconds = max(2.0, knocks * 0.1)
        with (self.flooded(binary, rate, name, seconds) as (network, fifo, flood, before),
              self.bare_opener(fifo) as opener):
            reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            knocker = Knocker(network.client, network.server.ipv4)
            times, bare_times = [], []
            for _ in range(knocks):
                began = time.monotonic()
                for port in PORTS[:-1]:
                    knocker.knock(port)
                    time.sleep(0.003)
                with contextlib.suppress(BlockingIOError):
                    os.read(reader, 64)  # a late answer to an earlier knock
                elapsed = self.opening_time(reader, lambda: knocker.knock(PORTS[-1]), 0.25)
                if elapsed is not None:
                    times.append(elapsed)
                time.sleep(0.01)
                bare_times.append(self.opening_time(reader, lambda: opener.write(b"\n")))
                time.sleep(max(0.0, began + seconds / knocks * 0.9 - time.monotonic()))
            packets = int(flood.communicate(timeout=seconds + 60)[0])
            wait_until(lambda: is_at_rest(network.server), "the daemon has caught up",
                       deadline=120)
            os.close(reader)
            return (len(times), statistics.median(times) if times else 250.0,
                    statistics.median(bare_times), packets / seconds,
                    private_memory(network.server) - before[0])

    def flood_cost_of(self, binary, rate, name, seconds):
        """Microseconds of processor time for a forged knock. There are no real knocks, so the cost
        of opening doors is not included."""
        with self.flooded(binary, rate, name, seconds) as (network, _, flood, before):
            packets = int(flood.communicate(timeout=seconds + 60)[0])
            wait_until(lambda: is_at_rest(network.server), "the daemon has caught up",
                       deadline=120)
            return (cpu_seconds(network.server) - before[1]) / packets * 1e6

    def bare_capture(self, network, *kernel_filter):
        """A program that only counts packets."""
        bare = network.server.start(self.bare_capture_tool, "eth0", *kernel_filter,
                                    stdout=subprocess.PIPE, text=True)
        bare.stdout.readline()
        return bare

    def bare_cost_of(self, rate, seconds):
        """Microseconds a packet for a program that only counts."""
        network = Network()
        try:
            bare = self.bare_capture(network)
            network.stranger.run(self.flood_tool, "eth0", network.server.mac,
                                 network.server.ipv4, PORTS[0], rate, seconds, timeout=60)
            bare.terminate()
            packets, microseconds = bare.communicate(timeout=20)[0].split()
            return int(microseconds) / int(packets)
        finally:
            network.close()

    def flood(self, knocks):
        seconds = max(2.0, knocks * 0.1)
        for rate in (20000, 50000, 0):
            title = f"{rate:,} forged first knocks a second" if rate else "as many as the sender can"
            ours = self.flood_of(self.ours, rate, f"ours-flood-{rate}", knocks)
            theirs = self.flood_of(self.reference, rate, f"reference-flood-{rate}", knocks)
            # In turns, because the speed of a virtual machine varies.
            bare_costs, our_costs = [], []
            for turn in range(5):
                bare_costs.append(self.bare_cost_of(rate, seconds / 2))
                our_costs.append(self.flood_cost_of(self.ours, rate, f"ours-cost-{rate}-{turn}",
                                                    seconds / 2))
            bare, our_cost = statistics.median(bare_costs), statistics.median(our_costs)
            their_cost = self.flood_cost_of(self.reference, rate, f"reference-cost-{rate}", seconds)
            ratios = sorted(our / bare for our, bare in zip(our_costs, bare_costs))
            if not rate:
                title += f" ({ours[3]:,.0f} a second)"
            self.rows.append((f"{title}: real knocks that open, of {knocks}", str(ours[0]),
                              str(theirs[0]), ""))
            self.row("    median from last knock to command", ours[1], theirs[1])
            self.rows.append(("    a program that does nothing but start the command, meanwhile",
                              f"{ours[2]:.2f} ms", "", ""))
            self.row("    processor time a forged knock", our_cost, their_cost, "{:.2f} us")
            self.rows.append(("    the same, beside a program that only counts packets",
                              f"{our_cost / bare:.2f} x ({ratios[0]:.2f} to {ratios[-1]:.2f})",
                              f"{their_cost / bare:.1f} x", f"(1 is {bare:.2f} us)"))
            self.rows.append(("    memory gained", f"{ours[4]:,} kB", f"{theirs[4]:,} kB", ""))

    # --- noise ---------------------------------------------------------------------------------

    def noise_cost(self, network, seconds, *kind):
        """Microseconds of processor time that the programs of the server spend on a packet to a
        port of no door, of 50,000 a second."""
        wait_until(lambda: is_at_rest(network.server), "the daemon is at rest", deadline=60)
        cpu = cpu_seconds(network.server)
        sent = network.stranger.run(self.flood_tool, "eth0", network.server.mac,
                                    network.server.ipv4, WEB, 50000, seconds, *kind, timeout=90)
        wait_until(lambda: is_at_rest(network.server), "the daemon has caught up", deadline=120)
        return (cpu_seconds(network.server) - cpu) / int(sent.stdout) * 1e6

    def noise_of(self, start, seconds, *kind):
        network = Network()
        try:
            start(network)
            return self.noise_cost(network, seconds, *kind)
        finally:
            network.close()

    def noise(self, knocks):
        """The bare program receives every packet: the cost of each without a filter."""
        seconds = max(2.0, knocks * 0.1)
        door = plain_door("/dev/null")
        programs = (lambda network: self.start(network, self.ours, door, "ours-noise"),
                    lambda network: self.start(network, self.reference, door, "reference-noise"),
                    lambda network: self.bare_capture(network, "tcp"))
        for title, kind in (("segments of established connections", ("established",)),
                            ("connection attempts at a port of no door", ())):
            ours, theirs, bare = (self.noise_of(start, seconds, *kind) for start in programs)
            self.rows.append((f"50,000 a second of {title}: processor time a packet",
                              f"{ours:.2f} us", f"{theirs:.2f} us",
                              f"({bare:.2f} us to count each)"))

    # --- many doors ----------------------------------------------------------------------------

    def many_doors_of(self, binary, count, name, knocks):
        """Milliseconds from start to listening, instructions of the filter in the kernel, the
        median of knock_times(), the cost of noise."""
        network = Network()
        try:
            server = network.server
            server.run("ip", "address", "add", "192.0.2.101/24", "dev", "eth0")
            server.run("ip", "address", "add", "2001:db8::101/64", "dev", "eth0", "nodad")
            fifo = self.folder / f"{name}.fifo"
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDWR)
            began = time.monotonic()
            daemon = self.start(network, binary, many_doors(count, fifo), name)
            started = (time.monotonic() - began) * 1000
            instructions = filter_size(server)
            latency = statistics.median(self.knock_times(network, reader, knocks))
            noise = self.noise_cost(network, max(2.0, knocks * 0.1), "established")
            daemon.process.kill()
            os.close(reader)
            return started, instructions, latency, noise
        finally:
            network.close()

    def many_doors(self, knocks):
        count = 10 * knocks
        ours = self.many_doors_of(self.ours, count, "ours-many", knocks)
        theirs = self.many_doors_of(self.reference, count, "reference-many", knocks)
        self.row(f"{count:,} doors at 2 IPv4 and 2 IPv6 addresses: start until listening", ours[0],
                 theirs[0], "{:,.0f} ms")
        self.rows.append(("    instructions of the filter in the kernel",
                          *(f"{size:,}" if size else "refused" for size in (ours[1], theirs[1])), ""))
        self.row(f"    last knock to command, median of {knocks}", ours[2], theirs[2])
        self.rows.append(("    processor time a segment of 50,000 a second of established "
                          "connections", f"{ours[3]:.2f} us", f"{theirs[3]:.2f} us", ""))

    # --- open doors ----------------------------------------------------------------------------

    def open_doors_of(self, binary, count, name, probes):
        """The time to open one more door, in ms, while none and while many are open, and the
        processes and kB that the open doors use."""
        network = Network()
        try:
            fifo = self.folder / f"{name}.fifo"
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDWR)
            started = self.folder / f"{name}.started"
            started.touch()
            doors = "".join(
                f"[{door}]\nsequence = {port}:udp\ncmd_timeout = 3600\n"
                f"start_command = {command}\nstop_command = :\n"
                for door, port, command in (("many", 7000, f"echo >> {started}"),
                                            ("probe", 7001, f"echo > {fifo}")))
            daemon = self.start(network, binary, doors, name)
            storm = Storm(network.client, network.server)

            def probe(first):
                times = []
                for number in range(first, first + probes):
                    time.sleep(0.06)
                    times.append(self.opening_time(
                        reader, lambda number=number: storm.knock(source(number), 7001)))
                return statistics.median(times)

            with_none = probe(1_000_000)
            memory = private_memory(network.server)
            for number in range(count):
                storm.knock(source(number), 7000)
                # As many at once as commands run at once, to leave out the queue.
                if number % 32 == 31:
                    wait_until(lambda least=number - 32: started.stat().st_size >= least,
                               "the doors open", daemon.report, deadline=60)
            wait_until(lambda: started.stat().st_size >= count, "all doors are open",
                       daemon.report, deadline=120)
            wait_until(lambda: is_at_rest(network.server), "the daemon is at rest", deadline=60)
            gained = private_memory(network.server) - memory
            processes = len(network.server.processes())
            with_many = probe(2_000_000)
            storm.close()
            os.close(reader)
            daemon.process.kill()
            return with_none, with_many, processes, gained
        finally:
            network.close()

    def open_doors(self, knocks):
        many, fewer = 100 * knocks, 10 * knocks
        ours = self.open_doors_of(self.ours, many, "ours-open", max(5, knocks // 4))
        theirs = self.open_doors_of(self.reference, fewer, "reference-open", max(5, knocks // 4))
        self.row("to open a door while none is open, median", ours[0], theirs[0])
        self.row(f"to open one more while {many:,} are open (0.8: {fewer:,})", ours[1], theirs[1])
        self.rows.append(("    processes then", str(ours[2]), str(theirs[2]), ""))
        self.rows.append(("    private memory gained", f"{ours[3]:,} kB", f"{theirs[3]:,} kB", ""))

    # --- asking --------------------------------------------------------------------------------

    @staticmethod
    def status_time(path):
        """Milliseconds until the whole status has been received, and its size in bytes."""
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX) as call:
            call.connect(str(path))
            call.sendall(b"status\n")
            length = 0
            while True:
                part = call.recv(1 << 20)
                length += len(part)
                if part.endswith(b"\n"):
                    return (time.monotonic() - began) * 1000, length
                if not part:
                    raise AssertionError("the answer ended early")

    def asking(self, knocks):
        """The status of 10,000 open doors during 50,000 forged knocks a second, and real knocks
        meanwhile. 0.8 cannot be asked."""
        many, seconds = 100 * knocks, max(4.0, knocks * 0.2)
        network = Network()
        try:
            fifo = self.folder / "asking.fifo"
            os.mkfifo(fifo)
            reader = os.open(fifo, os.O_RDWR)
            daemon = self.start(
                network, self.ours,
                plain_door(fifo) + "[many]\nsequence = 7001:udp\ncmd_timeout = 3600\n"
                f"max_open = {many}\nstart_command = :\nstop_command = :\n", "asking")
            storm = Storm(network.client, network.server)
            path = self.folder / "asking" / "control"
            for number in range(many):
                storm.knock(source(number), 7001)
                if number % 32 == 31 or number == many - 1:
                    wait_until(lambda least=number + 1: self.open_now(path) >= least,
                               "the doors open", daemon.report_end, deadline=60)
            storm.close()
            flood = network.stranger.start(self.flood_tool, "eth0", network.server.mac,
                                           network.server.ipv4, PORTS[0], 50000, seconds,
                                           stdout=subprocess.PIPE, text=True)
            knocker = Knocker(network.client, network.server.ipv4)
            times, heard, length = [], 0, 0
            for _ in range(knocks):
                for port in PORTS[:-1]:
                    knocker.knock(port)
                    time.sleep(0.003)
                asking = threading.Thread(target=lambda: times.append(self.status_time(path)))
                asking.start()
                heard += self.opening_time(reader, lambda: knocker.knock(PORTS[-1]), 0.25) is not None
                asking.join()
                length = times[-1][1]
            flood.terminate()
            flood.wait(20)
            daemon.process.kill()
            os.close(reader)
        finally:
            network.close()
        ordered = sorted(took for took, _ in times)
        title = f"status of {many:,} open doors ({length / 1e6:.1f} MB) at 50,000 forged knocks a second"
        self.rows.append((f"{title}, median", f"{statistics.median(ordered):.1f} ms", "-", ""))
        self.rows.append(("    the slowest", f"{ordered[-1]:.1f} ms", "-", ""))
        self.rows.append((f"    real knocks that open meanwhile, of {knocks}", str(heard), "-", ""))

    @staticmethod
    def open_now(path):
        with socket.socket(socket.AF_UNIX) as call:
            call.connect(str(path))
            call.sendall(b"status\n")
            return len(json.loads(call.makefile().readline())["openings"])

    # --- memory --------------------------------------------------------------------------------

    def memory(self, _):
        """Private memory at rest, all processes together."""
        found, rings = [], []
        for binary, name in ((self.ours, "ours-idle"), (self.reference, "reference-idle")):
            network = Network()
            try:
                self.start(network, binary, plain_door("/dev/null"), name)
                wait_until(lambda at=network.server: is_at_rest(at), "the daemon is at rest")
                own, ring = written_memory(network.server)
                found.append(own)
                rings.append(ring)
            finally:
                network.close()
        self.row("private memory at rest, all processes", *found, "{:.0f} kB")
        self.row("    the capture's ring beside it", *rings, "{:.0f} kB")

    # --- size ----------------------------------------------------------------------------------

    def size(self, _):
        self.row("program on disk", os.path.getsize(self.ours) / 1000,
                 os.path.getsize(self.reference) / 1000, "{:.0f} kB")

    def print_table(self):
        print(f"\n{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, "
              f"Linux {platform.release().split('-')[0]}\n")
        print("| | knockd | knockd 0.8 | ratio |\n|---|---|---|---|")
        for row in self.rows:
            print("| " + " | ".join(row) + " |")


def main():
    parts = ("latency", "element", "flood", "noise", "many_doors", "open_doors", "asking", "memory",
             "size")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", required=True, help="our knockd")
    parser.add_argument("--reference", required=True, help="knockd 0.8")
    parser.add_argument("--tools", required=True, type=pathlib.Path,
                        help="the folder of flood, bare_capture and bare_opener")
    parser.add_argument("--short", action="store_true", help="a tenth of the work: does it run?")
    parser.add_argument("parts", nargs="*", default=parts, help=f"of {', '.join(parts)}")
    options = parser.parse_args()
    for part in options.parts:
        if part not in parts:
            parser.error(f"no part {part}; there are {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="knockd-bench-", dir="/var/tmp") as folder:
        bench = Bench(folder, options.ours, options.reference, options.tools)
        for part in options.parts:
            began = time.monotonic()
            print(f"measuring {part} ...", end=" ", flush=True)
            getattr(bench, part)(10 if options.short else 100)
            print(f"{time.monotonic() - began:.0f} s", flush=True)
        bench.print_table()


if __name__ == "__main__":
    main()
