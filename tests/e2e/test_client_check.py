# SPDX-License-Identifier: MIT
"""The client's main job: it knocks, the daemon opens a real port in a real firewall, and the client
reports it; or it reports that the port stayed shut, and why."""

import contextlib
import re
import socket
import subprocess

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from client_fixtures import (  # noqa: F401: fixtures
    SECRET, SEQUENCE, door, guarded, knock, open_command, start_daemon)
from network import OWN_MOUNTS
from senders import Frames
from waiting import wait_until

CHECK = ["--check", str(SECRET)]
IP6TABLES = open_command("ip6tables")


def knocks(sequence=SEQUENCE):
    return sequence.split(",")


def assert_opened(run, address):
    assert re.fullmatch(rf"port {SECRET} of {re.escape(address)} opened after \d\.\d{{3}} s\n",
                        run.stdout)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("sequence", ["7000,8000,9000", "7000:udp,8000:udp,9000:udp", SEQUENCE],
                         ids=["tcp", "udp", "mixed"])
def test_check_reports_that_the_port_opened(knock, client, guarded, start_daemon, family, sequence):
    daemon = start_daemon(door(sequence, open_command("ip6tables" if family == 6 else "iptables")))
    address = guarded.address(family)
    assert not client.reaches(address, SECRET)
    assert_opened(knock(address, *knocks(sequence), *CHECK), address)
    assert client.reaches(address, SECRET), daemon.report()


@pytest.mark.parametrize("family", [4, 6])
def test_port_that_was_already_open_is_not_reported_as_opened(knock, client, server, start_daemon,
                                                              ledger, family):
    """The knocks are still sent, and the attempt before them disturbs none."""
    server.serve(SECRET)
    daemon = start_daemon(door(command=ledger.command("opened")))
    run = knock(server.address(family), *knocks(), *CHECK)
    assert run.stdout == f"port {SECRET} of {server.address(family)} was open already\n"
    ledger.wait_for(f"opened {client.address(family)}", also_found=daemon.report)


def test_port_that_a_second_knock_finds_open(knock, guarded, start_daemon):
    start_daemon(door())
    assert_opened(knock(guarded.ipv4, *knocks(), *CHECK), guarded.ipv4)
    run = knock(guarded.ipv4, *knocks(), *CHECK)
    assert run.stdout == f"port {SECRET} of {guarded.ipv4} was open already\n"


@pytest.mark.parametrize("sequence", ["2222,8000,9000", "7000,2222,9000", "7000,8000,2222", "2222"])
def test_port_that_is_also_a_knock_is_not_tried_before_the_knocks(knock, client, guarded,
                                                                  start_daemon, ledger, sequence):
    """Trying it would be an extra knock: here it would open a door of one knock twice."""
    daemon = start_daemon(door(sequence, f"{ledger.command('opened')}; {open_command()}"))
    run = knock(guarded.ipv4, *knocks(sequence), *CHECK)
    assert run.stdout == (f"port {SECRET} of {guarded.ipv4} is open; perhaps it was already: a port"
                          " that is a knock is not tried before\n")
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    if sequence != "2222":  # each attempt to connect there is a knock
        assert ledger.lines() == [f"opened {client.ipv4}"]


@pytest.mark.parametrize("rule", [["-j", "DROP"], ["-j", "REJECT"],
                                  ["-j", "REJECT", "--reject-with", "tcp-reset"], None],
                         ids=["dropped", "rejected", "reset", "closed"])
def test_check_works_whether_knocks_are_answered_or_not(knock, guarded, start_daemon, rule):
    start_daemon(door())
    if rule is None:
        guarded.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7000:9000", "-j", "ACCEPT")
    else:
        guarded.run("iptables", "-A", "INPUT", "-p", "tcp", *rule)
    assert_opened(knock(guarded.ipv4, *knocks(), *CHECK), guarded.ipv4)


