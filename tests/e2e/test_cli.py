# SPDX-License-Identifier: MIT
"""The command line and the whole run of the daemon: options, exit statuses, messages about missing
files and privileges, the background, signals, required privileges."""

import contextlib
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

import senders
from daemon import Daemon
from network import OWN_MOUNTS
from waiting import repeat_until, wait_until

TREE = pathlib.Path(__file__).resolve().parents[2]
DOOR = "[a]\nsequence = 7000,8000,9000\ntcpflags = syn\ncommand = {command}\n"
# Seconds, less than what hangs takes. Two are promised; a busy machine may need more.
LEAVES_WITHIN = 15


# Configurations without a StateFile must not find the doors of this machine.
OWN_STATE = [*OWN_MOUNTS, "sh", "-c", 'mkdir -p /var/lib/knockd && mount -t tmpfs none /var/lib/knockd && exec "$@"',
             "sh"]


@pytest.fixture
def say(server, knockd, tmp_path):
    """say(*arguments) runs the daemon to its end: status, standard output, standard error."""

    def run_to_end(*arguments, prefix=(), text=""):
        return subprocess.run(server.argv(*OWN_STATE, *prefix, knockd, *arguments), input=text,
                              capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)

    return run_to_end


@pytest.fixture
def config_file(tmp_path):
    """config_file(text) writes a configuration and returns its path."""

    def write(text, folder=tmp_path, name="k.conf"):
        path = folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def background(server, say, tmp_path):
    """background(*arguments) starts the daemon with -d and this pid file."""
    pid_file = tmp_path / "pid"

    def start_with_d(*arguments, **options):
        done = say("-d", "-p", pid_file, *arguments, **options)
        done.pid_file = pid_file
        return done

    return start_with_d


def one_line(text):
    lines = text.splitlines()
    assert len(lines) == 1, f"not one clear line:\n{text}"
    return lines[0]


def as_user(uid, *capabilities):
    """The command line that changes from root to this user with only these capabilities."""
    caps = "".join(f",+{name}" for name in capabilities)
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
            f"--inh-caps=-all{caps}", f"--ambient-caps=-all{caps}", f"--bounding-set=-all{caps}"]


# --- short answers

OPTIONS = ["interface", "daemon", "config", "debug", "verbose", "lookup", "pidfile", "logfile",
           "only-ip-v4", "version", "help", "test", "read"]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_every_option(say, option):
    done = say(option)
    assert done.returncode == 0
    assert "usage" in done.stdout.lower()
    for name in OPTIONS:
        assert re.search(rf"-\w, --{name}\b", done.stdout), name


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version_is_the_first_line(say, option):
    done = say(option)
    assert done.returncode == 0
    assert re.fullmatch(r"knockd \d+\.\d+\.\d+", done.stdout.splitlines()[0])


@pytest.mark.parametrize("arguments", [["-x"], ["--nonsense"], ["-c"], ["word"]])
def test_unknown_arguments_get_the_usage(say, arguments):
    done = say(*arguments)
    assert done.returncode == 1
    first, usage = done.stderr.splitlines()
    assert first.startswith("knockd: ") and arguments[0] in first
    assert usage == "usage: knockd [options]; try knockd --help"
    assert done.stdout == ""


def test_a_mistyped_option_gets_a_suggestion(say):
    done = say("--confg", "k.conf")
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "knockd: unknown option --confg (did you mean --config?)"


def test_a_good_configuration_is_ok(say, config_file):
    done = say("-t", "-c", config_file(DOOR.format(command="true")))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "configuration OK")


def test_warnings_do_not_change_the_status(say, config_file):
    path = config_file("[a]\nsequence = 7000,7001,7002\ncommand = true\n")
    done = say("-t", "-c", path)
    assert done.returncode == 0
    assert f"{path}:2:" in done.stdout + done.stderr


APPENDS = DOOR.format(command="{tool} -A INPUT -s %IP% -p tcp --dport 22 -j ACCEPT") + (
    "stop_command = {tool} -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n")


