# SPDX-License-Identifier: MIT
"""The figures of docs/fleets.md: the time of an opening from one gateway to all, compared with bare
mosquitto_pub and mosquitto_sub in the same run; the spread of their closing times; and what
thousands of subscribers and retained messages cost the broker. scripts/fleet-bench runs it, as
root."""

import contextlib
import json
import os
import pathlib
import resource
import select
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import mqtt  # noqa: E402
from fleet import KNOCK, Fleet, password_of  # noqa: E402
from network import Network  # noqa: E402
from senders import Frames  # noqa: E402
from waiting import wait_until  # noqa: E402

GATEWAYS = 5
KNOCKS = 60
OPEN_FOR = 5  # seconds, of the knocks
TICKS = os.sysconf("SC_CLK_TCK")


def ms(seconds):
    return f"{1000 * seconds:.1f} ms"


def summary(times):
    return f"median {ms(statistics.median(times))}, worst {ms(max(times))}"


# --- A knock -----------------------------------------------------------------------------------------

def follow(gateway, events):
    """Writes its events to a file, one JSON object per line."""
    with open(events, "wb") as file:
        return subprocess.Popen([os.environ["KNOCKD_BINARY"], "--control", str(gateway.control),
                                    "--events"], stdout=file)


def times_of(events, kind):
    found = {}
    for line in events.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == kind:
            found.setdefault(event["address"], event["time"])
    return found


def knocks(fleet, folder):
    fleet.start(lambda gateway: gateway.door(cmd_timeout=OPEN_FOR))
    events = [folder / f"events-{gateway.name}" for gateway in fleet.gateways]
    followers = [follow(*pair) for pair in zip(fleet.gateways, events)]
    sources = [f"198.51.100.{n}" for n in range(1, KNOCKS + 1)]
    frames = Frames(fleet.network.client, fleet[0].host)
    try:
        for source in sources:
            frames.knock(KNOCK, source=source)
            fleet.wait_for_open(source)
        wait_until(lambda: all(len(times_of(file, "closed")) == KNOCKS for file in events),
                   "all are closed", deadline=60)
    finally:
        for follower in followers:
            follower.terminate()
            follower.wait(10)
    opened = [times_of(file, "open") for file in events]
    closed = [times_of(file, "closed") for file in events]
    spread = [max(one[source] for one in opened) - opened[0][source] for source in sources]
    apart = [max(one[source] for one in closed) - min(one[source] for one in closed)
             for source in sources]
    print(f"{KNOCKS} knocks at one of {GATEWAYS}: open at all after {summary(spread)}")
    print(f"closed at all within {summary(apart)}")


def bare(fleet):
    """From one connected client to another."""
    broker = fleet.broker
    sub = broker.host.start("mosquitto_sub", *broker.who("admin"), "-q", "1", "-t", "bare", "-F",
                            "%U %p", stdout=subprocess.PIPE, text=True)
    pub = broker.host.start("mosquitto_pub", *broker.who("admin"), "-q", "1", "-t", "bare", "-l",
                            stdin=subprocess.PIPE, text=True)
    times = []
    broker.publish("bare", "begin", "-r")
    sub.stdout.readline()
    for _ in range(KNOCKS):
        pub.stdin.write(f"{time.time():.6f}\n")
        pub.stdin.flush()
        came, sent = sub.stdout.readline().split()
        times.append(float(came) - float(sent))
    for process in (pub, sub):
        process.terminate()
        process.wait(10)
    print(f"bare mosquitto_pub to mosquitto_sub, one host, no TLS: {summary(times)}")


# --- The broker --------------------------------------------------------------------------------------

class Usage:
    def __init__(self, pid):
        self._pid = pid
        self.cpu, self.memory = self._now()

    def _now(self):
        fields = pathlib.Path(f"/proc/{self._pid}/stat").read_text().rsplit(")", 1)[1].split()
        status = pathlib.Path(f"/proc/{self._pid}/status").read_text()
        memory = int(status.split("VmRSS:")[1].split()[0])
        return (int(fields[11]) + int(fields[12])) / TICKS, memory

    def since(self):
        """Seconds of the processor, and kB."""
        cpu, memory = self._now()
        spent, grown = cpu - self.cpu, memory - self.memory
        self.cpu, self.memory = cpu, memory
        return spent, grown


def connections(broker, count, stack, usage, tls=None):
    opened = []
    for n in range(count):
        connection = stack.enter_context(broker.host.socket())
        connection.settimeout(30)
        connection.connect((broker.host.ipv4, broker.PORT if tls else broker.PLAIN))
        if tls:
            connection = stack.enter_context(
                tls.wrap_socket(connection, server_hostname=broker.host.ipv4))
        mqtt.connect(connection, f"s{n}", "admin", password_of("admin"))
        mqtt.subscribe(connection, "knockd/home/+/open/ssh/+")
        opened.append(connection)
    cpu, memory = usage.since()
    print(f"{count} gateways {'with' if tls else 'without'} TLS: {memory / count:.1f} kB of the broker's "
          f"memory and {1000 * cpu / count:.1f} ms of its processor each, to connect")
    return opened


