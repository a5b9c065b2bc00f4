# SPDX-License-Identifier: MIT
"""docs/monitoring.md, with the real programs: fail2ban and logwatch read the log of a real daemon,
Prometheus its metrics by node_exporter, and jq its status and events."""

import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import codes
import senders
from daemon import Daemon
from fixtures import TREE
from network import OWN_MOUNTS, run
from senders import Frames
from waiting import repeat_until, wait_until

MONITORS = pathlib.Path(os.environ["KNOCKD_MONITORS"]).resolve()
FILTER = TREE / "packaging/fail2ban/filter.d/knockd.conf"
ALERTS = TREE / "packaging/prometheus/knockd.rules.yml"
METRICS = TREE / "packaging/prometheus/knockd-metrics"
# Doors and commands with text that a careless pattern would match as an address; all begin alike.
LURES = ["203.0.113.9", "203.0.113.9: x", "2001:db8::bad: x", "x: 203.0.113.9: x",
         "x: port scan, knock discarded"]
DOOR = """
[{name}]
Sequence = 7421,3096,5518
TCPFlags = syn
Start_Command = true {name}: 203.0.113.9: x: port scan, knock discarded
Cmd_Timeout = 1
Stop_Command = true %IP% 203.0.113.9: x: port scan, knock discarded
"""
OPTIONS = "[options]\nLog_Rate = 0\nUseSyslog = {syslog}\n"
# A /dev with busybox's syslogd at /dev/log, and names for -l, in a separate mount namespace. knockd
# drops lines rather than wait for syslog, so a slow syslogd gets room for all lines of a test.
SURROUNDINGS = """
mount --bind {folder}/hosts /etc/hosts
mkdir {folder}/dev
mount -t tmpfs -o mode=755 none {folder}/dev
for device in null zero random urandom; do
  touch {folder}/dev/$device
  mount --bind /dev/$device {folder}/dev/$device
done
mount --move {folder}/dev /dev
echo 1000 >/proc/sys/net/unix/max_dgram_qlen
busybox syslogd -n -O {folder}/syslog &
tries=0
until [ -S /dev/log ]; do
  tries=$((tries + 1))
  [ $tries -lt 500 ] || exit 1
  sleep 0.02
done
exec "$@"
"""


@pytest.fixture
def scanned(server, client, stranger, knockd, tmp_path):
    """scanned(syslog, *options): the log file of a daemon with knocks and with scans that hit a
    door, and the addresses of the scanners, once for each door."""

    def make(syslog, *options, lures=LURES):
        (tmp_path / "hosts").write_text(f"{client.ipv4} client.example\n{client.ipv6} client6.example\n")
        config = OPTIONS.format(syslog="yes" if syslog else "no")
        config += "".join(DOOR.format(name=name) for name in ["ssh", *lures])
        script = SURROUNDINGS.format(folder=tmp_path)
        daemon = Daemon(server, knockd, tmp_path / "run", config, *options, own_log=not syslog,
                        listens=False, prefix=[*OWN_MOUNTS, "sh", "-ec", script, "sh"])
        log = tmp_path / "syslog" if syslog else daemon.log_file

        def logged(pattern, count=1):
            wait_until(lambda: log.exists() and len(re.findall(pattern, log.read_text())) >= count,
                       f"{count} x {pattern}", daemon.report)

        logged("starting up")
        if "-l" in options:  # a lookup delays no line, so the first ones may be without the name
            for family, name in ((4, "client.example"), (6, "client6.example")):
                knock = Frames(client, server, family).tcp
                repeat_until(lambda knock=knock: knock(7421),
                             lambda name=name: f"({name}): " in log.read_text(), name, daemon.report)
        Frames(stranger, server).knock("7421,3096,5518")
        logged("running command: true", 2 * (1 + len(lures)))
        scanners = [(client, 4), (client, 6), (stranger, 4), (stranger, 6)]
        expected = []
        for host, family in scanners:
            frames = Frames(host, server, family)
            frames.tcp(7421)
            for port in range(100, 120):
                frames.tcp(port)
            expected += [host.address(family)] * (1 + len(lures))
            logged("(?m)^(?!.*running command).*: port scan, knock discarded$", len(expected))
        daemon.stop()
        logged("shutting down")
        return log, expected

    return make


