# SPDX-License-Identifier: MIT
"""Debian's knockd 0.8 and ours receive the same packets. First half: our daemon answers each knock
that 0.8 answers with the same commands and log lines. Second half: the intended differences, each
with both results."""

import re
import signal
import time

import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6ExtHdrDestOpt

from daemon import Daemon, is_reference
from senders import Frames
from waiting import repeat_until, wait_until

# The last knock of every scenario, from a separate source: a daemon that has answered it has
# answered all earlier ones.
DONE = """
[done]
    sequence = 60001:udp
    command  = echo done >> events
"""


class Listener:
    """One of the two daemons. Its commands write to the file `events` in its own folder."""

    def __init__(self, host, binary, folder, config, files):
        folder.mkdir()
        self.folder = folder
        for name, text in files.items():
            (folder / name).write_text(text)
        (folder / "events").touch()
        self.daemon = Daemon(host, binary, folder, config)

    def events(self):
        return (self.folder / "events").read_text().splitlines()

    def answers(self):
        """Its log lines since it listened, without those of the closing knock."""
        lines = self.daemon.lines()
        start = next(i for i, line in enumerate(lines) if line.startswith("starting up"))
        return [line for line in lines[start + 1:]
                if not re.search(r"(^|: )done: ", line)]

    def opened(self):
        """The opened doors, in order, each with its knocker."""
        return [line.removesuffix(": OPEN SESAME") for line in self.answers()
                if line.endswith(": OPEN SESAME")]


class Pair:
    """0.8 and ours on the same interface of the same host."""

    def __init__(self, network, binaries, tmp_path, config, files):
        self.network = network
        self.config = config + DONE
        # Enough for all lines of the fastest knocker.
        ours = "[options]\nLog_Rate = 0\n" + self.config
        reference, knockd = binaries
        if is_reference(knockd):
            ours = self.config
        self.theirs = Listener(network.server, reference, tmp_path / "theirs", self.config, files)
        self.ours = Listener(network.server, knockd, tmp_path / "ours", ours, files)
        self.both = (self.theirs, self.ours)

    def frames(self, host="client", family=4):
        return Frames(getattr(self.network, host), self.network.server, family)

    def knock(self, moves, family=4):
        """Sends `moves`, words like "7000", "8000:udp", "9000+FA" (with these TCP flags) or
        "stranger/7000" (from that host)."""
        for move in moves.split():
            host, _, rest = move.rpartition("/")
            knock, _, flags = rest.partition("+")
            port, _, protocol = knock.partition(":")
            frames = self.frames(host or "client", family)
            if protocol == "udp":
                frames.udp(int(port))
            else:
                frames.tcp(int(port), flags or "S")

    def settle(self):
        """Returns when both have received all packets and run the resulting commands. The closing knock
        is repeated, because 0.8 loses one of forty packets that come right after a one-time sequence."""
        before = [each.events().count("done") for each in self.both]
        repeat_until(lambda: self.frames("stranger").udp(60001),
                     lambda: all(each.events().count("done") > count
                                 for each, count in zip(self.both, before)),
                     "the closing knock's answer",
                     lambda: "\n".join(each.daemon.report() for each in self.both), pause=10)
        for each in self.both:
            wait_until(lambda: self._commands_ran(each), "each command runs", each.daemon.report)

    @staticmethod
    def _commands_ran(listener):
        """0.8's child logs its command itself, so that line may be late too."""
        started = [line for line in listener.answers() if ": running command: " in line]
        entries = [line for line in started if line.endswith(">> events")]
        ran = [line for line in listener.events() if line != "done"]
        return len(started) >= len(listener.opened()) and len(ran) >= len(entries)

    def assert_same(self, opened=None):
        """Same commands, same lines; the lines of a door and source are in the same order (those of
        different doors and of commands may overtake each other)."""
        self.settle()
        theirs, ours = self.theirs, self.ours
        assert sorted(ours.events()) == sorted(theirs.events())
        assert sorted(ours.answers()) == sorted(theirs.answers())
        assert self._by_attempt(ours) == self._by_attempt(theirs)
        if opened is not None:
            assert len(theirs.opened()) == opened, "the scenario does not show what it is for"

    @staticmethod
    def _by_attempt(listener):
        attempts = {}
        for line in listener.answers():
            attempt = re.match(r"(\S+): (\w+): ", line)
            if attempt:
                attempts.setdefault(attempt.groups(), []).append(line)
        return attempts