@pytest.mark.parametrize("tool", ["iptables", "/usr/sbin/iptables", "ip6tables", "iptables-legacy"])
def test_a_rule_appended_after_a_drop_gives_a_warning(server, say, config_file, tool):
    """-t reads the current rules from the real iptables."""
    path = config_file(APPENDS.format(tool=tool).replace("7000,8000,9000", "7421,3096,5518"))
    warning = "Start_Command appends a rule to INPUT behind one that drops"
    assert warning not in say("-t", "-c", path).stdout
    server.run(tool, "-P", "INPUT", "DROP")
    server.run(tool, "-A", "INPUT", "-p", "tcp", "--dport", "25", "-j", "DROP")
    before = server.run(tool, "-S").stdout
    assert warning not in say("-t", "-c", path).stdout
    server.run(tool, "-A", "INPUT", "-i", "eth0", "-p", "tcp", "--dport", "22", "-j", "REJECT")
    done = say("-t", "-c", path)
    assert f"{path}:4:1: warning: {warning}" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")
    assert before in server.run(tool, "-S").stdout, "-t only reads"


def test_knockd_firewall_without_a_firewall_gives_a_warning(say, config_file, tmp_path):
    helper = tmp_path / "knockd-firewall"
    helper.symlink_to(TREE / "src/firewall/knockd-firewall")
    path = config_file(DOOR.format(command="knockd-firewall open-port a %IP% 22"))
    warning = "Start_Command: knockd-firewall has no firewall to use here"
    assert warning not in say("-t", "-c", path).stdout
    assert warning in say("-t", "-c", path, prefix=["env", f"PATH={tmp_path}"]).stdout


def test_an_exhausted_one_time_list_is_a_warning(say, config_file, tmp_path):
    (tmp_path / "used").write_text("#7000,8000,9000\n")
    path = config_file(f"[a]\nOne_Time_Sequences = {tmp_path}/used\ncommand = true\n")
    done = say("-t", "-c", path)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "configuration OK"), done.stderr
    assert f"{path}:2:22: warning: one-time file \"{tmp_path}/used\" is exhausted" in done.stdout


def test_every_error_is_named(say, config_file):
    path = config_file("[a]\nsequence = abc\nnonsense = 1\n[b]\ncommand = true\n")
    for arguments in (["-t"], ["-i", "eth0"]):
        done = say(*arguments, "-c", path)
        assert done.returncode == 1
        for place in ("2:", "3:", "4:"):
            assert f"{path}:{place}" in done.stderr
        assert "configuration OK" not in done.stdout


def test_each_finding_shows_its_line(say, config_file, tmp_path):
    """After the lines that a daemon prints at its start, and only with -t."""
    path = config_file("[a]\nsequence = 7421/tcp,3096\n\ttcp flags = syn\n")
    errors = [f'{path}:2:12: port "7421/tcp": expected a number from 1 to 65535',
              f'{path}:3:2: unknown directive "tcp flags": did you mean TCPFlags?']
    done = say("-t", "-c", path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        errors[0], "    sequence = 7421/tcp,3096", "               ^",
        "    write: sequence = 7421:tcp,3096",
        errors[1], "    \ttcp flags = syn", "    \t^", "    write: TCPFlags = syn"]
    assert say("-i", "eth0", "-c", path).stderr.splitlines() == errors


def test_a_finding_shows_its_line_of_a_pipe_and_of_an_included_file(say, tmp_path):
    """A pipe can be read only once. A line of the included file is not one of the main file."""
    included = tmp_path / "doors.conf"
    included.write_text("# Our doors.\n\n[a]\nsequence = 7421,3096,5518\nTCPFlag = syn\n")
    text = f"[options]\ninclude = {included}\nlogfile = \"/var/log/knockd.log\"\nspeed = 1\n"
    done = say("-t", "-c", "/dev/stdin", text=text)
    assert done.stderr.splitlines() == [
        '/dev/stdin:4:1: unknown directive "speed": expected "Key = value", [NAME] or a comment',
        "    speed = 1", "    ^",
        f'{included}:5:1: unknown directive "TCPFlag": did you mean TCPFlags?',
        "    TCPFlag = syn", "    ^", "    write: TCPFlags = syn"]


# --- what is missing is named in one line

def test_missing_configuration(say, tmp_path):
    done = say("-i", "eth0", "-c", tmp_path / "none.conf")
    assert done.returncode == 1
    assert str(tmp_path / "none.conf") in one_line(done.stderr)


