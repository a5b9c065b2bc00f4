# SPDX-License-Identifier: MIT
"""Doors that add the knocker to a set with a timeout, from docs/, the examples, the manual pages
and OpenWrt's package, with the real nft: a knock at half time restarts the time. (`nft add element`
alone does not change an existing element.)"""

import json
import re

import pytest

import senders
from daemon import Daemon
from fixtures import TREE
from router import FILES, Router
from waiting import wait_until

FW4 = f'table inet fw4 {{\ninclude "{FILES}/sets.nft"\n}}'
HOUR = 3600  # seconds, in all of them


def example():
    return (TREE / "conf/examples/openwrt.conf").read_text()


def by_uci(text, folder, knockd):
    """The configuration that OpenWrt's init script writes."""
    router = Router(folder, knockd)
    router.with_fw4()
    router.uci("knockd", text)
    router.start()
    return router.checked()[0]


def documented_rule():
    section = (TREE / "docs/openwrt.md").read_text().split("## Doors by UCI\n")[1]
    return re.search(r"^    config options.*?(?=\n\S)", section, re.DOTALL | re.MULTILINE)[0]


def shipped_rule():
    text = (FILES / "knockd.config").read_text()
    rule = re.sub(r"(?m)^#(?=config|\t)", "", text)
    return rule.replace("PORT,PORT:udp,PORT", "7421,3096:udp,5518")


def manual(name):
    """The literal blocks of a manual page, as displayed."""
    text = (TREE / "man" / name).read_text()
    return [block.replace("\\e", "\\") for block in
            re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.DOTALL | re.MULTILINE)]


def with_a_set():
    """The ruleset and the door of knockd.conf(5)."""
    blocks = manual("knockd.conf.5")
    place = next(i for i, block in enumerate(blocks) if block.startswith("table inet filter"))
    return blocks[place], blocks[place + 1]


def beside_a_firewall():
    """The same from docs/firewalls.md."""
    section = (TREE / "docs/firewalls.md").read_text().split("## Open_Set")[1].split("\n## ")[0]
    blocks = re.findall(r"(?m)^((?:    .*\n|\n)+)", section)
    ruleset, door = [block for block in blocks if block.strip()]
    return ruleset, door


@pytest.fixture(params=["example", "docs/openwrt.md", "docs/firewalls.md", "shipped rule",
                        "knockd.conf(5)"])
def door(request, tmp_path, knockd):
    """(ruleset, configuration, {family: (set, element of the client)})"""
    fw4 = {4: ("inet fw4 knockd4", "{} . tcp . 22"), 6: ("inet fw4 knockd6", "{} . tcp . 22")}
    router = tmp_path / "router"
    if request.param == "example":
        return FW4, example(), fw4
    if request.param == "docs/openwrt.md":
        return FW4, by_uci(documented_rule(), router, knockd), fw4
    if request.param == "shipped rule":
        return FW4, by_uci(shipped_rule(), router, knockd), fw4
    if request.param == "docs/firewalls.md":
        return *beside_a_firewall(), {family: (f"inet filter knocked{family}", "{} . tcp . 22")
                                      for family in (4, 6)}
    ruleset, config = with_a_set()
    return ruleset, config, {4: ("inet filter knocked4", "{}"), 6: ("inet filter knocked6", "{}")}


def time_left(server, set_name):
    """The time left of its one element, in seconds."""
    listed = json.loads(server.run("nft", "-j", "list", "set", *set_name.split()).stdout)
    elements = next(item["set"] for item in listed["nftables"] if "set" in item)["elem"]
    assert len(elements) == 1
    assert elements[0]["elem"]["timeout"] == HOUR
    return elements[0]["elem"]["expires"]


@pytest.mark.parametrize("family", [4, 6])
def test_a_knock_at_half_time_renews(server, client, knockd, door, family, tmp_path):
    ruleset, config, sets = door
    set_name, element = sets[family]
    element = element.format(client.address(family))
    server.run("nft", ruleset)
    server.run("nft", f"add element {set_name} {{ {element} timeout 1h expires 30m }}")
    assert time_left(server, set_name) <= HOUR / 2
    daemon = Daemon(server, knockd, tmp_path / "run", config)
    knocks = re.search(r"(?im)^ *sequence *= *(.*)$", config)[1]
    senders.with_connect(client, server.address(family), knocks)
    wait_until(lambda: time_left(server, set_name) > HOUR - 60, "the whole time", lambda:
               f"{server.run('nft', 'list', 'ruleset').stdout}\n{daemon.report()}")
    assert daemon.matching(".*(non-zero|cannot).*") == []


def test_the_same_door_begins_a_time(server, client, knockd, door, tmp_path):
    ruleset, config, sets = door
    server.run("nft", ruleset)
    daemon = Daemon(server, knockd, tmp_path / "run", config)
    knocks = re.search(r"(?im)^ *sequence *= *(.*)$", config)[1]
    senders.with_connect(client, server.ipv4, knocks)
    set_name, element = sets[4]
    wait_until(lambda: element.format(client.ipv4) in
               server.run("nft", "list", "set", *set_name.split()).stdout, "the element",
               daemon.report)
