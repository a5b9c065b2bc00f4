# SPDX-License-Identifier: MIT
"""The init script for OpenWrt, under the shell of its routers, before stand-ins of procd and UCI:
what it asks of procd, and whether the daemon understands the configuration that it writes. And the
feed's Makefile, before stand-ins of OpenWrt's: what goes into the packages."""

import os
import re

import pytest

from conftest import TREE
from network import run

STAND_INS = TREE / "tests/packaging/openwrt"
FILES = TREE / "openwrt/files"


class Router:
    def __init__(self, folder, knockd):
        self._root = folder
        self._knockd = knockd
        for path in ("etc/config", "var/run", "lib/functions", "networks"):
            (folder / path).mkdir(parents=True)
        (folder / "lib/functions/network.sh").write_text((STAND_INS / "network.sh").read_text())
        self.by_hand = folder / "etc/knockd.conf"
        self.by_hand.write_text("[by-hand]\nsequence = 7421,3096,5518\ntcpflags = syn\n"
                                "command = true\n")
        self.by_hand.chmod(0o640)
        self.written = folder / "var/run/knockd.conf"
        self.uci("knockd", "")
        self.uci("network", "config interface wan\n option device eth1\n")

    def uci(self, package, text):
        (self._root / f"etc/config/{package}").write_text(text)

    def up(self, network, device):
        (self._root / f"networks/{network}").write_text(device)

    def down(self, network):
        (self._root / f"networks/{network}").unlink()

    def start(self):
        """What the script asks of procd, as lines; first the instance, then what it is reloaded by."""
        said = run("busybox", "ash", "-u", str(STAND_INS / "rc.common"),
                   str(FILES / "knockd.init"), "start",
                   env={**os.environ, "IPKG_INSTROOT": str(self._root)}).stdout
        return said.replace(str(self._root), "").splitlines()

    def instance(self):
        return [line for line in self.start() if "trigger" not in line]

    def triggers(self):
        return [line for line in self.start() if "trigger" in line]

    def checked(self):
        """What was written, in which the daemon finds no error, and its warnings."""
        warnings = run(str(self._knockd), "-t", "-c", str(self.written)).stdout
        return self.written.read_text(), warnings

    def interface(self):
        return re.findall(r"^\s*interface = (.*)$", self.written.read_text(), re.MULTILINE)


@pytest.fixture
def router(tmp_path, knockd):
    return Router(tmp_path, knockd)


RULE = """
config options 'common'
    option interface 'wan'

config rule 'openSSH'
    option sequence '7421,3096,5518'
    option seq_timeout '5'
    option tcpflags 'syn'
    option command "nft add element inet fw4 knockd4 '{ %IP% . tcp . 22 timeout 1h }'"
    option command_6 'ip6tables -I INPUT -s %IP% -j ACCEPT'
    option cmd_timeout '3600'
    option stop_command 'iptables -D INPUT -s %IP% -j ACCEPT'
    option stop_command_6 'ip6tables -D INPUT -s %IP% -j ACCEPT'
"""


def test_procd_is_asked_for_one_daemon_in_the_foreground_that_is_started_for_ever(router):
    assert router.instance() == [
        "procd_open_instance",
        "procd_set_param <command> </usr/sbin/knockd> <-c> </var/run/knockd.conf>",
        "procd_set_param <file> </var/run/knockd.conf> </etc/knockd.conf>",
        "procd_set_param <reload_signal> <HUP>",
        "procd_set_param <respawn> <3600> <5> <0>",
        "procd_set_param <term_timeout> <5>",
        "procd_set_param <stderr> <1>",
        "procd_close_instance",
    ]


def test_the_command_never_changes(router):
    """procd answers a changed command by the reload signal, and the daemon would not see it."""
    without_rule = router.instance()
    router.uci("knockd", RULE)
    router.up("wan", "pppoe-wan")
    assert router.instance() == without_rule


