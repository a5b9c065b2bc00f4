# SPDX-License-Identifier: MIT
"""A fleet on the test network: a broker with TLS, passwords and rules, and gateways with a daemon and
a knockd-fleet each. Scripts can use it too: see scripts/fleet-bench."""

import json
import os
import pathlib
import re
import subprocess

import mqtt
from daemon import Daemon
from network import Host, run
from waiting import wait_until

NOBODY = 65534
KNOCK = "7000,8000,9000"
LONG = 600  # seconds


def password_of(user):
    return f"password of {user}"


class Certificates:
    """A CA, and the broker's certificate signed by it."""

    def __init__(self, folder, address):
        self.ca, self.cert, self.key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        ca_key, request, names = (folder / name for name in ("ca.key", "request", "names"))
        names.write_text(f"subjectAltName=IP:{address},DNS:broker\n")
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        run("openssl", "req", "-x509", *new_key, "-keyout", ca_key, "-out", self.ca, "-days", "2",
            "-subj", "/CN=test CA")
        run("openssl", "req", *new_key, "-keyout", self.key, "-out", request, "-subj", "/CN=broker")
        run("openssl", "x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", ca_key,
            "-CAcreateserial", "-out", self.cert, "-days", "2", "-extfile", names)
        for path in (self.ca, self.cert, self.key):
            path.chmod(0o644)


class Broker:
    """mosquitto on a host, started from its path and ended by its pid."""

    PORT, PLAIN = 8883, 1883

    def __init__(self, host, folder, users, rules="pattern write knockd/home/%u/#\n",
                 persistence=True):
        self.host, self.folder = host, folder
        folder.mkdir(exist_ok=True)
        self.certificates = Certificates(folder, host.ipv4)
        self._passwords = folder / "passwords"
        self._passwords.touch(0o600)
        for user in [*users, "admin"]:
            run("mosquitto_passwd", "-b", self._passwords, user, password_of(user))
        (folder / "rules").write_text("user admin\ntopic readwrite #\n\n"
                                      "pattern read knockd/home/#\n" + rules)
        self.config = folder / "mosquitto.conf"
        self.config.write_text("\n".join([
            "per_listener_settings false", "user root", "allow_anonymous false",
            f"password_file {self._passwords}", f"acl_file {folder}/rules",
            "max_queued_messages 0", "message_size_limit 16384",
            "max_inflight_messages 1000",
            f"persistence {'true' if persistence else 'false'}", f"persistence_location {folder}/",
            "autosave_interval 1", "autosave_on_changes true", f"log_dest file {folder}/log",
            f"listener {self.PLAIN}",
            f"listener {self.PORT}", f"cafile {self.certificates.ca}",
            f"certfile {self.certificates.cert}", f"keyfile {self.certificates.key}", ""]))
        self.process = None
        self.start()

    def start(self):
        self.process = self.host.start("mosquitto", "-c", self.config)
        wait_until(self._listens, "the broker listens", self.log)

    def _listens(self):
        with self.host.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host.ipv4, self.PORT)) == 0

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def pid(self):
        return self.process.pid

    def stop(self, kill=False):
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(10)

    def who(self, user):
        return ["-V", "5", "-h", self.host.ipv4, "-p", self.PLAIN, "-u", user,
                "-P", password_of(user)]

    def publish(self, topic, payload, *options, user="admin"):
        return self.host.run("mosquitto_pub", *self.who(user), "-q", "1", "-t", topic,
                             "-m", payload, *options)

    def flood(self, topic, payloads, user="admin"):
        """Publishes all messages at once."""
        with self.host.socket() as connection:
            connection.settimeout(30)
            connection.connect((self.host.ipv4, self.PLAIN))
            mqtt.connect(connection, "flood", user, password_of(user))
            connection.sendall(b"".join(mqtt.publish(topic, payload) for payload in payloads) +
                               mqtt.GOODBYE)
            while connection.recv(65536):
                pass  # until it has read all and closes the connection

    def retained(self, topic="knockd/#"):
        """The retained messages: topic to payload."""
        self.publish("zz/last", "last", "-r")
        told = self.host.start("mosquitto_sub", *self.who("admin"), "-q", "1", "-t", topic,
                               "-t", "zz/last", "-F", "%t\t%p", "--retained-only",
                               stdout=subprocess.PIPE, text=True)
        pairs = {}
        for line in told.stdout:
            name, payload = line.rstrip("\n").split("\t", 1)
            if name == "zz/last":  # it is sent last
                break
            pairs[name] = payload
        told.terminate()
        told.wait(10)
        return pairs


