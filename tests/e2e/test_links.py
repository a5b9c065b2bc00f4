# SPDX-License-Identifier: MIT
"""The same knocks open over every kind of link, with IPv4 and IPv6, with and without IPv4 options
and IPv6 extension headers."""

import itertools

import pytest

from links import LINKS, SEQUENCE, Link, config, ethernet, ip_packet


def source(family, number):
    return f"2001:db8:ffff::{number}" if family == 6 else f"198.18.0.{number}"


def assert_opens(link, daemon, ledger, interface):
    kinds = list(itertools.product((4, 6), (False, True)))
    for number, (family, extended) in enumerate(kinds):
        link.knock(SEQUENCE, source(family, number), extended=extended)
    for number, (family, _extended) in enumerate(kinds):
        ledger.wait_for(f"opened {source(family, number)} {interface}", also_found=daemon.report)
    assert len(ledger.lines()) == len(kinds)


@pytest.mark.parametrize("kind", LINKS)
def test_knocks_open_over(network, start, ledger, kind):
    link = LINKS[kind](network)
    daemon = start(config(ledger), interface=link.interface)
    assert_opens(link, daemon, ledger, link.interface)


@pytest.mark.parametrize("kind", LINKS)
def test_any_hears_and_names(network, start, ledger, kind):
    link = LINKS[kind](network)
    daemon = start(config(ledger), interface="any")
    assert_opens(link, daemon, ledger, link.interface)