def failures(log):
    """The addresses that fail2ban finds, in order."""
    return run("/usr/bin/python3", MONITORS / "usr/bin/fail2ban-regex", "-c",
               MONITORS / "etc/fail2ban", "-o", "ip", log, FILTER,
               env={**os.environ,
                    "PYTHONPATH": f"{MONITORS}/usr/lib/python3/dist-packages"}).stdout.split()


@pytest.mark.parametrize("options", [[], ["-l"]], ids=["addresses", "names"])
@pytest.mark.parametrize("syslog", [False, True], ids=["file", "syslog"])
def test_fail2ban_finds_only_scanners(scanned, syslog, options):
    log, expected = scanned(syslog, *options)
    text = log.read_text()
    assert ("(client.example): " in text) == ("-l" in options)
    assert failures(log) == expected
    if syslog:
        # The current and former formats of rsyslog, and that of the journal.
        for head in ("2026-11-26T08:30:00.123456+00:00 host ", "Nov 26 08:30:00 host "):
            log.write_text(re.sub(r"^.*?(?=knockd\[)", head, text, flags=re.M))
            assert failures(log) == expected


def test_fail2ban_finds_used_and_old_codes(server, client, knockd, ledger, frames, tmp_path):
    users = codes.Users(tmp_path / "secrets", "alice-1")
    lure = "203.0.113.9: x: code of bob, refused: it is of another time"
    door = codes.door(ledger, "door", users, codes.COMPUTED).replace("command = echo", f"command = : {lure}")
    daemon = Daemon(server, knockd, tmp_path / "run",
                    OPTIONS.format(syslog="no") + codes.plain() + door)
    knocks = codes.Knocks(daemon, ledger, frames, Frames(client, server, 6))
    step = codes.step_now(15)
    alice = users["alice-1"]
    for at, source in ((step, "198.51.100.1"),  # accepted
                       (step, "198.51.100.2"), (step - 1, "198.51.100.3"),  # used, and older
                       (step + 1, "198.51.100.4"), (step + 1, "198.51.100.5")):
        knocks.send(codes.computed(alice, at), source)
        knocks.settle()
    knocks.send(codes.computed(alice, step), "2001:db8::7")  # harmless: of the other family
    knocks.send(codes.computed(alice, step - 1, 6), "2001:db8::8")
    knocks.send(codes.computed(alice, step - 1, 6), "2001:db8::9")
    knocks.settle()
    daemon.wait_for(r"\S+: door: code of .*, refused: .*", 4)
    assert failures(daemon.log_file) == [
        "198.51.100.2", "198.51.100.3", "198.51.100.5", "2001:db8::9"], daemon.report()


def test_fail2ban_finds_nobody_in_injected_log_text(tmp_path):
    log = tmp_path / "syslog"
    lures = ["203.0.113.9: x: port scan, knock discarded",
             "203.0.113.9: x: code of bob, refused: it is of another time"]
    log.write_text("".join(f"Nov 26 08:30:00 host {line}\n" for lure in lures for line in (
        f"sshd[7]: Invalid user knockd[1]: {lure}", f"sshd[7]: {lure}", f"knockd[x]: {lure}",
        f"sshd[7]: host knockd[1]: {lure}", f"knockd[7]: x {lure}")))
    assert failures(log) == []


def test_fail2ban_accepts_the_jail(tmp_path):
    """Copied to the places that its comments name, next to Debian's own settings."""
    etc = tmp_path / "fail2ban"
    shutil.copytree(MONITORS / "etc/fail2ban", etc)
    for path in ("filter.d/knockd.conf", "jail.d/knockd.conf"):
        shutil.copy(TREE / "packaging/fail2ban" / path, etc / path)
    log = tmp_path / "knockd.log"
    log.touch()
    jail = etc / "jail.d/knockd.conf"
    jail.write_text(jail.read_text().replace("/var/log/knockd.log", str(log)))
    (etc / "jail.d/defaults-debian.conf").unlink()  # the jail of sshd, which has no log here
    said = run("/usr/bin/python3", MONITORS / "usr/bin/fail2ban-client", "-c", etc, "-d",
               env={**os.environ,
                    "PYTHONPATH": f"{MONITORS}/usr/lib/python3/dist-packages"}).stdout
    assert "['add', 'knockd', 'auto']" in said
    assert f"['set', 'knockd', 'addlogpath', '{log}'" in said
    assert "port scan, knock discarded" in said and "allports" in said