def test_a_configuration_that_cannot_be_written_leaves_the_daemon_alone(router):
    """Without an instance, procd would stop it."""
    instance = router.instance()
    before = router.written.read_text()
    router.uci("knockd", RULE)
    router.written.with_name("knockd.conf.new").mkdir()
    assert router.instance()[-len(instance):] == instance
    assert router.written.read_text() == before


def test_options_left_over_from_another_package_are_none_of_a_door(router):
    """config_load forgets no option, and sections of two packages may have one name."""
    router.uci("network", "config interface wan\n option device eth1\n option proto static\n")
    router.uci("knockd", RULE.replace("'openSSH'", "'wan'"))
    router.start()
    written, _ = router.checked()
    assert written.count("\n[wan]\n") == 1 and "static" not in written


def test_changes_of_configuration_and_networks_reload(router):
    router.uci("knockd", "config options 'common'\n option interface 'wan wan6'\n")
    assert router.triggers() == [
        "procd_add_reload_trigger <knockd> <network>",
        "procd_add_reload_interface_trigger <wan>",
        "procd_add_reload_interface_trigger <wan6>",
    ]


def test_without_a_rule_the_file_written_by_hand_counts(router):
    router.start()
    written, _ = router.checked()
    assert f"    include = {router.by_hand}\n" in written
    assert "UseSyslog" not in written  # it says itself where it logs
    router.by_hand.write_text("broken")
    with pytest.raises(AssertionError, match=f"{router.by_hand}:1:"):
        router.checked()


def test_an_interface_written_by_hand_wins(router):
    router.uci("knockd", "config options 'common'\n option interface 'wan'\n")
    router.by_hand.write_text(f"[options]\nInterface = eth7\n{router.by_hand.read_text()}")
    router.start()
    _, warnings = router.checked()
    assert f"{router.by_hand}:2:1: warning: Interface is given again: this one counts" in warnings


def test_a_rule_of_uci_becomes_a_door(router):
    router.uci("knockd", RULE)
    router.start()
    written, _ = router.checked()
    assert written.split("[options]\n")[1] == """\
    UseSyslog
    interface = eth1
[openSSH]
    sequence = 7421,3096,5518
    seq_timeout = 5
    tcpflags = syn
    command = nft add element inet fw4 knockd4 '{ %IP% . tcp . 22 timeout 1h }'
    command_6 = ip6tables -I INPUT -s %IP% -j ACCEPT
    cmd_timeout = 3600
    stop_command = iptables -D INPUT -s %IP% -j ACCEPT
    stop_command_6 = ip6tables -D INPUT -s %IP% -j ACCEPT
"""


def test_the_old_misspelling_is_understood(router):
    router.uci("knockd", RULE.replace("stop_command_6", "stop_command6"))
    router.start()
    assert "    stop_command_6 = ip6tables -D" in router.written.read_text()


def test_rules_without_a_name_are_doors_of_their_own(router):
    anonymous = RULE.replace("config rule 'openSSH'", "config rule")
    router.uci("knockd", anonymous + anonymous.split("'wan'")[1])
    router.start()
    assert re.findall(r"^\[(.*)\]$", router.written.read_text(), re.MULTILINE) == [
        "options", "cfg1", "cfg2"]
    router.checked()


def test_a_line_break_in_a_value_gives_no_directive(router):
    router.uci("knockd", RULE.replace("'5'", "'5\n[more]\nsequence = 1'"))
    router.start()
    assert "[more]" not in router.written.read_text().splitlines()


def test_the_configuration_is_its_owners_alone(router):
    router.uci("knockd", RULE)
    router.start()
    assert router.written.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in router.written.parent.iterdir()] == ["knockd.conf"]


