# SPDX-License-Identifier: MIT
"""The environment of a door's commands, when they run, and what is logged about them."""

import os
import re
import signal

import pytest

from waiting import repeat_until, wait_until


# glibc reserves 32 and 33; its posix_spawn (2.36) leaves them ignored.
LIBC_SIGNALS = 1 << 31 | 1 << 32


def door(*directives, name="a"):
    return "\n".join([f"[{name}]", "sequence = 7000", *directives, ""])


def names_of(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


@pytest.fixture
def knocked(start, frames):
    """knocked(configuration) starts the daemon and knocks once at port 7000."""

    def start_and_knock(config):
        daemon = start(config)
        frames.tcp(7000)
        return daemon

    return start_and_knock


def result_of(path, daemon):
    """A command's output: it writes to a temporary file and renames it when complete."""
    wait_until(path.exists, f"{path.name} is written", daemon.report)
    return path.read_text()


def into(path, command):
    return f"{{ {command}; }} > {path}.part && mv {path}.part {path}"


def test_the_environment_of_a_command_names_the_knocker(knocked, tmp_path, client):
    start_file, stop_file = tmp_path / "start", tmp_path / "stop"
    daemon = knocked(door(f"start_command = {into(start_file, 'env')}", "cmd_timeout = 0",
                          f"stop_command = {into(stop_file, 'env')}"))
    for event, path in (("start", start_file), ("stop", stop_file)):
        environment = names_of(result_of(path, daemon))
        told = {"KNOCKD_IP": client.ipv4, "KNOCKD_DOOR": "a", "KNOCKD_INTERFACE": "eth0",
                "KNOCKD_EVENT": event}
        assert told.items() <= environment.items()
        assert environment["PATH"]


def test_a_command_inherits_nothing(knocked, tmp_path):
    """Only the standard descriptors, empty standard input, a new session, all signals at their
    defaults."""
    found = tmp_path / "found"
    # The shell prints its own state, because it blocks signals while it starts another program.
    daemon = knocked(door("command = " + into(
        found, "ls -l /proc/$$/fd; cat /proc/$$/stat;"
               " while read line; do echo $line; done < /proc/$$/status")))
    found = result_of(found, daemon)
    descriptors = dict(re.findall(r" (\d+) -> (.*)", found))
    assert set(descriptors) - {"10"} == {"0", "1", "2"}, "10 is the shell's own"
    assert descriptors["0"] == "/dev/null"
    pid, session = re.search(r"^(\d+) \(sh\) \S+ \d+ \d+ (\d+)", found, re.MULTILINE).groups()
    assert session == pid
    for blocked_or_ignored in re.findall(r"Sig(?:Blk|Ign):\s*(\w+)", found):
        assert int(blocked_or_ignored, 16) & ~LIBC_SIGNALS == 0


def test_the_line_is_in_the_log_before_the_command_runs(start, frames, tmp_path):
    seen = tmp_path / "seen"
    command = into(seen, "grep -c 'a: running command' knockd.log")
    daemon = start(door(f"command = {command}"))
    frames.tcp(7000)
    assert result_of(seen, daemon) == "1\n"


def test_the_status_of_a_failing_command_is_logged(knocked):
    daemon = knocked(door("command = exit 3"))
    daemon.wait_for(re.escape("a: command returned non-zero status code (3)"))


def test_the_signal_that_killed_a_command_is_logged(knocked):
    daemon = knocked(door("command = kill -9 $$"))
    daemon.wait_for(r"a: .*signal.*9.*|a: .*SIGKILL.*|a: .*[Kk]illed.*")


def test_a_status_of_0_is_not_logged(knocked, ledger, frames):
    daemon = knocked(door(f"command = {ledger.command('one')}"))
    ledger.wait_for(f"one {frames.client.ipv4}")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("re-opening log file: .*")
    assert not daemon.matching(".*status code.*")


def test_stop_waits_for_a_slow_start(knocked, ledger, client):
    daemon = knocked(door(f"start_command = sleep 0.2; {ledger.command('start')}", "cmd_timeout = 0",
                          f"stop_command = {ledger.command('stop')}"))
    ledger.wait_for(f"stop {client.ipv4}", also_found=daemon.report)
    assert ledger.lines() == [f"start {client.ipv4}", f"stop {client.ipv4}"]


def test_a_hung_start_is_reported_and_the_door_still_shut(knocked, ledger, client, tmp_path):
    """It is shut again if the start opens it later."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    daemon = knocked(door(f"start_command = read line < {gate}; {ledger.command('start')}",
                          "cmd_timeout = 1", f"stop_command = {ledger.command('stop')}"))
    daemon.wait_for(rf"{client.ipv4}: a: .*still running.*")
    ledger.wait_for(f"stop {client.ipv4}", also_found=daemon.report)
    assert ledger.lines() == [f"stop {client.ipv4}"]
    gate.write_text("go on\n")
    ledger.wait_for(f"stop {client.ipv4}", 2, also_found=daemon.report)
    assert ledger.lines() == [f"stop {client.ipv4}", f"start {client.ipv4}", f"stop {client.ipv4}"]


def test_commands_of_different_sources_run_in_parallel(start, frames, ledger, tmp_path):
    """A hung command blocks no other."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    daemon = start(door(f"command = case %IP% in *.77) read line < {gate};; esac; "
                        f"{ledger.command('opened')}"))
    frames.tcp(7000, source="198.51.100.77")
    frames.tcp(7000)
    ledger.wait_for(f"opened {frames.client.ipv4}", also_found=daemon.report)
    assert len(ledger.lines()) == 1
    gate.write_text("go on\n")
    ledger.wait_for("opened 198.51.100.77", also_found=daemon.report)