@pytest.fixture
def pair(network, reference, knockd, tmp_path):
    def start(config, files=None):
        return Pair(network, (reference, knockd), tmp_path, config, files or {})

    return start


# --- answered alike

def door(directives, name="a", event="opened"):
    """A door with these directives and, unless they name one, a command that appends the event."""
    if "command" not in directives:
        directives += f"\ncommand = echo {event} %IP% >> events"
    return f"[{name}]\n{directives}\n"


SSH = door("sequence = 7000,8000,9000\ntcpflags = syn")
NO_FLAGS = door("sequence = 7000,8000,9000")
TWO_WAYS = (door("sequence = 7000,8000,9000\ntcpflags = syn", "open")
            + door("sequence = 9000,8000,7000\ntcpflags = syn", "close", event="closed"))

# name: configuration, moves, how often a door opens
ALIKE = {
    "tcp": (SSH, "7000 8000 9000", 1),
    "udp": (door("sequence = 7000:udp,8000:udp,9000:udp"), "7000:udp 8000:udp 9000:udp", 1),
    "mixed": (door("sequence = 2222:udp,3333:tcp,4444:udp"), "2222:udp 3333 4444:udp", 1),
    "a single knock": (door("sequence = 7000\ntcpflags = syn"), "7000", 1),
    "twice the same port": (door("sequence = 7000,7000,8000\ntcpflags = syn"), "7000 7000 8000", 1),
    "32 knocks": (door("sequence = " + ",".join(str(7000 + i) for i in range(32))),
                  " ".join(str(7000 + i) for i in range(32)), 1),
    "blanks in the sequence": (door("sequence = 7000 , 8000:udp ,9000"), "7000 8000:udp 9000", 1),
    "the wrong order": (SSH, "7000 9000 8000 9000", 0),
    "the last knock missing": (SSH, "7000 8000", 0),
    "the wrong protocol": (SSH, "7000 8000:udp 9000", 0),
    "ports of no door in between": (SSH, "7000 5555 8000 6666:udp 9000", 1),
    "a wrong knock, then all over": (SSH, "7000 9000 7000 8000 9000", 1),
    "again and again": (SSH, "7000 8000 9000 7000 8000 9000", 2),
    "two sources, one after the other": (
        SSH, "7000 8000 9000 stranger/7000 stranger/8000 stranger/9000", 2),
    "a stranger cannot finish it": (SSH, "7000 8000 stranger/9000", 0),
    "open, then close": (TWO_WAYS, "7000 8000 9000 9000 8000 7000", 2),
    "other flags pass by": (SSH, "7000 8000+A 8000+R 8000 9000+F 9000", 1),
    "ack wanted beside syn": (
        door("sequence = 7000,8000\ntcpflags = syn,ack"), "7000+SA 8000 8000+SA", 1),
    "an excluded flag": (door("sequence = 7000,8000\ntcpflags = syn,!ack"), "7000 8000+SA 8000", 1),
    "two flags wanted": (
        door("sequence = 7000,8000\ntcpflags = syn,urg"), "7000+SU 8000+S 8000+SU", 1),
    "fin": (door("sequence = 7000,8000\ntcpflags = fin,!ack"), "7000+F 8000+FA 8000+FP", 1),
    "no flags asked": (NO_FLAGS, "7000+A 8000+F 9000+SU", 1),
    "flags do not matter to udp": (
        door("sequence = 7000:udp,8000\ntcpflags = syn"), "7000:udp 8000", 1),
    "one door after the other": (
        SSH + door("sequence = 1234,2345", "b", event="b"), "7000 8000 9000 1234 2345", 2),
    "doors that begin alike": (
        SSH + door("sequence = 7000,8000,9500\ntcpflags = syn", "b", event="b"),
        "7000 8000 9000 7000 8000 9500", None),
    "a command with %IP% twice": (
        door("sequence = 7000\ncommand = echo %IP% and %IP%, 100% >> events"), "7000", 1),
    "a command with quotes and pipes": (
        door("""sequence = 7000\ncommand = echo "a  'b' $((1+1))" | tr a-z A-Z >> events"""),
        "7000", 1),
    "names with blanks": ("[my door]\nsequence = 7000\ncommand = echo %IP% >> events\n", "7000", 1),
    "key names in any case": ("[a]\nSEQUENCE=7000\nTCPFlags = SYN\nCommand=echo %IP% >> events\n",
                              "7000", 1),
}