def test_unreadable_configuration(say, config_file, public_folder, knockd):
    shutil.copy(knockd, public_folder / "knockd")
    path = config_file(DOOR.format(command="true"), public_folder)
    done = subprocess.run([*as_user(65534), public_folder / "knockd", "-t", "-c", path],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert str(path) in line and "Permission denied" in line


def test_an_unwritable_log_is_named_and_doors_still_open(background, config_file, ledger, client,
                                                         server, tmp_path):
    log = tmp_path / "none" / "log"
    path = config_file(DOOR.format(command=ledger.command("opened"))
                       + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    done = background("-i", "eth0", "-c", path, "-g", log)
    assert done.returncode == 0
    assert str(log) in one_line(done.stderr)
    senders.with_knock(client, server.ipv4, "7000,8000,9000")
    ledger.wait_for(f"opened {client.ipv4}")


@pytest.mark.parametrize("options", [[], ["-d"]])
def test_missing_rights(say, server, config_file, public_folder, knockd, options):
    shutil.copy(knockd, public_folder / "knockd")
    path = config_file(DOOR.format(command="true") + "[options]\nControl = none\nStateFile = none\n", public_folder)
    path.chmod(0o644)
    done = subprocess.run(
        server.argv(*as_user(65534), public_folder / "knockd", "-i", "eth0", "-c", path, *options,
                    "-p", public_folder / "pid"),
        capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert re.search("cap_net_raw|root", one_line(done.stderr), re.IGNORECASE)


# --- in the background

def stop_by_pid_file(pid_file):
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the daemon leaves")


def test_d_returns_when_it_listens(background, config_file, server, client, ledger, tmp_path):
    path = config_file(DOOR.format(command=ledger.command("opened"))
                       + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    done = background("-i", "eth0", "-c", path, "-g", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert "starting up, listening on eth0" in (tmp_path / "log").read_text()
    senders.with_knock(client, server.ipv4, "7000,8000,9000")  # at once
    ledger.wait_for(f"opened {client.ipv4}")
    pid = int(done.pid_file.read_text())
    assert os.getsid(pid) == pid
    stop_by_pid_file(done.pid_file)
    assert not done.pid_file.exists()
    wait_until(lambda: not server.processes(), "no process is left")


def test_d_keeps_no_folder_or_file_of_its_caller(background, config_file, server, tmp_path):
    """It keeps neither the folder that it was started in nor a file that the caller has open."""
    path = config_file(DOOR.format(command="true") + "[options]\nControl = none\nStateFile = none\n")
    held = tmp_path / "held"
    held.touch()
    done = background("-i", "eth0", "-c", path, prefix=["sh", "-c", f'exec "$@" 8<{held}', "sh"])
    assert done.returncode == 0, done.stderr
    assert len(server.processes()) == 2, "a keeper and a listener"
    for pid in server.processes():
        assert os.path.samefile(f"/proc/{pid}/cwd", "/")
        open_files = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        assert str(held) not in open_files
    stop_by_pid_file(done.pid_file)


def test_relative_paths_hold_in_the_background(background, config_file, server, client, tmp_path):
    (tmp_path / "ones").write_text(" 7000,8000,9000\n 7100,8100,9100\n")
    config_file("[options]\nLogFile = log\nStateFile = state\n"
                "[a]\nOne_Time_Sequences = ones\ncommand = true\n")
    done = background("-i", "eth0", "-c", "k.conf")
    assert done.returncode == 0, done.stderr
    os.kill(int(done.pid_file.read_text()), signal.SIGHUP)
    log = tmp_path / "log"
    wait_until(lambda: "re-opening log file" in log.read_text(), "the reload", log.read_text)
    senders.with_knock(client, server.ipv4, "7000,8000,9000")
    wait_until(lambda: (tmp_path / "ones").read_text().startswith("#"), "the mark", log.read_text)


def test_d_reports_its_failure_to_the_caller(background, config_file):
    done = background("-i", "eth0", "-c", config_file("[a]\nsequence = abc\n"))
    assert done.returncode == 1
    assert "k.conf:2:" in done.stderr
    assert not done.pid_file.exists()


def test_a_second_daemon_names_the_pid_of_the_first(background, config_file, tmp_path):
    path = config_file(DOOR.format(command="true") + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    first = background("-i", "eth0", "-c", path, "-g", tmp_path / "log")
    pid = first.pid_file.read_text().strip()
    second = background("-i", "eth0", "-c", path, "-g", tmp_path / "log")
    assert second.returncode == 1
    assert f"already running (pid {pid})" in one_line(second.stderr)
    assert second.pid_file.read_text().strip() == pid
    stop_by_pid_file(first.pid_file)
    third = background("-i", "eth0", "-c", path, "-g", tmp_path / "log")
    assert third.returncode == 0
    stop_by_pid_file(third.pid_file)


def test_the_process_in_the_pid_file_handles_signals(server, knockd, config_file, tmp_path):
    """The case of log rotation while the daemon starts. With -l it has most to do before it
    listens."""
    path = config_file(DOOR.format(command="true") + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    pid_file = tmp_path / "pid"
    for _ in range(8):
        starting = server.start(knockd, "-d", "-l", "-i", "eth0", "-c", path, "-p", pid_file,
                                "-g", tmp_path / "log")
        end = time.monotonic() + 10
        while not (pid_file.exists() and pid_file.read_text()):  # no pause: it is a race
            assert time.monotonic() < end, "no pid file within 10 s"
        os.kill(int(pid_file.read_text()), signal.SIGHUP)
        assert starting.wait(10) == 0
        stop_by_pid_file(pid_file)


def test_a_stale_pid_file_is_no_obstacle(background, config_file, tmp_path):
    (tmp_path / "pid").write_text("4194000\n")
    path = config_file(DOOR.format(command="true") + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    done = background("-i", "eth0", "-c", path, "-g", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert done.pid_file.read_text().strip() != "4194000"
    stop_by_pid_file(done.pid_file)


def test_an_unwritable_pid_file_is_a_warning(say, server, config_file, tmp_path):
    path = config_file(DOOR.format(command="true") + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    pid_file = tmp_path / "none" / "pid"
    done = say("-d", "-p", pid_file, "-i", "eth0", "-c", path, "-g", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    assert str(pid_file) in done.stderr + (tmp_path / "log").read_text()
    assert server.processes()


def test_a_container_needs_only_net_raw(server, client, knockd, public_folder):
    """The setup of game server images: not root, one capability, only /tmp writable."""
    shutil.copy(knockd, public_folder / "knockd")
    ledger = public_folder / "ledger"
    ledger.touch()
    ledger.chmod(0o666)
    config = public_folder / "k.conf"
    config.write_text(f"[options]\n  logfile = /dev/null\n[unpause]\n  sequence = 25565\n"
                      f"  seq_timeout = 1\n  command = echo woken by %IP% >> {ledger}\n"
                      f"  tcpflags = syn\n")
    done = server.run(*as_user(1000, "net_raw"), public_folder / "knockd", "-c", config, "-d",
                      "-i", "eth0", check=False)
    assert done.returncode == 0, done.stdout
    senders.with_connect(client, server.ipv4, "25565")
    wait_until(lambda: ledger.read_text() == f"woken by {client.ipv4}\n", "the command",
               ledger.read_text)


def test_a_service_manager_is_notified_when_it_listens(server, knockd, ledger, frames, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        daemon = Daemon(server, knockd, tmp_path / "run",
                        DOOR.format(command=f"echo ${{NOTIFY_SOCKET-unset}} >> {ledger.path}"),
                        prefix=["env", f"NOTIFY_SOCKET={tmp_path}/notify"], listens=False)
        assert manager.recv(100) == b"READY=1"
        assert daemon.matching("starting up, listening on eth0")
        frames.knock("7000,8000,9000")
        ledger.wait_for("unset")


# --- in a terminal

class Terminal:
    """A terminal for a program, and what was printed there."""

    def __init__(self):
        self._master, self.slave = pty.openpty()
        os.set_blocking(self._master, False)
        self._text = ""

    def close(self):
        os.close(self._master)
        os.close(self.slave)

    def text(self):
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._master, 4096):
                self._text += part.decode()
        return self._text.replace("\r\n", "\n")

    def wait_for(self, text):
        wait_until(lambda: self.text() == text, f"{text!r} on the terminal", self.text)


@pytest.fixture
def terminal():
    with contextlib.closing(Terminal()) as made:
        yield made


@pytest.fixture
def run_quietly(server, knockd, config_file, tmp_path):
    """run_quietly(doors, *arguments) starts the daemon without a log, and waits until it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)

        def start_quietly(config, *arguments, **streams):
            path = config_file(config + "[options]\nControl = none\nStateFile = none\n")
            process = server.start("env", f"NOTIFY_SOCKET={tmp_path}/notify", knockd, "-c", path,
                                   "-i", "eth0", *arguments, **streams)
            assert manager.recv(100) == b"READY=1"
            return process

        yield start_quietly


DOORS = DOOR.format(command="true") + DOOR.format(command="true").replace("[a]", "[b]")


@pytest.mark.parametrize("config, arguments, said", [
    (DOORS, [], "knockd: listening on eth0, 2 doors; no log is configured (try -v)\n"),
    (DOOR.format(command="true"), ["-i", "lo"],
     "knockd: listening on eth0, lo, 1 door; no log is configured (try -v)\n"),
    ("", [], "knockd: warning: listening on eth0, no doors; no log is configured (try -v)\n"),
    ("", ["-g", "/dev/null"], "knockd: warning: listening on eth0, no doors\n"),
    (DOORS, ["-g", "/dev/null"], ""),
], ids=["doors", "door", "none", "none-log", "log"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_terminal_shows_the_state_when_no_log_is_configured(run_quietly, terminal, config,
                                                              arguments, said, stream):
    """A daemon without any output looks hung."""
    other = {"stdout": "stderr", "stderr": "stdout"}[stream]
    daemon = run_quietly(config, *arguments, **{stream: terminal.slave, other: subprocess.PIPE})
    terminal.wait_for(said)
    daemon.terminate()
    assert daemon.communicate(timeout=10) == ((None, b"") if stream == "stdout" else (b"", None))
    assert terminal.text() == said


def test_v_in_a_terminal_prints_only_the_log(run_quietly, terminal):
    daemon = run_quietly(DOORS, "-v", stdout=terminal.slave, stderr=terminal.slave)
    daemon.terminate()
    assert daemon.wait(10) == 0
    lines = terminal.text().splitlines()
    assert lines == ["starting up, listening on eth0", "shutting down"]


def test_nothing_is_printed_without_a_terminal(run_quietly):
    for config in (DOORS, ""):
        daemon = run_quietly(config, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        daemon.terminate()
        assert daemon.communicate(timeout=10) == (b"", b"")


# --- options of a running daemon

def test_v_prints_the_log_lines_on_stdout(start, server, client):
    daemon = start(DOOR.format(command="true"))
    senders.with_knock(client, server.ipv4, "7000,8000,9000")
    daemon.wait_for(r"\S+: a: OPEN SESAME")
    wait_until(lambda: set(daemon.lines()) <= set(daemon.output().splitlines()),
               "all lines of the log on stdout", daemon.report)


def test_debug_prints_the_configuration_and_each_packet(start, frames, client):
    daemon = start(DOOR.format(command="true"), "-D")
    read = daemon.output()
    for word in ("7000", "8000", "9000", "syn,!ack"):  # the meaning of "syn"
        assert word in read.lower()
    frames.tcp(7000)
    daemon.wait_for(r"\S+: a: Stage 1")
    frames.tcp(9000)  # not yet
    wait_until(lambda: re.search(rf"{re.escape(client.ipv4)}.*9000.*", daemon.output()[len(read):]),
               "a word on each packet", daemon.report)
    frames.tcp(8000, flags="A")  # not with these flags
    wait_until(lambda: "8000 54 bytes, ack: a door has this port, but not with these tcp flags"
               in daemon.output(), "a word on flags", daemon.report)
    assert daemon.process.poll() is None


def test_save_mem_is_accepted(start):
    assert start(DOOR.format(command="true"), "-s").stop() == 0


def test_only_ip_v4(start, ledger, server, client):
    daemon = start(DOOR.format(command=ledger.command("opened")), "-4")
    senders.with_knock(client, server.ipv6, "7000,8000,9000")
    senders.with_knock(client, server.ipv4, "7000,8000,9000")
    ledger.wait_for(f"opened {client.ipv4}")
    assert not daemon.matching(rf"{client.ipv6}: .*")


@pytest.mark.parametrize("choice, said", [
    (["-i", "eth0", "-i", "lo"], "eth0, lo"),
    (["-i", "eth0,lo"], "eth0, lo"),
    (["-i", "any"], "any")])
def test_several_interfaces(start, ledger, server, client, choice, said):
    daemon = start(DOOR.format(command=ledger.command("opened")), *choice, interface=None)
    daemon.wait_for(f"starting up, listening on {said}")
    senders.with_knock(client, server.ipv4, "7000,8000,9000")
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    senders.with_knock(server, "127.0.0.1", "7000,8000,9000")
    ledger.wait_for("opened 127.0.0.1", also_found=daemon.report)


def test_interface_of_the_configuration(start, ledger, server, client):
    daemon = start("[options]\nInterface = eth0\n" + DOOR.format(command=ledger.command("opened")),
                   interface=None)
    daemon.wait_for("starting up, listening on eth0")


def test_the_command_lines_interface_wins(start):
    daemon = start("[options]\nInterface = lo\n" + DOOR.format(command="true"))
    daemon.wait_for("starting up, listening on eth0")


def rename_eth0(server, name):
    server.run("ip", "link", "set", "eth0", "down")
    server.run("ip", "link", "set", "eth0", "name", name)
    server.run("ip", "link", "set", name, "up")


def test_eth0_is_the_default_interface(start):
    start(DOOR.format(command="true"), interface=None).wait_for("starting up, listening on eth0")


def test_without_eth0_it_listens_at_the_default_route(start, server, client):
    rename_eth0(server, "wan0")
    server.run("ip", "route", "add", "default", "via", client.ipv4)
    start(DOOR.format(command="true"), interface=None).wait_for("starting up, listening on wan0")


def test_an_interface_that_does_not_exist_is_waited_for(start, ledger, server, client):
    daemon = start(DOOR.format(command=ledger.command("opened")), interface="late0", listens=False)
    daemon.wait_for(r".*late0.*eth0.*")
    assert daemon.process.poll() is None
    rename_eth0(server, "late0")
    daemon.wait_for("starting up, listening on late0")
    repeat_until(lambda: senders.with_knock(client, server.ipv4, "7000,8000,9000"), ledger.lines,
                 "a knock at the new interface", daemon.report)
    assert len(daemon.matching(r".*late0.*eth0.*")) == 1


def test_d_returns_when_it_waits_for_an_interface(background, config_file, tmp_path):
    path = config_file(DOOR.format(command="true") + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    done = background("-i", "late0", "-c", path, "-g", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    stop_by_pid_file(done.pid_file)


# --- names in the log

def with_file(ours, theirs):
    """The prefix that replaces one file by another for this daemon only."""
    return [*OWN_MOUNTS, "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', ours, theirs]


def dropped(host):
    """The packet count of the last rule of a host's firewall."""
    return int(host.run("iptables", "-nvxL", "INPUT").stdout.splitlines()[-1].split()[0])


def test_a_name_is_looked_up_for_the_log(start, server, client, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{client.ipv4} knocker.example\n")
    daemon = start(DOOR.format(command="true"), "-l", prefix=with_file(hosts, "/etc/hosts"))
    repeat_until(
        lambda: senders.with_knock(client, server.ipv4, "7000,8000,9000"),
        lambda: daemon.matching(rf"{client.ipv4} \(knocker\.example\): a: OPEN SESAME"),
        "the name in the log", daemon.report)


def test_a_hostile_name_is_stripped(start, server, client, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{client.ipv4} evil$(id);`id`|\x1b[2J%s.example\n")
    daemon = start(DOOR.format(command="true"), "-l", prefix=with_file(hosts, "/etc/hosts"))
    line = repeat_until(
        lambda: senders.with_knock(client, server.ipv4, "7000,8000,9000"),
        lambda: daemon.matching(rf"{client.ipv4} \(.*\): a: OPEN SESAME"),
        "the name in the log", daemon.report)[0]
    assert re.fullmatch(rf"{client.ipv4} \([A-Za-z0-9._-]+\): a: OPEN SESAME", line)


def test_a_hung_lookup_delays_no_knock(start, ledger, server, client, tmp_path):
    resolver = tmp_path / "resolv.conf"
    resolver.write_text(f"nameserver {client.ipv4}\noptions timeout:30 attempts:1\n")
    client.run("iptables", "-A", "INPUT", "-p", "udp", "--dport", "53", "-j", "DROP")
    daemon = start(DOOR.format(command=ledger.command("opened")), "-l",
                   prefix=with_file(resolver, "/etc/resolv.conf"))
    for count in range(1, 4):
        senders.with_knock(client, server.ipv4, "7000,8000,9000")
        ledger.wait_for(f"opened {client.ipv4}", count, also_found=daemon.report)
    wait_until(lambda: dropped(client) > 0, "a query that nobody answers", daemon.report)
    assert daemon.stop(timeout=LEAVES_WITHIN) == 0


# --- signals

@pytest.mark.parametrize("inherited", ["--ignore-signal=CHLD", "--ignore-signal",
                                       "--block-signal"])
def test_inherited_signal_settings_have_no_effect(start, ledger, frames, client, inherited):
    """Some supervisors ignore SIGCHLD, and their programs inherit that: the end of a command would
    never be noticed."""
    daemon = start(f"[a]\nsequence = 7000\ncmd_timeout = 1\nstart_command = exit 3\n"
                   f"stop_command = {ledger.command('stop')}\n", prefix=["env", inherited])
    frames.tcp(7000)
    daemon.wait_for(r"a: command returned non-zero status code \(3\)")
    ledger.wait_for(f"stop {client.ipv4}", also_found=daemon.report)
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exit_status_is_0(start, number):
    daemon = start(DOOR.format(command="true"))
    daemon.send(number)
    assert daemon.wait_for_end() == 0
    assert daemon.lines()[-1] == "shutting down"


def test_sighup_reads_the_configuration_again(start, ledger, server, client):
    daemon = start(DOOR.format(command=ledger.command("old")))
    text = daemon.config_file.read_text()
    daemon.config_file.write_text(text.replace("old", "new").replace("7000,8000", "7001,8001"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(f"re-reading config file: {daemon.config_file}")
    daemon.wait_for(f"re-opening log file: {daemon.log_file}")
    repeat_until(lambda: senders.with_knock(client, server.ipv4, "7001,8001,9000"), ledger.lines,
                 "the new door opens", daemon.report)
    assert set(ledger.lines()) == {f"new {client.ipv4}"}


def test_a_reload_may_bring_more_doors(start, ledger, server, client):
    daemon = start(DOOR.format(command=ledger.command("first")))
    more = "".join(f"[more{number}]\nsequence = {7000 + number},8001,9001\n"
                   f"command = {ledger.command(f'more{number}')}\n" for number in range(1, 40))
    daemon.config_file.write_text(daemon.config_file.read_text() + more)
    daemon.send(signal.SIGHUP)
    daemon.wait_for(f"re-opening log file: {daemon.log_file}")
    repeat_until(lambda: senders.with_knock(client, server.ipv4, "7039,8001,9001"), ledger.lines,
                 "the last of the new doors opens", daemon.report)
    assert set(ledger.lines()) == {f"more39 {client.ipv4}"}


def test_a_faulty_configuration_leaves_the_old_one_in_force(start, ledger, server, client):
    daemon = start(DOOR.format(command=ledger.command("opened")))
    daemon.config_file.write_text("[a]\nsequence = abc\n[b]\nnonsense = 1\n")
    daemon.send(signal.SIGHUP)
    for place in ("2:", "4:"):
        daemon.wait_for(rf".*{re.escape(str(daemon.config_file))}:{place}.*")
    repeat_until(lambda: senders.with_knock(client, server.ipv4, "7000,8000,9000"), ledger.lines,
                 "the door opens", daemon.report)


def test_sighup_disturbs_no_knock_at_unchanged_doors(start, server, frames):
    """Log files are rotated while people knock. The names and commands of doors may change."""
    daemon = start(DOOR.format(command="true"))
    listening = set(server.processes())
    frames.tcp(7000)
    daemon.wait_for(r"\S+: a: Stage 1")
    daemon.config_file.write_text(daemon.config_file.read_text().replace("[a]", "[b]"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-opening log file: .*")
    frames.tcp(8000)
    frames.tcp(9000)
    daemon.wait_for(r"\S+: b: OPEN SESAME")
    assert listening <= set(server.processes())


def test_sighup_keeps_open_doors(start, ledger, frames, client):
    daemon = start(f"[a]\nsequence = 7000\ncmd_timeout = 600\nstart_command = true\n"
                   f"stop_command = {ledger.command('stop of the first day')}\n")
    frames.tcp(7000)
    daemon.wait_for("a: running command: true")
    daemon.config_file.write_text(daemon.config_file.read_text().replace("first", "second"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-opening log file: .*")
    assert daemon.stop() == 0
    assert ledger.lines() == [f"stop of the first day {client.ipv4}"]


def test_the_log_continues_in_a_new_file(start, frames):
    daemon = start(DOOR.format(command="true"))
    daemon.log_file.rename(daemon.log_file.with_suffix(".1"))
    daemon.send(signal.SIGHUP)
    wait_until(daemon.log_file.exists, "a new log file", daemon.report)
    repeat_until(lambda: frames.knock("7000,8000,9000"),
                 lambda: daemon.matching(r"\S+: a: OPEN SESAME"), "a line", daemon.report)


def test_sigusr1_logs_a_summary(start, frames):
    daemon = start(DOOR.format(command="true"))
    frames.knock("7000,8000,9000")
    daemon.wait_for(r"a: running command: true")
    before = len(daemon.lines())
    daemon.send(signal.SIGUSR1)
    wait_until(lambda: len(daemon.lines()) > before, "a summary", daemon.report)
    assert daemon.process.poll() is None
    assert daemon.stop() == 0


# --- replay

def test_an_unreadable_capture_is_status_1(say, config_file, tmp_path):
    done = say("-c", config_file(DOOR.format(command="true")), "-r", tmp_path / "none.pcap")
    assert done.returncode == 1
    assert "none.pcap" in one_line(done.stderr)


def test_what_was_captured_can_be_replayed(say, config_file, frames, server, client, tmp_path):
    """How a user finds out why a knock failed."""
    packets = [frames.frame(TCP(sport=40000, dport=port, seq=port, flags="S"))
               for port in (7000, 8000, 9000)]
    for second, packet in enumerate(packets):
        packet.time = 1700000000 + second
    wrpcap(str(tmp_path / "knock.pcap"), packets)
    done = say("-c", config_file(DOOR.format(command="touch %IP%")), "-r", tmp_path / "knock.pcap")
    assert done.returncode == 0, done.stderr
    lines = [re.sub(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\] ", "", line)
             for line in done.stdout.splitlines()]
    assert lines == [f"{client.ipv4}: a: Stage 1", f"{client.ipv4}: a: Stage 2",
                     f"{client.ipv4}: a: Stage 3", f"{client.ipv4}: a: OPEN SESAME",
                     f"a: would run: touch {client.ipv4}"]
    assert not (tmp_path / client.ipv4).exists()


@pytest.mark.parametrize("options", [["-t"], ["-r", "knock.pcap", "-D"], ["-h"], ["-V"]])
def test_what_cannot_be_printed_is_no_success(say, config_file, frames, tmp_path, options):
    wrpcap(str(tmp_path / "knock.pcap"), [frames.frame(TCP(dport=7000, flags="S"))])
    done = say("-c", config_file(DOOR.format(command="true")), *options,
               prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])
    assert (done.returncode, done.stderr) == (1, "knockd: the output cannot be written\n")


SUMMARY_DOORS = """[ssh]
    sequence = 7421,3096:udp,5518
    seq_timeout = 5
    tcpflags = syn
    target = 198.51.100.1
    command = true
[web]
    sequence = 2290,8461,6037
    tcpflags = syn
    command = true
"""


def test_a_replay_reports_why_each_source_failed(say, config_file, tmp_path):
    """Sorted by the stage they reached; only with -D."""
    packets = []

    def knock(source, *knocks, to="198.51.100.1", flags="S"):
        """Each knock is (seconds, port)."""
        for second, port in knocks:
            sport = 40000 + len(packets)
            layer = UDP(sport=sport, dport=port) if port == 3096 else TCP(
                sport=sport, dport=port, seq=sport, flags=flags)
            packet = Ether() / IP(src=source, dst=to) / layer
            packet.time = 1700000000 + second
            packets.append(packet)

    knock("192.0.2.1", (0, 7421), (1, 3096), (2, 5518))
    knock("192.0.2.2", (0, 7421), (1, 3096), (6.3, 5518))
    knock("192.0.2.3", (0.1, 7421), (1, 5518), (2, 3096))
    knock("192.0.2.4", (0, 7421), (1, 3096), to="198.51.100.9")
    knock("192.0.2.5", (0.2, 7421), (1, 3096), flags="SA")
    knock("192.0.2.6", (0.3, 7421), (1.1, 3096))
    capture = tmp_path / "knock.pcap"
    wrpcap(str(capture), sorted(packets, key=lambda packet: packet.time))
    arguments = ["-c", config_file(SUMMARY_DOORS), "-r", capture]
    done = say(*arguments, "-D")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if not line.startswith("[")] == [
        "summary: 192.0.2.1: ssh: opened",
        "summary: 192.0.2.2: ssh: 2 of 3 knocks: knock 3 (5518) came 1.3 s too late, "
        "Seq_Timeout is 5 s",
        "summary: 192.0.2.6: ssh: 2 of 3 knocks: knock 3 (5518) was not seen",
        "summary: 192.0.2.3: ssh: 1 of 3 knocks: wrong order at knock 2: expected 3096:udp, "
        "came 5518",
        "summary: 192.0.2.4: ssh: 0 of 3 knocks: knock 1 (7421) went to 198.51.100.9, Target is "
        "198.51.100.1",
        "summary: 192.0.2.5: ssh: 0 of 3 knocks: knock 1 (7421) came with syn,ack, TCPFlags is "
        "syn,!ack",
        "summary: web: no packet to its ports was seen"]
    assert "summary" not in say(*arguments).stdout
