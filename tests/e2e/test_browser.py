# SPDX-License-Identifier: MIT
"""Knocks by a browser at dropped ports. It aborts each request but keeps its sockets, often two per
port, and the system repeats their SYNs: rule 2 of MATCHING in knockd.conf(5)."""

import re
from collections import Counter

import pytest

from browser import CHROMIUM
from waiting import wait_until

TEST_SECONDS = 180
PATIENCE = 60  # seconds until a browser has started and knocked, on a busy machine

THREE = [7421, 3096, 5518]
FIVE = [7421, 3096, 5518, 8114, 2907]

PAGE = """<!DOCTYPE html>
<script>
(async () => {
  for (const port of %(ports)s) {
    const request = new AbortController();
    setTimeout(() => request.abort(), %(pause)d);
    await fetch("http://%(host)s:" + port + "/", {mode: "no-cors", signal: request.signal})
      .catch(() => {});
  }
})();
</script>
"""


@pytest.fixture
def dropping(server):
    """The server, with a firewall that drops everything."""
    server.run("iptables", "-P", "INPUT", "DROP")
    return server


@pytest.fixture
def start_door(dropping, start, ledger):
    def start_with(ports):
        return start(f"[door]\nsequence = {','.join(map(str, ports))}\nseq_timeout = 60\n"
                     f"tcpflags = syn\ncommand = {ledger.command('opened')}\n", "-D")

    return start_with


def segments(daemon, source):
    """The number of segments so far from each of the source's ports."""
    return Counter(re.findall(rf"tcp: {re.escape(source)}:(\d+) -> ", daemon.output()))


def assert_opened_straight(daemon, source, ports):
    """Opened at the first attempt: each stage once, no wrong knock."""
    told = daemon.matching(rf"{re.escape(source)}: door: .*")
    stages = [f"{source}: door: Stage {stage + 1}" for stage in range(len(ports))]
    assert told == [*stages, f"{source}: door: OPEN SESAME"], daemon.report()
    assert "wrong knock" not in daemon.output(), daemon.report()


@pytest.mark.parametrize("ports, pause", [(THREE, 600), (FIVE, 500)], ids=["three", "five"])
def test_a_page_that_aborts_its_requests_gets_in(client, server, start_door, ledger, tmp_path,
                                                 ports, pause):
    daemon = start_door(ports)
    page = tmp_path / "knock.html"
    page.write_text(PAGE % {"ports": ports, "pause": pause, "host": server.ipv4})
    with open(tmp_path / "browser.log", "wb") as log:
        client.start(*CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri(),
                     stdout=log, stderr=log)

    def found():
        return daemon.report() + (tmp_path / "browser.log").read_text(errors="replace")

    # Its sockets outlive the knock; by then each segment has been sent twice.
    wait_until(lambda: len(segments(daemon, client.ipv4)) >= len(ports)
               and min(segments(daemon, client.ipv4).values()) >= 2,
               "all knocks of the page, and each segment again", found, deadline=PATIENCE)
    ledger.wait_for(f"opened {client.ipv4}", also_found=found)
    assert_opened_straight(daemon, client.ipv4, ports)


@pytest.mark.parametrize("ports", [THREE, FIVE], ids=["three", "five"])
def test_sockets_that_repeat_their_syns_spoil_no_knock(client, server, start_door, ledger, ports):
    """Two sockets per port, all kept; each SYN is repeated before the next port."""
    daemon = start_door(ports)
    sockets = []
    try:
        for port in ports:
            before = segments(daemon, client.ipv4)
            for _ in range(2):
                sockets.append(client.socket())
                sockets[-1].setblocking(False)
                sockets[-1].connect_ex((server.ipv4, port))
            mine = [str(each.getsockname()[1]) for each in sockets]
            wait_until(lambda before=before, mine=mine: all(
                segments(daemon, client.ipv4)[each] >= before[each] + (1 if before[each] else 2)
                for each in mine), "each segment again", daemon.report, deadline=PATIENCE)
    finally:
        for each in sockets:
            each.close()
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    assert_opened_straight(daemon, client.ipv4, ports)