@pytest.mark.parametrize("scenario", ALIKE)
def test_answers_like_the_reference(pair, scenario):
    """Over IPv4, and then over IPv6."""
    config, moves, opened = ALIKE[scenario]
    pair = pair(config)
    for times, family in ((1, 4), (2, 6)):
        pair.knock(moves, family)
        pair.assert_same(opened if opened is None else times * opened)


def test_a_failing_command_is_logged_like_the_reference(pair):
    pair = pair(door("sequence = 7000\ncommand = exit 3"))
    pair.knock("7000")
    for each in pair.both:
        each.daemon.wait_for(re.escape("a: command returned non-zero status code (3)"))
    pair.assert_same(opened=1)


@pytest.mark.parametrize("family", [4, 6])
def test_stop_command_like_the_reference(pair, family):
    pair = pair(door("sequence = 7000\ncmd_timeout = 1\n"
                     "start_command = echo start %IP% >> events\n"
                     "stop_command = echo stop %IP% >> events"))
    pair.knock("7000", family)
    for each in pair.both:
        each.daemon.wait_for(r"\S+: a: command timeout")
        wait_until(lambda: any(line.startswith("stop") for line in each.events()),
                   "the stop command", each.daemon.report)
    pair.assert_same(opened=1)
    assert f"a: running command: echo stop {pair.network.client.address(family)} >> events" \
        in pair.ours.answers()


COMMANDS_6 = door("""sequence = 7000
cmd_timeout = 1
start_command = echo start4 %IP% >> events
stop_command = echo stop4 %IP% >> events
start_command_6 = echo start6 %IP% >> events
stop_command_6 = echo stop6 %IP% >> events""")


@pytest.mark.parametrize("family", [4, 6])
def test_commands_of_a_family_like_the_reference(pair, family):
    pair = pair(COMMANDS_6)
    pair.knock("7000", family)
    address = pair.network.client.address(family)
    for each in pair.both:
        wait_until(lambda: each.events() == [f"start{family} {address}", f"stop{family} {address}"],
                   "both commands", each.daemon.report)
    pair.assert_same(opened=1)


def test_an_empty_command_6_runs_nothing_like_the_reference(pair):
    pair = pair(door("sequence = 7000\nstart_command = echo four >> events\nstart_command_6 =\n"))
    pair.knock("7000", family=6)
    for each in pair.both:
        each.daemon.wait_for(r"\S+: a: OPEN SESAME")
    pair.knock("7000", family=4)
    for each in pair.both:
        wait_until(lambda: each.events() == ["four"], "the command for IPv4", each.daemon.report)
        assert len(each.opened()) == 2


def test_a_one_time_sequence_works_once_like_the_reference(pair):
    sequences = "# mine\n\n 7000,8000\n 7001:udp,8001\n 7002,8002\n"
    pair = pair(door("one_time_sequences = sequences\ntcpflags = syn"), {"sequences": sequences})
    pair.knock("7000 8000")
    pair.settle()
    pair.knock("7000 8000")  # used
    pair.settle()
    pair.knock("7001:udp 8001")
    pair.assert_same(opened=2)
    for each in pair.both:
        assert (each.folder / "sequences").read_text() == \
            "# mine\n\n#7000,8000\n#7001:udp,8001\n 7002,8002\n"


def test_target_like_the_reference(pair):
    """A door at an address of another host: forwarded packets count too."""
    pair = pair(door("sequence = 7000,8000\ntcpflags = syn\ntarget = 198.51.100.7", "elsewhere")
                + SSH)
    frames = pair.frames()
    frames.knock("7000,8000", destination="198.51.100.7")
    pair.settle()
    pair.knock("7000 8000")  # to the host itself: not this door
    pair.assert_same(opened=1)