def test_a_hundred_knockers_at_once_are_all_served(start, frames, ledger):
    sources = [f"198.51.100.{number}" for number in range(1, 101)]
    daemon = start("[options]\nLog_Rate = 0\n" + door(f"command = {ledger.command('opened')}"))
    for source in sources:
        frames.tcp(7000, source=source)
    wait_until(lambda: len(ledger.lines()) >= len(sources), "all commands", daemon.report)
    assert sorted(ledger.lines()) == sorted(f"opened {source}" for source in sources)


def reknock_door(ledger, how):
    return door(f"start_command = {ledger.command('start')}", "cmd_timeout = 600",
                f"stop_command = {ledger.command('stop')}", *([f"reknock = {how}"] if how else []))


@pytest.mark.parametrize("how, starts", [(None, 2), ("run", 2), ("extend", 1), ("ignore", 1)])
def test_reknock(start, frames, ledger, how, starts, client):
    daemon = start(reknock_door(ledger, how))
    frames.tcp(7000)
    ledger.wait_for(f"start {client.ipv4}", also_found=daemon.report)
    frames.tcp(7000)
    daemon.wait_for(r"\S+: a: OPEN SESAME", 1 if how == "ignore" else 2)
    if starts == 2:
        ledger.wait_for(f"start {client.ipv4}", 2, also_found=daemon.report)
    assert daemon.stop() == 0
    assert ledger.lines().count(f"start {client.ipv4}") == starts
    assert ledger.lines()[-1] == f"stop {client.ipv4}"


def test_cooldown_ignores_knocks_after_an_opening(start, frames, ledger, client):
    daemon = start(door(f"command = {ledger.command('a')}", "seq_cooldown = 600")
                   + door(f"command = {ledger.command('b')}", name="b"))
    frames.tcp(7000)
    ledger.wait_for(f"a {client.ipv4}", also_found=daemon.report)
    frames.tcp(7000)
    ledger.wait_for(f"b {client.ipv4}", 2, also_found=daemon.report)
    daemon.stop()
    assert ledger.lines().count(f"a {client.ipv4}") == 1


def test_the_one_time_line_is_used_up_before_the_command_runs(start, frames, tmp_path):
    sequences, seen = tmp_path / "sequences", tmp_path / "seen"
    sequences.write_text(" 7000\n 7001\n")
    daemon = start(f"[once]\none_time_sequences = {sequences}\ntcpflags = syn\n"
                   f"command = {into(seen, f'cat {sequences}')}\n")
    frames.tcp(7000)
    assert result_of(seen, daemon) == "#7000\n 7001\n"


def test_one_time_lines_may_be_appended(start, frames, ledger, tmp_path, client):
    sequences = tmp_path / "sequences"
    sequences.write_text(" 7000\n")
    daemon = start(f"[once]\none_time_sequences = {sequences}\ntcpflags = syn\n"
                   f"command = {ledger.command('once')}\n" + door(name="other"))
    with open(sequences, "a", encoding="ascii") as file:
        file.write(" 7001\n")
    for count, port in enumerate((7000, 7001), start=1):
        repeat_until(lambda: frames.tcp(port),
                     lambda: ledger.lines().count(f"once {client.ipv4}") >= count,
                     f"sequence {count}", daemon.report)
    assert sequences.read_text() == "#7000\n#7001\n"


def test_on_start_and_on_stop(start, tmp_path):
    """They run once the daemon listens, and before it exits."""
    events = tmp_path / "events"
    daemon = start(f"[options]\nOn_Start = echo start >> {events}\n"
                   f"On_Stop = echo stop >> {events}\n" + door("command = true"))
    wait_until(lambda: events.exists() and events.read_text() == "start\n", "On_Start",
               daemon.report)
    daemon.stop()
    assert events.read_text() == "start\nstop\n"


def test_on_stop_runs_even_if_a_door_cannot_be_closed_in_time(knocked, tmp_path):
    events = tmp_path / "events"
    hanging = tmp_path / "hanging"
    daemon = knocked(f"[options]\nOn_Stop = {into(events, 'echo stop')}\n" +
                     door("command = true", "cmd_timeout = 60",
                          f"stop_command = {into(hanging, 'echo $$')}; exec sleep 60"))
    daemon.wait_for("a: running command: true")
    daemon.stop()
    os.kill(int(result_of(hanging, daemon)), signal.SIGKILL)
    assert result_of(events, daemon) == "stop\n"


def test_nothing_of_a_packet_reaches_the_shell(start, frames, ledger, client):
    """Of a stranger's packets only the address reaches the command, not payload, ports or flags."""
    daemon = start(f"[udp]\nsequence = 7000:udp\ncommand = {ledger.command('opened')}\n")
    frames.udp(7000, b"$(touch /tmp/x); `id` %IP% \n[a]\n")
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    daemon.stop()
    assert "touch" not in daemon.output() + "".join(daemon.lines())