# Overlays whole folders of Debian's packages over this machine's, in a mount namespace.
LOGWATCH = """
mount -t overlay -o lowerdir={monitors}/usr/share:/usr/share none /usr/share
mount -t overlay -o lowerdir={monitors}/etc:/etc none /etc
mount --bind {logs} /var/log
mount -t tmpfs none /var/cache
mkdir /var/cache/logwatch
exec perl /usr/share/logwatch/scripts/logwatch.pl --service knockd --range all --output stdout
"""


def test_debians_logwatch_understands_the_log(scanned, client, stranger, tmp_path):
    """Its counts, and its unmatched lines: some that 0.8 also prints, those with IPv6 addresses,
    for which it has no pattern, and our own."""
    log, _ = scanned(True, lures=["web"])
    logs = tmp_path / "logs"
    logs.mkdir()
    # The format of lines that it matches.
    lines = re.sub(r"^(.{15} \S+) \w+\.\w+ ", r"\1 ", log.read_text(), flags=re.M)
    (logs / "syslog").write_text(lines)
    report = run(*OWN_MOUNTS, "sh", "-ec",
                 LOGWATCH.format(monitors=MONITORS, logs=logs)).stdout
    stages, _, rest = report.partition("knockd commands executed")
    commands, _, unknown = rest.partition("knockd unknown log entries")
    for door in ("ssh", "web"):
        assert re.search(rf"\n\s*{door}\n\s*Stage 1\n"
                         rf"\s*From {client.ipv4}: 1 time\(s\)\n\s*From {stranger.ipv4}: 2 time",
                         stages), report
        assert re.search(rf"1 time\(s\): {door}: true {door}: 203", commands), report
    kinds = {re.sub(r".*time\(s\): (\S+: (\w+: )?)?", "", line).strip() for line in
             unknown.splitlines() if "time(s): " in line}
    assert {kind for kind in kinds if not kind.startswith("Stage ")} <= {
        "port scan, knock discarded", "command timeout", "shutting down", "closing, knockd is shutting down"}


# --- Prometheus ------------------------------------------------------------------------------------

ODD_DOORS = ['q"uote"', "back\\slash\\n", "é 鍵", "{brace=\"x\"}"]
FOR_METRICS = "[options]\nInterface = eth0, none0\nControl = CONTROL\n" + "".join(
    f"[{name}]\nSequence = {7000 + number}:udp\nCommand = true\n"
    for number, name in enumerate(ODD_DOORS)) + """
[lasting]
Sequence = 7100:udp
Reknock = extend
Stop_Command = true
Cmd_Timeout = 600
"""


@pytest.fixture
def measured(server, client, knockd, tmp_path):
    """A daemon with an opened door, and the path of its socket."""
    control = tmp_path / "control"
    daemon = Daemon(server, knockd, tmp_path / "run", FOR_METRICS.replace("CONTROL", str(control)),
                    interface=None)
    senders.with_nc(client, server.ipv4, "7000:udp")
    daemon.wait_for(".*: OPEN SESAME")
    return control


def metrics(server, knockd, control):
    done = subprocess.run(server.argv(knockd, "--control", control, "--status=prometheus"),
                          capture_output=True, check=True, timeout=20)
    return done.stdout


