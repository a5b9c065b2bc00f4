# SPDX-License-Identifier: MIT
"""The commands in docs/phones.md for users without our client open a door unchanged. test_page.py
tests the page; PowerShell is not available here."""

import re

import pytest

from browser import Browser
from fixtures import TREE
from waiting import wait_until

GUIDE = (TREE / "docs/phones.md").read_text()
SHELL_LINES = re.findall(r"^    (for port .*)$", GUIDE, re.MULTILINE)
ADDRESSES = re.findall(r"^    (http://server\.example:\d+/)$", GUIDE, re.MULTILINE)


@pytest.fixture
def dropping(server):
    """The server, with a firewall that answers nobody."""
    server.run("iptables", "-P", "INPUT", "DROP")
    return server


def door(ledger, ports):
    return (f"[door]\nsequence = {','.join(ports)}\nseq_timeout = 60\ntcpflags = syn\n"
            f"command = {ledger.command('opened')}\n")


@pytest.mark.parametrize("line", SHELL_LINES, ids=["bash", "nc", "busybox"])
def test_a_line_of_shell_opens(client, dropping, start, ledger, line):
    daemon = start(door(ledger, re.search(r"in ([\d ]+);", line)[1].split()), "-D")
    client.run("sh", "-c", line.replace("server.example", dropping.ipv4), check=False)
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    assert "wrong knock" not in daemon.output(), daemon.report()


def test_a_code_typed_into_the_address_line_opens(client, dropping, start, ledger, tmp_path):
    """While the browser still waits for the previous address."""
    ports = [re.search(r":(\d+)/", address)[1] for address in ADDRESSES]
    assert len(ports) == 5
    daemon = start(door(ledger, ports), "-D")
    browser = Browser(client, tmp_path / "browser")
    for stage, address in enumerate(ADDRESSES, 1):
        browser.send("Page.navigate", url=address.replace("server.example", dropping.ipv4))
        wait_until(lambda stage=stage: f"{client.ipv4}: door: Stage {stage}" in daemon.lines(),
                   f"stage {stage}", daemon.report)
    ledger.wait_for(f"opened {client.ipv4}", also_found=daemon.report)
    browser.close()