def test_check_in_the_form_of_another_client(knock, guarded, start_daemon):
    """--check without a port, the delay in seconds, host and sequence as options."""
    start_daemon(door("1234,5678,9012"))
    run = knock("--target", guarded.ipv4, "--sequence", "1234,5678,9012", "--delay", "0.3", "--check")
    assert_opened(run, guarded.ipv4)


def test_check_without_a_port_uses_the_port_of_the_door(knock, guarded, start_daemon):
    other_port = SECRET + 1
    guarded.serve(other_port)
    daemon = start_daemon(door(command=open_command().replace(str(SECRET), str(other_port))))
    run = knock(guarded.ipv4, "--config", daemon.config_file, "--door", "secret", "--check")
    assert re.fullmatch(rf"port {other_port} of {guarded.ipv4} opened after \d\.\d{{3}} s\n", run.stdout)


def test_check_of_a_port_that_stays_shut_fails(knock, guarded, start_daemon):
    start_daemon(door())
    run = knock(guarded.ipv4, "7000", "9000", *CHECK, "--timeout", "300ms", check=False)
    assert run.returncode == 4
    assert run.stdout == (f"knock: port {SECRET} of {guarded.ipv4} did not open within 0.300 s:"
                          " no answer\n")


def test_check_reports_a_refused_port(knock, server):
    run = knock(server.ipv4, "7000", *CHECK, "--timeout", "300ms", check=False)
    assert run.returncode == 4
    assert run.stdout == (f"knock: port {SECRET} of {server.ipv4} did not open within 0.300 s:"
                          " Connection refused\n")


def test_check_waits_for_a_slow_door(knock, guarded, start_daemon):
    start_daemon(door(command=f"sleep 0.7; {open_command()}"))
    assert_opened(knock(guarded.ipv4, *knocks(), *CHECK), guarded.ipv4)


class PlayedHost:
    """A server that drops everything; the test answers for SECRET by hand."""

    def __init__(self, client, server):
        server.run("iptables", "-P", "INPUT", "DROP")
        self._frames = Frames(server, client)
        self._wire = server.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._wire.bind(("eth0", 0x0800))
        self._wire.settimeout(10)

    def close(self):
        self._wire.close()

    def next_attempt(self):
        """The next SYN, to SECRET or to a port of the knocks."""
        while True:
            frame = Ether(self._wire.recv(65535))
            if TCP in frame and frame[TCP].flags == "S":
                return frame[TCP]

    def answer(self, attempt):
        self._frames.send(self._frames.frame(TCP(
            sport=SECRET, dport=attempt.sport, flags="SA", seq=1, ack=attempt.seq + 1)))


@pytest.fixture
def played(client, server):
    with contextlib.closing(PlayedHost(client, server)) as host:
        yield host


@pytest.fixture
def start_check(knock_binary, client, server):
    def start():
        return client.start(knock_binary, server.ipv4, "7000", *CHECK, stdout=subprocess.PIPE,
                            text=True)

    return start


def output_of(run):
    output = run.communicate(timeout=10)[0]
    assert run.returncode == 0, output
    return output


def test_check_waits_for_the_answer_of_a_distant_host(start_check, played, server):
    """New attempts start at short intervals; the first must still be open when its answer arrives
    later."""
    run = start_check()
    early, knock_, *attempts = [played.next_attempt() for _ in range(6)]
    assert [early.dport, knock_.dport] == [SECRET, 7000]
    assert len({attempt.sport for attempt in [early, *attempts]}) == 5, "these are repeated SYNs"
    played.answer(attempts[0])
    assert f"port {SECRET} of {server.ipv4} opened after" in output_of(run)


def test_early_attempt_waits_for_the_answer_of_a_distant_host(start_check, played, server):
    run = start_check()
    early, *_ = [played.next_attempt() for _ in range(5)]
    played.answer(early)
    assert output_of(run) == f"port {SECRET} of {server.ipv4} was open already\n"


