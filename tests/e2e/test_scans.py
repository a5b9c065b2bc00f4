# SPDX-License-Identifier: MIT
"""Real port scans open none of the guides' doors, and do not prevent others from opening them.
These scans have a certain result; scripts/scans runs many scans that may open a door by luck."""

import pytest

from guides import DRAWN, EXAMPLES, guarded_rules, knock_rules
from network import Network
from scans import COMMON_UDP, DOWN, UP, Street, flags_up, luck, nmap, sweep

TEST_SECONDS = 180

COMMON_UP = nmap("-sS", "-r")
COMMON_UP_BY_CONNECT = nmap("-sT", "-r")
ALL_IN_DISORDER = nmap("-sS", "-p1-65535", "--max-rate", "20000")

MOST_DOORS = max(knock_rules(), key=len)  # of one guide


@pytest.fixture(scope="module")
def street_of(knockd, knock_binary, is_reference, tmp_path_factory):
    """street_of(guides, options): a street with the doors of these guides."""
    if is_reference:
        pytest.skip("0.8 has no scan guard")
    networks = []

    def build(guides, options=""):
        networks.append(Network())
        return Street(networks[-1], knockd, knock_binary, tmp_path_factory.mktemp("street"), guides,
                      options)

    yield build
    for network in networks:
        network.close()


@pytest.fixture(scope="module")
def street(street_of):
    return street_of(knock_rules())


@pytest.fixture(scope="module")
def corner(street_of):
    """Only one guide, because long scans are too much for many daemons at once."""
    return street_of([MOST_DOORS])


def assert_all_stay_shut(street, *commands):
    before = street.told("OPEN SESAME")
    scan = street.scan(*commands)
    sent, opened = street.knock_during(scan)
    assert scan.wait() >= 100, "the scan itself failed"
    street.settle()
    assert street.told("OPEN SESAME") == before
    # A machine too busy for the listeners loses packets, and real knocks with them.
    assert opened == sent or street.lost() > 0, "\n".join(street.failures)
    return opened


@pytest.mark.parametrize("commands", [
    [COMMON_UP], [COMMON_UP_BY_CONNECT], [COMMON_UP, COMMON_UP_BY_CONNECT]],
    ids=["-sS", "-sT", "two at once"])
def test_a_scan_of_the_common_ports_opens_no_door(street, commands):
    before = len(street.told("port scan, knock discarded"))
    assert_all_stay_shut(street, *commands)
    assert len(street.told("port scan, knock discarded")) > before


def test_a_scan_of_udp_ports_opens_no_door(street):
    assert_all_stay_shut(street, COMMON_UDP)


@pytest.mark.parametrize("command", [UP, DOWN, ALL_IN_DISORDER],
                         ids=["up", "down", "in disorder"])
def test_a_scan_of_all_ports_opens_doors_only_for_others(corner, command):
    before = len(corner.told("port scan, knock discarded"))
    opened = assert_all_stay_shut(corner, command)
    assert len(corner.told("port scan, knock discarded")) > before
    assert opened > 0


@pytest.fixture(scope="module")
def recommended(street_of):
    """The door of an example and one that new-door drew."""
    return street_of([knock_rules([file for file in EXAMPLES if file.stem == "ssh-timed"])[0],
                      [DRAWN]])


def test_nmap_with_syn_and_ack_opens_no_recommended_door(recommended):
    """Twice, because this once opened doors whose ports do not ascend."""
    for _ in range(2):
        assert_all_stay_shut(recommended, flags_up("SYN+ACK"))


# S: SYN, SA: SYN and ACK, and so on; 0: no flags. Some in one order only, for their time.
@pytest.mark.parametrize("kinds, order", [
    ("SA SA", "up"), ("SA SA", "down"), ("SF SF", "up"), ("A A", "down"), ("F F", "up"), ("0 0", "down"),
    ("S udp S", "up"), ("S udp S", "down"), ("SA udp SA", "down"), ("SF udp SF", "up")])
def test_sweeps_of_all_ports_open_no_recommended_door(recommended, kinds, order):
    assert_all_stay_shut(recommended, sweep(*kinds.split(), order=order, rate=50000))


@pytest.mark.parametrize("flags", ["A", "SA"])
def test_sweeps_that_the_guard_does_not_see_open_doors_without_flags(street_of, flags):
    """Checks the tests above, and the man page's warning."""
    street = street_of([[("any flags", {"sequence": "7421,9096,15518"})]])
    street.scan(sweep(flags)).wait()
    street.settle()
    assert street.told("OPEN SESAME")


def test_a_scan_opens_doors_without_the_guard(street_of):
    """Checks the tests above: their packets do open doors, and the tests would notice."""
    street = street_of([MOST_DOORS], "Scan_Limit = 0")
    street.scan(COMMON_UP).wait()
    street.settle()
    assert street.told("OPEN SESAME")


def test_the_guard_protects_most_doors_of_guides_and_examples():
    assert sum(map(len, guarded_rules())) >= 25


def test_a_lucky_scan_of_all_ports_is_improbable():
    assert luck(set(range(1, 65536)), knock_rules()) < 1e-6
