# SPDX-License-Identifier: MIT
"""Listeners and the resolver process end unexpectedly. The log reports it with the reason, a start
does not wait for ever, and repeated ends cost little."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import pytest

from network import OWN_MOUNTS, run
from waiting import repeat_until, wait_until

DOOR = "[a]\nsequence = 7000\ncommand = true\n"
FATES = {"call": r"killed by signal 31 \(Bad system call\)", "exit": "exit status 7"}


def told(how):
    return rf"eth0: the listener ended before it listened \({FATES[how]}\); trying again"


@pytest.fixture
def dies(knockd, tmp_path, public_folder):
    """dies(how): a prefix that makes listeners die before they listen, until dies.heal()."""
    library = tmp_path / "dying_listener.so"
    run("cc", "-shared", "-fPIC", "-o", library,
        pathlib.Path(__file__).with_name("dying_listener.c"), "-ldl")
    file = public_folder / "dies"
    file.touch()

    def prefix(how):
        if how == "call" and "libseccomp" not in run("ldd", knockd).stdout:
            pytest.skip("built without the sandbox")
        return ["env", f"LD_PRELOAD={library}", f"LD_KN_DIES={file}", f"LD_KN_HOW={how}"]

    prefix.heal = file.unlink
    return prefix


@pytest.mark.parametrize("how", FATES)
def test_a_listener_that_dies_at_once_is_restarted(start, dies, frames, how):
    daemon = start(DOOR, prefix=dies(how), listens=False)
    daemon.wait_for(told(how))
    daemon.wait_until_listening()
    dies.heal()
    daemon.wait_for("eth0: now listening on .*")
    assert len(daemon.matching(told(how))) == 1
    repeat_until(lambda: frames.tcp(7000), lambda: daemon.matching(r"\S+: a: OPEN SESAME"),
                 "the door opens", daemon.report)
    assert daemon.stop() == 0


@pytest.mark.parametrize("how", FATES)
def test_d_and_the_service_manager_get_their_answer(server, knockd, dies, tmp_path, how):
    config = tmp_path / "k.conf"
    config.write_text(DOOR + f"[options]\nControl = none\nStateFile = {tmp_path}/state\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        done = subprocess.run(
            server.argv(*dies(how), f"NOTIFY_SOCKET={tmp_path}/notify", knockd, "-d", "-c", config,
                        "-i", "eth0", "-p", tmp_path / "pid", "-g", tmp_path / "log"),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0
        assert re.fullmatch(f"knockd: {told(how)}\n", done.stderr)
        assert manager.recv(100) == b"READY=1"


def kill_one_and_see_another(host, name):
    """Kills this process and returns the pid of its replacement."""
    old = host.pids_of(name)[0]
    os.kill(old, signal.SIGKILL)
    return wait_until(lambda: [pid for pid in host.pids_of(name) if pid != old],
                      f"another {name}", deadline=30)[0]


def wait_until_it_listens(daemon):
    """Checks the summary, which lists each listener, because a log line may be left out."""
    status = "status: eth0: listening on .*"
    known = len(daemon.matching(status))
    repeat_until(lambda: daemon.send(signal.SIGUSR1), lambda: len(daemon.matching(status)) > known,
                 "a listener that answers", daemon.report, deadline=30)


def test_a_crash_loop_is_slow_and_fills_no_log(start, server):
    daemon = start(DOOR)
    for _ in range(6):
        kill_one_and_see_another(server, "knockd-listen")
        wait_until_it_listens(daemon)
    how = r"eth0: the listener ended \(killed by signal 9 \(Killed\)\)"
    lines = [line for line in daemon.lines() if "the listener ended" in line]
    expected = [how + "; starting another in 0.1 s", how + ", 2 times in a row; starting another in 0.2 s",
                how + ", 4 times in a row; starting another in 0.8 s"]
    assert len(lines) == 3 and all(map(re.fullmatch, expected, lines)), daemon.report()
    assert len(daemon.matching("eth0: now listening on .*")) == 3


def test_names_are_looked_up_again_after_the_resolver_process_died(start, server, client, frames,
                                                                   tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{client.ipv4} knocker.example\n")
    bind = f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"'
    daemon = start(DOOR, "-l", prefix=[*OWN_MOUNTS, "sh", "-c", bind])
    for _ in range(5):
        kill_one_and_see_another(server, "knockd-lookup")
    repeat_until(lambda: frames.tcp(7000),
                 lambda: daemon.matching(rf"{client.ipv4} \(knocker\.example\): a: OPEN SESAME"),
                 "the name in the log", daemon.report)
    how = r"the process that looks up names ended \(killed by signal 9 \(Killed\)\)"
    lines = [line for line in daemon.lines() if "looks up names" in line]
    expected = [how + "; starting another in 0.1 s", how + ", 2 times in a row; starting another in 0.2 s",
                how + ", 4 times in a row; starting another in 0.8 s"]
    assert len(lines) == 3 and all(map(re.fullmatch, expected, lines)), daemon.report()
    assert daemon.stop() == 0


def capabilities_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(re.findall(r"^(Cap\w+|NoNewPrivs):\s*(\w+)$", status, re.MULTILINE))


@pytest.mark.parametrize("uid", [0, 1000])
def test_the_resolver_process_has_no_capabilities(server, knockd, public_folder, uid):
    """An ordinary user's daemon has CAP_NET_RAW as an ambient one, which a fork keeps."""
    shutil.copy(knockd, public_folder / "knockd")
    config = public_folder / "k.conf"
    config.write_text(DOOR + "[options]\nControl = none\nStateFile = none\n")
    user = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all,+net_raw",
            "--ambient-caps=-all,+net_raw"] if uid else []
    done = server.run(*user, public_folder / "knockd", "-c", config, "-d", "-l", "-i", "eth0",
                      "-p", public_folder / "pid", check=False)
    assert done.returncode == 0, done.stdout
    lookup = wait_until(lambda: server.pids_of("knockd-lookup"), "the process")[0]
    none = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapAmb": 0, "NoNewPrivs": 1}
    wait_until(lambda: {name: int(value, 16) for name, value in capabilities_of(lookup).items()
                        if name in none} == none, "no rights", lambda: capabilities_of(lookup))