def test_packets_to_other_hosts_are_ignored_like_the_reference(pair):
    pair = pair(SSH)
    pair.frames().knock("7000,8000,9000", destination="198.51.100.7")
    pair.assert_same(opened=0)


def test_a_late_knock_is_a_timeout_like_the_reference(pair):
    """0.8 logs a timeout when the next packet arrives; ours has logged it before."""
    pair = pair(door("sequence = 7000,8000\ntcpflags = syn\nseq_timeout = 1"))
    pair.knock("7000")
    pair.ours.daemon.wait_for(r"\S+: a: (Stage 1|sequence timeout \(stage 1\))", count=1)
    time.sleep(2.1)  # the scenario itself: 0.8 counts whole seconds
    pair.knock("8000")
    pair.assert_same(opened=0)
    assert f"{pair.network.client.ipv4}: a: sequence timeout (stage 1)" in pair.ours.answers()


def test_reload_like_the_reference(pair):
    pair = pair(SSH)
    for each in pair.both:
        text = each.daemon.config_file.read_text()
        each.daemon.config_file.write_text(text.replace("[a]", "[new]").replace("7000", "7001"))
        each.daemon.send(signal.SIGHUP)
    # A reload takes a while, and may miss packets meanwhile.
    repeat_until(lambda: pair.knock("7001 8000 9000"),
                 lambda: all(each.opened() for each in pair.both), "the new door opens",
                 lambda: "\n".join(each.daemon.report() for each in pair.both))
    pair.knock("7000 8000 9000")
    pair.settle()
    for each in pair.both:
        assert f"re-reading config file: {each.daemon.config_file}" in each.answers()
        assert set(each.opened()) == {f"{pair.network.client.ipv4}: new"}


def test_a_new_log_file_is_begun_at_reload_like_the_reference(pair):
    pair = pair(SSH)
    for each in pair.both:
        log = each.daemon.log_file
        log.rename(log.with_suffix(".1"))
        each.daemon.send(signal.SIGHUP)
        wait_until(log.exists, "a new log file", each.daemon.report)
    repeat_until(lambda: pair.knock("7000 8000 9000"),
                 lambda: all(each.daemon.matching(r"\S+: a: OPEN SESAME") for each in pair.both),
                 "both log to the new file", pair.ours.daemon.report)


# --- different on purpose

# Reason: configuration, moves, how often a door opens in 0.8 and in ours.
BETTER = {
    # Rule 3: a knock may be repeated; phones, browsers and nc do so.
    "the knock just accepted comes again": (SSH, "7000 7000 8000 8000 9000", 0, 1),
    "a datagram comes again": (
        door("sequence = 7000:udp,8000:udp"), "7000:udp 7000:udp 8000:udp", 0, 1),
    # Rule 4: a wrong knock that is a first knock starts afresh.
    "begun again in the middle": (SSH, "7000 8000 7000 8000 9000", 0, 1),
    "begun at another door": (
        SSH + door("sequence = 1234,2345", "b"), "7000 8000 1234 2345", 0, 1),
    # TCPFlags = syn means a connection attempt: the scan guard sees every packet that may open a
    # door.
    "syn with ack is no connection attempt": (SSH, "7000+SA 8000+SA 9000+SA", 1, 0),
    "syn with ack is no wrong knock": (SSH, "7000 9000+SA 8000 9000", 0, 1),
    # Sources are independent in success and failure.
    "two sources at once": (SSH, "7000 stranger/7000 8000 stranger/8000 9000 stranger/9000", 1, 2),
}


@pytest.mark.parametrize("scenario", BETTER)
def test_answers_better_than_the_reference(pair, scenario):
    config, moves, theirs, ours = BETTER[scenario]
    pair = pair(config)
    pair.knock(moves)
    pair.settle()
    assert (len(pair.theirs.opened()), len(pair.ours.opened())) == (theirs, ours)
    assert len(pair.ours.events()) == ours + 1


def test_a_retransmission_is_not_a_wrong_knock(pair):
    """Rule 2: the same segment again, even after the next knock."""
    pair = pair(SSH)
    frames = pair.frames()
    for port in (7000, 8000, 9000):
        for _ in range(3):
            frames.tcp(port, source_port=40000 + port, sequence=port)
    pair.settle()
    assert (len(pair.theirs.opened()), len(pair.ours.opened())) == (0, 1)