PAYLOAD = '{"until":1766000000.250,"id":1766000000000,"user":"anna"}'


def topic_of(n):
    return f"knockd/home/gw{n}/open/ssh/10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def openings(broker, subscribers, count, usage):
    """Publishes `count` openings; every subscriber receives and confirms all of them."""
    poll = select.epoll()
    for connection in subscribers:
        poll.register(connection.fileno(), select.EPOLLIN)
    by_number = {connection.fileno(): [connection, b""] for connection in subscribers}
    due = count * len(subscribers)
    usage.since()
    begin = time.monotonic()
    with broker.host.socket() as sender:
        sender.connect((broker.host.ipv4, broker.PLAIN))
        mqtt.connect(sender, "sender", "admin", password_of("admin"))
        for n in range(count):
            sender.sendall(mqtt.publish_surely(topic_of(n), PAYLOAD, n + 1))
        while due > 0:
            for number, _ in poll.poll(30):
                connection, left = by_number[number]
                left += connection.recv(1 << 20)
                answer, by_number[number][1] = mqtt.acknowledgements(left)
                connection.sendall(answer)
                due -= len(answer) // 4
    took = time.monotonic() - begin
    cpu, _ = usage.since()
    each = cpu / (count * len(subscribers))
    print(f"{count} openings to {len(subscribers)} gateways: {took:.2f} s, {1e6 * each:.1f} us of the "
          f"broker's processor for each message to each gateway")


def retained(broker, count, usage):
    usage.since()
    with broker.host.socket() as sender:
        sender.settimeout(60)
        sender.connect((broker.host.ipv4, broker.PLAIN))
        mqtt.connect(sender, "sender", "admin", password_of("admin"))
        sender.sendall(b"".join(mqtt.publish(topic_of(n), PAYLOAD, True, 3600)
                                for n in range(count)) + mqtt.GOODBYE)
        while sender.recv(65536):
            pass
    cpu, memory = usage.since()
    print(f"{count} retained openings: {1024 * memory / count:.0f} bytes and {1e6 * cpu / count:.0f} us "
          f"of the broker each")


def late_gateway(fleet, count, usage):
    """A real gateway starts with all messages retained: the time until it has stored them."""
    gateway = fleet[0]
    usage.since()
    begin = time.monotonic()
    gateway.start_fleet()
    gateway.wait_for("following knockd at .*", 2)
    wait_until(lambda: len(gateway.openings()) >= count, f"{count} are open", gateway.report,
               deadline=120)
    cpu, _ = usage.since()
    status = pathlib.Path(f"/proc/{gateway.fleet.pid}/status").read_text()
    memory = int(status.split("VmRSS:")[1].split()[0])
    print(f"a gateway that comes to {count} openings has opened them after "
          f"{time.monotonic() - begin:.2f} s; {cpu:.2f} s of the broker's processor; knockd-fleet has "
          f"{memory} kB")


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="kn-bench-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        network = Network()
        stack.callback(network.close)
        fleet = Fleet(network, os.environ["KNOCKD_BINARY"], os.environ["KNOCKD_FLEET_BINARY"],
                      folder, GATEWAYS, persistence=False)
        stack.callback(fleet.close)
        knocks(fleet, folder)
        bare(fleet)
        for gateway in fleet.gateways:
            gateway.stop_fleet()
        usage = Usage(fleet.broker.pid())
        tls = ssl.create_default_context(cafile=fleet.broker.certificates.ca)
        with contextlib.ExitStack() as few:
            connections(fleet.broker, 500, few, usage, tls)
        for count in (10, 1000):
            with contextlib.ExitStack() as few:
                openings(fleet.broker, connections(fleet.broker, count, few, usage), 200, usage)
        retained(fleet.broker, 10000, usage)
        fleet.broker.stop()
        fleet.broker.start()
        until = time.time() + 600
        with fleet.broker.host.socket() as sender:
            sender.connect((fleet.broker.host.ipv4, fleet.broker.PLAIN))
            mqtt.connect(sender, "sender", "admin", password_of("admin"))
            for n in range(1000):
                sender.sendall(mqtt.publish(topic_of(n + 1), json.dumps({"until": until, "id": 1}),
                                            True, 600))
        late_gateway(fleet, 1000, Usage(fleet.broker.pid()))


if __name__ == "__main__":
    main()