class Gateway:
    """A daemon with its doors, and its knockd-fleet, on a host."""

    def __init__(self, host, name, knockd, knockd_fleet, folder, broker):
        self.host, self.name, self.folder = host, name, folder
        self._knockd, self._fleet, self._broker = knockd, knockd_fleet, broker
        folder.mkdir(mode=0o755)
        self.control = folder / "control" / "socket"
        self.ledger = folder / "ledger"
        self.ledger.touch()
        self.log_file = folder / "fleet.log"
        self.daemon = None
        self.fleet = None
        self._runs = 0
        self._begun = 0  # lines of the log before its last start

    # --- The daemon

    def door(self, name="ssh", *directives, sequence=KNOCK, cmd_timeout=LONG):
        return "\n".join([f"[{name}]", f"sequence = {sequence}", "tcpflags = syn",
                          f"cmd_timeout = {cmd_timeout}", "Reknock = extend",
                          f"start_command = echo open {name} %IP% >> {self.ledger}",
                          f"stop_command = echo close {name} %IP% >> {self.ledger}",
                          *directives, ""])

    def start_daemon(self, doors=None, *options, prefix=()):
        config = "\n".join(["[options]", f"Control = {self.control}", "Control_Group = nogroup",
                            *options, doors or self.door()])
        self._runs += 1
        self.daemon = Daemon(self.host, self._knockd, self.folder / f"run{self._runs}", config,
                             prefix=prefix)

    def ask(self, *arguments):
        return subprocess.run([str(self._knockd), "--control", str(self.control),
                               *map(str, arguments)], capture_output=True, text=True, timeout=40,
                              check=False)

    def status(self):
        done = self.ask("--status=json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def openings(self):
        return self.status()["openings"]

    def is_open(self, address, door="ssh"):
        return any(one["address"] == address and one["door"] == door for one in self.openings())

    def wait_for_open(self, address, door="ssh", **options):
        wait_until(lambda: self.is_open(address, door), f"{door} of {self.name} opens to {address}",
                   self.report, **options)

    def wait_for_closed(self, address, door="ssh", **options):
        wait_until(lambda: not self.is_open(address, door),
                   f"{door} of {self.name} closes to {address}", self.report, **options)

    # --- knockd-fleet

    def start_fleet(self, *lines, user=None, gateway=None, password=None, doors="ssh",
                    connects=True, prefix=()):
        user = user or self.name
        secret = self.folder / "password"
        secret.write_text((password or password_of(user)) + "\n")
        secret.chmod(0o600)
        os.chown(secret, NOBODY, NOBODY)
        config = self.folder / "fleet.conf"
        config.write_text("\n".join([
            "[options]", f"Broker = {self._broker.host.ipv4}:{Broker.PORT}",
            f"TLS_CA = {self._broker.certificates.ca}", f"User = {user}",
            f"Password_File = {secret}", "Fleet = home", f"Gateway = {gateway or self.name}",
            f"Doors = {doors}", f"Control = {self.control}", *lines, ""]))
        known = len(self.matching("connected to broker .*"))
        self._begun = len(self.lines())
        with open(self.log_file, "ab") as log:
            self.fleet = self.host.start("setpriv", "--reuid", NOBODY, "--regid", NOBODY,
                                         "--clear-groups", *prefix, self._fleet, "-c", config,
                                         stdout=log,
                                         stderr=subprocess.STDOUT)
        if connects:
            self.wait_for("connected to broker .*", known + 1)

    def stop_fleet(self, kill=False):
        (self.fleet.kill if kill else self.fleet.terminate)()
        return self.fleet.wait(10)

    def lines(self):
        return self.log_file.read_text(errors="replace").splitlines() if self.log_file.exists() else []

    def matching(self, pattern):
        return [line for line in self.lines() if re.fullmatch(pattern, line)]

    def wait_for(self, pattern, count=1, **options):
        wait_until(lambda: len(self.matching(pattern)) >= count,
                   f"{count} x {pattern!r} in the log of {self.name}'s fleet", self.report, **options)

    def is_connected(self):
        """True if it is connected to the broker and reports a connection to the daemon."""
        tcp = self.host.run("ss", "-Htn", "state", "established", "dport", "=", f":{Broker.PORT}")

        def last_of(*words):
            said = [line for line in self.lines()[self._begun:] if any(word in line for word in words)]
            return bool(said) and words[0] in said[-1]

        return (tcp.stdout and last_of("connected to broker", "local doors go on")
                and last_of("following knockd", "knockd has ended", "knockd is not running"))

    def report(self):
        return "\n".join([f"--- fleet of {self.name}:", *self.lines()[-30:], "daemon:",
                          self.daemon.report_end() if self.daemon else "none",
                          f"openings: {self.ask('--status=json').stdout[-2000:]}"])


class Fleet:
    """A number of gateways around one broker on the network's server."""

    def __init__(self, network, knockd, knockd_fleet, folder, size, **broker):
        self.network = network
        self.names = [f"gw{n}" for n in range(1, size + 1)]
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        self.broker = Broker(network.server, folder / "broker", self.names, **broker)
        (folder / "broker").chmod(0o755)
        self.gateways = []
        for number, name in enumerate(self.names):
            host = network.add_host(name, 10 + number)
            self.gateways.append(Gateway(host, name, knockd, knockd_fleet, folder / name,
                                         self.broker))

    def __getitem__(self, number):
        return self.gateways[number]

    def start(self, doors=None, *options, **fleet):
        for gateway in self.gateways:
            gateway.start_daemon(doors and doors(gateway), *options)
            gateway.start_fleet(**fleet)
            gateway.wait_for("following knockd at .*")

    def wait_for_open(self, address, **options):
        for gateway in self.gateways:
            gateway.wait_for_open(address, **options)

    def wait_for_closed(self, address, **options):
        for gateway in self.gateways:
            gateway.wait_for_closed(address, **options)

    def close(self):
        """Ends all processes, even those that a test has stopped."""
        for gateway in self.gateways:
            for process in (gateway.fleet, gateway.daemon and gateway.daemon.process):
                if process:
                    process.kill()
                    process.wait(10)
        self.broker.stop(kill=True)