def test_a_timeout_is_logged_when_it_happens(pair):
    pair = pair(door("sequence = 7000,8000\ntcpflags = syn\nseq_timeout = 1"))
    pair.knock("7000")
    line = rf"{re.escape(pair.network.client.ipv4)}: a: sequence timeout \(stage 1\)"
    pair.ours.daemon.wait_for(line)  # no packet comes
    assert not pair.theirs.daemon.matching(line)


def test_time_is_measured_in_fractions(pair):
    """Two knocks 0.2 s apart with a timeout of 1 s: 0.8 counts changes of the wall clock's
    second."""
    pair = pair(door("sequence = 7000,8000\ntcpflags = syn\nseq_timeout = 1"))
    for part_of_second in (0.9, 0.1):
        wait_until(lambda: abs(time.time() % 1 - part_of_second) < 0.02, "that part of the second")
        pair.knock("7000" if part_of_second == 0.9 else "8000")
    pair.settle()
    assert (len(pair.theirs.opened()), len(pair.ours.opened())) == (0, 1)


def test_the_end_of_an_attempt_leaves_other_attempts_alone(pair):
    """0.8 drops all attempts when the oldest one times out."""
    pair = pair(door("sequence = 7000,8000\ntcpflags = syn\nseq_timeout = 1", "short")
                + door("sequence = 1234,2345,3456\ntcpflags = syn\nseq_timeout = 20", "a"))
    pair.knock("stranger/7000 1234")
    time.sleep(2.1)  # the scenario itself: 0.8 counts whole seconds
    pair.knock("2345 3456")
    pair.settle()
    assert [len(each.opened()) for each in pair.both] == [0, 1]


def test_a_scan_is_not_a_knock(pair):
    """A scan that tries the door's ports in its order opens 0.8."""
    pair = pair(SSH)
    pair.knock("7000 1001 1002 1003 1004 1005 8000 1006 1007 1008 1009 1010 9000")
    pair.settle()
    assert (len(pair.theirs.opened()), len(pair.ours.opened())) == (1, 0)
    assert f"{pair.network.client.ipv4}: a: port scan, knock discarded" in pair.ours.answers()


def test_the_last_one_time_sequence_does_not_end_the_daemon(pair):
    """0.8 crashes after its last sequence."""
    pair = pair(door("one_time_sequences = sequences\ntcpflags = syn", "once")
                + door("sequence = 1234,2345"), {"sequences": " 7000,8000\n"})
    pair.knock("7000 8000")
    for each in pair.both:
        wait_until(lambda: len(each.events()) == 1, "the once-only door opens", each.daemon.report)
    assert pair.theirs.daemon.wait_for_end() == -signal.SIGABRT
    pair.knock("7000 8000 1234 2345")
    pair.ours.daemon.wait_for(r"\S+: a: OPEN SESAME")
    assert len(pair.ours.opened()) == 2


def test_a_faulty_configuration_is_refused_at_reload(pair):
    """0.8 exits, and its doors with it."""
    pair = pair(SSH)
    for each in pair.both:
        each.daemon.config_file.write_text("[options]\nnonsense = 1\n")
        each.daemon.send(signal.SIGHUP)
    assert pair.theirs.daemon.wait_for_end() == 1
    wait_until(lambda: any("nonsense" in line for line in pair.ours.answers()), "the complaint",
               pair.ours.daemon.report)
    pair.knock("7000 8000 9000")
    wait_until(lambda: pair.ours.events(), "the door opens", pair.ours.daemon.report)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_exit_gives_status_0(pair, number):
    pair = pair(SSH)
    for each in pair.both:
        each.daemon.send(number)
    assert [each.daemon.wait_for_end() for each in pair.both] == [number, 0]
    assert [each.answers()[-1] for each in pair.both] == ["shutting down"] * 2


