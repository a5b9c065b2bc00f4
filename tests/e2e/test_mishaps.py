# SPDX-License-Identifier: MIT
"""Users mistype, knock twice, browse meanwhile, share their address or have it forged by a scanner,
and still get in."""

import contextlib

import pytest

from waiting import repeat_until, wait_until

OPEN = ("7000", "8000", "9000")
DISCARDED = "openSSH: port scan, knock discarded"


@pytest.fixture
def daemon(start, is_reference):
    """A daemon with the two doors of 0.8's default configuration."""
    if is_reference:
        pytest.skip("0.8 lets a repeated knock spoil all")
    return start("""
[options]
    Log_Rate = 0
[openSSH]
    sequence    = 7000,8000,9000
    seq_timeout = 15
    command     = :
    tcpflags    = syn
[closeSSH]
    sequence    = 9000,8000,7000
    seq_timeout = 15
    command     = :
    tcpflags    = syn
""")


@pytest.fixture
def knock(server, knock_binary):
    """knock(host): a user there knocks, optionally with other ports or another delay."""
    def run(host, ports=OPEN, delay="20ms"):
        host.run(knock_binary, "--delay", delay, server.ipv4, *ports)

    return run


def wait_until_open(daemon, host, count=1):
    daemon.wait_for(f"{host.ipv4}: openSSH: OPEN SESAME", count)


@contextlib.contextmanager
def connecting(host, server, ports, folder):
    """Meanwhile the host connects to these ports of the server, again and again. Yields a function
    that returns the number of rounds so far."""
    count = folder / "turns"
    count.touch()
    connects = "; ".join(f"nc -z -w 1 {server.ipv4} {port}" for port in ports)
    process = host.start("sh", "-c", f"while :; do {connects}; echo >> {count}; done")
    try:
        wait_until(lambda: count.stat().st_size > 0, "connections")
        yield lambda: count.stat().st_size
    finally:
        process.kill()
        process.wait()


def test_a_user_who_mistypes_a_port_gets_in(daemon, client, knock):
    knock(client, ("7000", "800", "8001", "8000", "9000"))
    wait_until_open(daemon, client)


def test_a_user_who_forgets_a_knock_gets_in_the_next_time(daemon, client, knock):
    knock(client, ("7000", "9000"))
    knock(client)
    wait_until_open(daemon, client)


def test_a_user_who_knocks_twice_gets_in_twice(daemon, client, knock):
    knock(client)
    wait_until_open(daemon, client)
    knock(client)
    wait_until_open(daemon, client, 2)


def test_a_user_who_sends_each_knock_twice_gets_in(daemon, client, knock):
    knock(client, [port for port in OPEN for _ in range(2)])
    wait_until_open(daemon, client)
    knock(client)
    wait_until_open(daemon, client, 2)


@pytest.mark.parametrize("is_served", [True, False], ids=["served", "refused"])
def test_a_user_with_a_browser_open_gets_in(daemon, client, server, knock, tmp_path, is_served):
    if is_served:
        server.serve(443)
    with connecting(client, server, [443], tmp_path) as turns:
        before = turns()
        knock(client, delay="200ms")
        assert turns() > before, "nobody browsed"
        wait_until_open(daemon, client)


def test_a_user_who_shares_an_address_with_users_of_four_services_gets_in(
        daemon, client, server, knock, tmp_path):
    with connecting(client, server, [443, 993, 587, 8443], tmp_path) as turns:
        before = turns()
        knock(client, delay="400ms")
        assert turns() > before, "nobody used them"
        wait_until_open(daemon, client)


def test_four_services_are_the_limit(daemon, client, server, knock, tmp_path):
    """Checks the test above: a fifth service would be noticed."""
    with connecting(client, server, [443, 993, 587, 8443, 22], tmp_path):
        repeat_until(lambda: knock(client, delay="400ms"),
                     lambda: daemon.matching(f"{client.ipv4}: {DISCARDED}"),
                     "the knock of a scanner", daemon.report)


def test_a_scan_with_a_users_address_delays_him_no_longer_than_it_lasts(
        daemon, client, stranger, server, knock):
    scan = stranger.start("hping3", "-q", "-n", "-S", "-i", "u200", "-p", "++1",
                          "--spoof", client.ipv4, server.ipv4)
    repeat_until(lambda: knock(client),
                 lambda: daemon.matching(f"{client.ipv4}: {DISCARDED}"),
                 "the scan spoils a knock", daemon.report)
    knock(stranger)
    wait_until_open(daemon, stranger)  # others are not affected

    before = len(daemon.matching(f"{client.ipv4}: openSSH: OPEN SESAME"))
    scan.terminate()
    scan.wait()
    knock(client)
    wait_until_open(daemon, client, before + 1)