def test_promtool_accepts_the_metrics(server, knockd, measured):
    checked = subprocess.run([MONITORS / "usr/bin/promtool", "check", "metrics"],
                             input=metrics(server, knockd, measured), capture_output=True,
                             timeout=30, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


ALERT_TESTS = """
rule_files: [{alerts}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: 'knockd_listening{{instance="good", interface="eth0"}}'
        values: '1x20'
      - series: 'knockd_listening{{instance="bad", interface="eth0"}}'
        values: '0x20'
      - series: 'node_textfile_mtime_seconds{{instance="good", file="/x/knockd.prom"}}'
        values: '0+60x20'
      - series: 'node_textfile_mtime_seconds{{instance="gone", file="/x/knockd.prom"}}'
        values: '0x20'
      - series: 'knockd_packets_lost_total{{instance="good", interface="eth0"}}'
        values: '7x20'
      - series: 'knockd_packets_lost_total{{instance="bad", interface="eth0"}}'
        values: '0x14 9x6'
      - series: 'knockd_knocks_refused_total{{instance="bad", door="ssh"}}'
        values: '0x14 9x6'
    alert_rule_test:
      - eval_time: 15m
        alertname: KnockdDoesNotListen
        exp_alerts:
          - exp_labels: {{severity: critical, instance: bad, interface: eth0}}
            exp_annotations: {{summary: knockd on bad does not listen on eth0}}
          - exp_labels: {{severity: critical, instance: gone, file: /x/knockd.prom}}
            exp_annotations: {{summary: 'knockd on gone does not listen '}}
      - eval_time: 10m
        alertname: KnockdLosesKnocks
      - eval_time: 16m
        alertname: KnockdLosesKnocks
        exp_alerts:
          - exp_labels: {{severity: warning, instance: bad, interface: eth0}}
            exp_annotations: {{summary: 'knockd on bad loses knocks '}}
          - exp_labels: {{severity: warning, instance: bad, door: ssh}}
            exp_annotations: {{summary: knockd on bad loses knocks at ssh}}
"""


def test_the_alerts_fire_when_they_should(tmp_path):
    promtool = MONITORS / "usr/bin/promtool"
    assert "SUCCESS: 2 rules found" in run(promtool, "check", "rules", ALERTS).stdout
    tests = tmp_path / "tests.yml"
    tests.write_text(ALERT_TESTS.format(alerts=ALERTS))
    assert "SUCCESS" in run(promtool, "test", "rules", tests).stdout


# --- docs/monitoring.md

GUIDE = (TREE / "docs/monitoring.md").read_text()


@pytest.fixture
def shell(server, knockd, measured, tmp_path):
    """The argv of a line of the guide, changed to the test's control socket."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "knockd").write_text(f'#!/bin/sh\nexec {knockd} --control {measured} "$@"\n')
    (programs / "knockd").chmod(0o755)
    return lambda line: ["env", f"PATH={programs}:{os.environ['PATH']}", "sh", "-c", line]


def test_the_guide_filters_with_jq(server, client, shell, tmp_path):
    status, events = re.findall(r"^    (knockd .* \| jq .*)$", GUIDE, re.M)
    heard = tmp_path / "heard"
    with heard.open("wb") as file:
        server.start(*shell(events), stdout=file)
    repeat_until(lambda: server.run(*shell("knockd --open lasting 192.0.2.9 90m")), heard.read_text,
                 "an event")
    assert server.run(*shell(status)).stdout == "lasting 192.0.2.9 89\n"
    server.run(*shell("knockd --close lasting"))
    wait_until(lambda: heard.read_text().endswith("closed lasting 192.0.2.9\n"), "the closing",
               heard.read_text)
    assert "open lasting 192.0.2.9\n" in heard.read_text()


def test_the_guide_closes_and_opens_by_hand(server, shell):
    lines = re.findall(r"^    (knockd --(?:close|open) .*)$", GUIDE, re.M)
    assert len(lines) >= 4
    for line in lines:
        line = line.replace(" ssh", " lasting")
        if "--close" in line:
            server.run(*shell("knockd --open lasting 192.0.2.2"))
        server.run(*shell(line))


def test_the_guide_shows_the_table(server, client, knockd, tmp_path):
    """Except for numbers and the column widths that depend on them."""
    control = tmp_path / "control"
    config = f"[options]\nControl = {control}\n[ssh]\nSequence = 7421,3096,5518\nOpen = 22\nOpen_For = 1h\n"
    daemon = Daemon(server, knockd, tmp_path / "run", config)
    frames = Frames(client, server)
    frames.knock("7421,5518")
    frames.knock("7421,3096,5518")
    daemon.wait_for("ssh: opened .*")
    shown = server.run(knockd, "--control", control, "--status").stdout

    def skeleton(text):
        text = re.sub(r"/\S+|\d+d [\d:]+", "N", text).replace("not in sync", "in sync")
        return [re.sub(r"[\d:-]*\d", "N", line).split() for line in text.splitlines() if line.strip()]

    guide = re.search(r"^    knockd --status\n\n((?:    .*\n|\n)+)", GUIDE, re.M)[1]
    assert skeleton(shown) == skeleton(guide)


def test_the_guide_names_what_is_installed(installed):
    """Each path below the package's own folder, and the files copied from there."""
    folders = re.findall(r"^    cd /(\S+)\n((?:    .*\n)+)", GUIDE, re.M)
    assert len(folders) == 2
    for folder, lines in folders:
        for name in re.findall(r"(?:install -m 755|cp) (\S+)", lines):
            assert (installed / folder / name).is_file()


class Page:
    """The answers of an HTTP server on a host's loopback."""

    def __init__(self, host, port):
        self._host = host
        self._port = port

    def get(self, path):
        """None while it does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            with self._host.inside():
                connection.connect()
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return None
        finally:
            connection.close()


@pytest.fixture
def metrics_file(server, shell, tmp_path):
    """Made by the script of the examples, run like cron does."""
    folder = tmp_path / "textfiles"
    folder.mkdir()
    file = folder / "knockd.prom"
    server.run(*shell(f"{METRICS} {file}"))
    return file


def test_the_script_writes_the_whole_file_or_none(knockd, server, shell, measured, metrics_file,
                                                  tmp_path):
    assert [path.name for path in metrics_file.parent.iterdir()] == ["knockd.prom"]
    known = metrics_file.read_bytes()
    assert re.sub(rb"\d+\n", b"\n", known) == re.sub(rb"\d+\n", b"\n",
                                                     metrics(server, knockd, measured))
    (tmp_path / "programs/knockd").write_text("#!/bin/sh\necho half\nexit 3\n")
    failed = server.run(*shell(f"{METRICS} {metrics_file}"), check=False)
    assert failed.returncode == 3
    assert metrics_file.read_bytes() == known
    assert [path.name for path in metrics_file.parent.iterdir()] == ["knockd.prom"]


def test_root_follows_no_link_of_the_owner_of_the_folder(server, shell, public_folder, tmp_path):
    folder = public_folder / "textfiles"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o644)
    (folder / "knockd.prom.new").symlink_to(victim)
    server.run(*shell(f"{METRICS} {folder}/knockd.prom"), check=False)
    assert victim.read_text() == "mine"


def test_prometheus_scrapes_it_by_node_exporter(server, metrics_file, tmp_path):
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n"
                      f"rule_files: [{ALERTS}]\n"
                      "scrape_configs: [{job_name: node, static_configs: "
                      "[{targets: ['127.0.0.1:9100']}]}]\n")
    said = (tmp_path / "said").open("wb")
    server.start(MONITORS / "usr/bin/prometheus-node-exporter", "--collector.disable-defaults",
                 "--collector.textfile", f"--collector.textfile.directory={metrics_file.parent}",
                 "--web.listen-address=127.0.0.1:9100", stdout=said, stderr=said)
    server.start(MONITORS / "usr/bin/prometheus", f"--config.file={config}",
                 f"--storage.tsdb.path={tmp_path}/data", "--web.listen-address=127.0.0.1:9090",
                 stdout=said, stderr=said)
    prometheus = Page(server, 9090)

    def known(query):
        answer = prometheus.get(f"/api/v1/query?query={query}")
        try:
            return json.loads(answer or "")["data"]["result"]
        except (ValueError, KeyError):
            return []  # it answers, but is not ready

    wait_until(lambda: known("knockd_openings_total"), "the metric arrives",
               lambda: (tmp_path / "said").read_text(), deadline=30)
    found = {one["metric"]["door"]: one["value"][1] for one in known("knockd_openings_total")}
    assert found == {name: str(int(name == ODD_DOORS[0])) for name in [*ODD_DOORS, "lasting"]}
    [error] = known("node_textfile_scrape_error")
    assert error["value"][1] == "0"
    alert = wait_until(lambda: known("ALERTS"), "the alert of an interface that is missing",
                       lambda: (tmp_path / "said").read_text(), deadline=30)[0]["metric"]
    assert (alert["alertname"], alert["interface"]) == ("KnockdDoesNotListen", "none0")