@pytest.mark.parametrize("network, up, interface", [
    ("option device eth1", "pppoe-wan", "pppoe-wan"),  # what it has now
    ("option device eth1", None, "eth1"),
    ("option ifname eth0.2", None, "eth0.2"),
    ("option proto pppoe\noption device eth1", None, "pppoe-wan"),  # what it will have
    ("option proto pppoe\noption pppname isp", None, "isp"),
    ("option proto wireguard", None, "wan"),  # the device is called like the network
])
def test_a_network_is_its_device(router, network, up, interface):
    router.uci("network", f"config interface wan\n{network}\n")
    router.uci("knockd", RULE)
    if up:
        router.up("wan", up)
    router.start()
    assert router.interface() == [interface]


def test_a_line_that_is_hung_up_keeps_its_device(router):
    router.uci("network", "config interface wan\n option proto pppoe\n")
    router.uci("knockd", RULE)
    router.up("wan", "pppoe-wan")
    router.start()
    before = router.written.read_text()
    router.down("wan")
    router.start()
    assert router.written.read_text() == before


@pytest.mark.parametrize("names", ["option interface 'wan wan6 br-lan'",
                                   "option interface 'wan,wan6,br-lan'",
                                   "list interface wan\n list interface wan6\n"
                                   "list interface br-lan"])
def test_networks_and_devices_can_be_mixed(router, names):
    router.uci("network", "config interface wan\n option device eth1\n"
                          "config interface wan6\n option device @wan\n")
    router.uci("knockd", RULE.replace("option interface 'wan'", names))
    router.start()
    assert router.interface() == ["eth1,br-lan"]


def test_rules_without_an_interface_listen_outside(router):
    router.uci("knockd", RULE.replace("option interface 'wan'", ""))
    router.start()
    assert router.interface() == ["eth1"]


def test_what_is_shipped_has_no_rule_and_can_be_read(router):
    router.uci("knockd", (FILES / "knockd.config").read_text())
    router.start()
    assert f"    include = {router.by_hand}\n" in router.checked()[0]


def test_the_commented_rule_becomes_a_door(router):
    text = (FILES / "knockd.config").read_text()
    rule = re.sub(r"(?m)^#(?=config|\t)", "", text).replace("PORT,PORT:udp,PORT", "7421,96:udp,18")
    router.uci("knockd", rule)
    router.start()
    written, _ = router.checked()
    assert "nft add element inet fw4 knockd4 '{ %IP% . tcp . 22 timeout 1h }'" in written


def test_the_quick_start_of_the_readme_is_a_door(router):
    section = (TREE / "README.md").read_text().split("## Quick start: OpenWrt\n")[1]
    block = re.search(r"^    config options.*?(?=\n\S)", section, re.DOTALL | re.MULTILINE)[0]
    router.uci("knockd", block)
    router.start()
    written, _ = router.checked()
    assert "interface = eth1\n[ssh]\n" in written
    assert "command_6 = nft add element inet fw4 knockd6 '{ %IP% . tcp . 22 timeout 1h }'" in written


@pytest.fixture
def packages(installed, tmp_path):
    """What the feed's Makefile puts into its packages: {package: {path: mode}}."""
    run("make", "-C", str(TREE / "openwrt"), f"TOPDIR={STAND_INS}",
        f"PKG_INSTALL_DIR={installed}", f"OUT={tmp_path}/packages", "packages")
    return {package.name: {str(path.relative_to(package)): path.stat().st_mode & 0o777
                           for path in package.rglob("*") if path.is_file()}
            for package in (tmp_path / "packages").iterdir()}


def test_the_packages_hold_what_they_should(packages):
    assert packages == {
        "knock": {"usr/bin/knock": 0o755},
        "knockd": {
            "usr/sbin/knockd": 0o755,
            "usr/sbin/knockd-firewall": 0o755,
            "etc/config/knockd": 0o600,
            "etc/init.d/knockd": 0o755,
            "etc/knockd.conf": 0o600,
            "etc/uci-defaults/50-knockd": 0o755,
            "usr/share/nftables.d/chain-pre/input_wan/20-knockd.nft": 0o644,
            "usr/share/nftables.d/table-post/20-knockd.nft": 0o644,
        },
    }