def test_open_doors_are_shut_at_once_at_exit(pair):
    """0.8 waits until Cmd_Timeout is over."""
    pair = pair(door("sequence = 7000\ncmd_timeout = 30\nstart_command = echo start >> events\n"
                     "stop_command = echo stop >> events"))
    pair.knock("7000")
    for each in pair.both:
        wait_until(lambda: each.events(), "the door opens", each.daemon.report)
        each.daemon.send(signal.SIGTERM)
    assert pair.ours.daemon.wait_for_end(timeout=20) == 0
    assert pair.ours.events() == ["start", "stop"]
    assert pair.theirs.daemon.process.poll() is None
    assert pair.theirs.events() == ["start"]


def test_the_command_line_wins_over_the_configuration(server, reference, knockd, tmp_path):
    """-g and LogFile: in 0.8 the configuration wins."""
    wins = []
    for binary in (reference, knockd):
        folder = tmp_path / str(len(wins))
        configured, named = folder / "configured", folder / "named"
        daemon = Daemon(server, binary, folder, f"[options]\nLogFile = {configured}\n" + SSH,
                        "-g", named, own_log=False, listens=False)
        wait_until(lambda: configured.exists() or named.exists(), "a log", daemon.report)
        wins.append("command line" if named.exists() else "configuration")
    assert wins == ["configuration", "command line"]


def test_extension_headers_hide_no_knock(pair):
    """0.8 finds the tcp header only directly after the IPv6 header."""
    pair = pair(SSH)
    frames = pair.frames(family=6)
    for port in (7000, 8000, 9000):
        segment = TCP(sport=40000 + port, dport=port, flags="S")
        frames.send(frames.frame(IPv6ExtHdrDestOpt() / segment))
    pair.settle()
    assert (len(pair.theirs.opened()), len(pair.ours.opened())) == (0, 1)


# Faults that 0.8 accepts silently; ours names the line and exits. The fault is in line 2 of each.
FAULTY = {
    "a port that is a word": door("sequence = abc"),
    "a timeout that is a word": door("seq_timeout = soon\nsequence = 7000"),
    "a port that is none": door("sequence = 7000,0"),
    "a flag wanted and excluded": door("tcpflags = syn,!syn\nsequence = 7000"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_configuration_prevents_the_start(server, reference, knockd, tmp_path, fault):
    theirs = Daemon(server, reference, tmp_path / "theirs", FAULTY[fault])
    ours = Daemon(server, knockd, tmp_path / "ours", FAULTY[fault], listens=False)
    assert ours.wait_for_end() == 1
    assert f"{ours.config_file}:2:" in ours.output()
    assert theirs.process.poll() is None


def test_an_interface_that_does_not_exist_is_waited_for(server, reference, knockd, tmp_path):
    theirs = Daemon(server, reference, tmp_path / "theirs", SSH, interface="none0", listens=False)
    assert theirs.wait_for_end() == 1
    ours = Daemon(server, knockd, tmp_path / "ours", SSH, interface="none0")
    ours.wait_for(r"interface none0 does not exist, waiting for it .*")
    assert ours.process.poll() is None


def test_a_deleted_interface_does_not_end_the_daemon(pair):
    """0.8 ends with status 0, which a service manager treats as success."""
    pair = pair(SSH)
    pair.network.server.run("ip", "link", "delete", "eth0")
    assert pair.theirs.daemon.wait_for_end() == 0
    pair.ours.daemon.wait_for(r"interface eth0 does not exist, waiting for it .*")
    assert pair.ours.daemon.process.poll() is None


def test_a_second_daemon_with_the_same_pid_file_does_not_start(server, reference, knockd, tmp_path):
    """Two of 0.8 both run, and run each command twice."""
    for binary in (reference, knockd):
        folder = tmp_path / ("theirs" if binary == reference else "ours")
        folder.mkdir()
        (folder / "conf").write_text(
            ("" if binary == reference else f"[options]\nControl = none\nStateFile = {folder}/open-doors\n") + SSH)
        (folder / "conf").chmod(0o600)
        start = [binary, "-d", "-c", folder / "conf", "-i", "eth0", "-g", folder / "log",
                 "-p", folder / "pid"]
        server.run(*start)
        # 0.8 returns before it has written the file.
        wait_until(lambda: (folder / "pid").exists() and (folder / "pid").read_text().strip(),
                   "the pid file")
        second = server.run(*start, check=False)
        assert second.returncode == (0 if binary == reference else 1)
        if binary == knockd:
            assert "already running (pid " in second.stdout