def test_answer_to_a_retransmission_does_not_prove_that_the_port_was_open_before(
        start_check, played, server):
    """After a second the system repeats the attempt from before the knocks; the port may have
    opened meanwhile."""
    run = start_check()
    early = played.next_attempt()
    while (attempt := played.next_attempt()).sport != early.sport:
        pass
    played.answer(attempt)
    assert f"port {SECRET} of {server.ipv4} opened after" in output_of(run)


def test_retry_knocks_again(knock_binary, client, guarded, start_daemon, tmp_path):
    """The daemon starts while the client retries."""
    output = tmp_path / "output"
    with open(output, "wb") as stream:
        run = client.start(knock_binary, "-v", guarded.ipv4, *knocks(), *CHECK, "--timeout", "400ms",
                           "--retry", "100", stdout=stream)
    wait_until(lambda: "knocking again" in output.read_text(), "the first round fails")
    start_daemon(door())
    assert run.wait(20) == 0
    assert f"port {SECRET} of {guarded.ipv4} opened after" in output.read_text()


@pytest.fixture
def both_families(server, tmp_path):
    """A command prefix under which the name `server.test` has the server's two addresses."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{server.ipv4} server.test\n{server.ipv6} server.test\n")
    return [*OWN_MOUNTS, "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]


@pytest.mark.parametrize("option", [[], ["-4"], ["-6"]], ids=["any", "v4", "v6"])
def test_name_with_both_families_is_knocked_and_checked_over_one(knock, client, guarded,
                                                                 start_daemon, ledger,
                                                                 both_families, option):
    """The door opens the port for the address that knocked, so a check from the other one fails."""
    daemon = start_daemon(door(command=(
        f"{ledger.command('opened')}; {open_command()} || {IP6TABLES}")))
    run = knock(*option, "server.test", *knocks(), *CHECK, prefix=both_families)
    family = 4 if option == ["-4"] else 6
    assert_opened(run, guarded.address(family))
    assert ledger.lines() == [f"opened {client.address(family)}"], daemon.report()


def test_door_of_a_configuration_is_knocked_at(knock, guarded, start_daemon):
    daemon = start_daemon(door())
    run = knock(guarded.ipv4, "--config", daemon.config_file, "--door", "secret", *CHECK)
    assert_opened(run, guarded.ipv4)


def test_flags_of_a_configured_door_are_sent(knock, guarded, start_daemon):
    daemon = start_daemon(door("7000,8000,9000", tcpflags="fin,!ack"))
    run = knock(guarded.ipv4, *knocks("7000,8000,9000"), *CHECK, "--timeout", "300ms", check=False)
    assert run.returncode == 4
    run = knock(guarded.ipv4, "--config", daemon.config_file, "--door", "secret", *CHECK)
    assert_opened(run, guarded.ipv4)


def test_one_time_list_is_used_up_on_both_sides(knock, client, guarded, start_daemon, ledger,
                                                tmp_path):
    """Daemon and client each have a copy, and mark the same line."""
    lists = [tmp_path / "server.list", tmp_path / "client.list"]
    for file in lists:
        file.write_text("7000,8000:udp\n7001,8001:udp\n")
    daemon = start_daemon(f"""
[options]
    UseSyslog
[secret]
    one_time_sequences = {lists[0]}
    command            = {ledger.command('opened')}
""")
    for number, remaining in ((1, "#000,8000:udp\n7001,8001:udp\n"),
                              (2, "#000,8000:udp\n#001,8001:udp\n")):
        knock(guarded.ipv4, "--one-time", lists[1])
        ledger.wait_for(f"opened {client.ipv4}", number, daemon.report)
        for file in lists:
            wait_until(lambda: file.read_text() == remaining, f"{file.name} is marked",  # noqa: B023
                       file.read_text)
    run = knock(guarded.ipv4, "--one-time", lists[1], check=False)
    assert (run.returncode, run.stdout) == (1, f"knock: {lists[1]}: no sequence is left in this list\n")
