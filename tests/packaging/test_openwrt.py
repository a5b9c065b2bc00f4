# SPDX-License-Identifier: MIT
"""The init script for OpenWrt, with a router's shell and stubs of procd and UCI: its calls to
procd, and whether the daemon accepts the configuration that it writes. Also the feed's Makefile,
with stubs of OpenWrt's: the contents of the packages."""

import os
import re
import shutil
import signal

import pytest

import senders
from conftest import TREE
from network import run
from router import FILES, STAND_INS, Router
from waiting import repeat_until, wait_until


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
    option command "nft 'add element inet fw4 knockd4 { %IP% . tcp . 22 timeout 1h }; delete element inet fw4 knockd4 { %IP% . tcp . 22 }; add element inet fw4 knockd4 { %IP% . tcp . 22 timeout 1h }'"
    option command_6 'ip6tables -I INPUT -s %IP% -j ACCEPT'
    option cmd_timeout '3600'
    option stop_command 'iptables -D INPUT -s %IP% -j ACCEPT'
    option stop_command_6 'ip6tables -D INPUT -s %IP% -j ACCEPT'
"""


def test_procd_runs_one_daemon_in_the_foreground_and_always_restarts_it(router):
    assert router.instance() == [
        "procd_open_instance",
        "procd_set_param <command> </usr/sbin/knockd> <-c> </var/run/knockd.conf>",
        "procd_set_param <file> </var/run/knockd.conf> </etc/knockd.conf> </var/run/knockd.reload>",
        "procd_set_param <reload_signal> <HUP>",
        "procd_set_param <respawn> <3600> <5> <0>",
        "procd_set_param <term_timeout> <5>",
        "procd_set_param <stderr> <1>",
        "procd_close_instance",
    ]


def test_the_command_never_changes(router):
    """For a changed command procd sends only the reload signal, and the daemon would not see the
    change."""
    without_rule = router.instance()
    router.uci("knockd", RULE)
    router.up("wan", "pppoe-wan")
    assert router.instance() == without_rule


def test_an_unwritable_configuration_leaves_the_daemon_running(router):
    """Without an instance, procd would stop it."""
    router.start()
    before = router.written.read_text()
    router.uci("knockd", RULE)
    router.written.with_name("knockd.conf.new").mkdir()
    router.running()
    assert any("knockd.conf.new" in line for line in router.refused())
    assert router.written.read_text() == before


def test_options_left_over_from_another_package_are_not_used_for_a_door(router):
    """config_load forgets no option, and sections of two packages may have one name."""
    router.uci("network", "config interface wan\n option device eth1\n option proto static\n")
    router.uci("knockd", RULE.replace("'openSSH'", "'wan'"))
    router.start()
    written, _ = router.checked()
    assert written.count("\n[wan]\n") == 1 and "static" not in written


def test_configuration_changes_trigger_a_reload_and_network_changes_a_start(router):
    router.uci("knockd", "config options 'common'\n option interface 'wan wan6'\n")
    assert router.triggers() == [
        "procd_add_reload_trigger <knockd> <network>",
        "procd_open_trigger",
        "procd_add_interface_trigger <interface.*> <wan> </etc/init.d/knockd> <start>",
        "procd_close_trigger",
        "procd_open_trigger",
        "procd_add_interface_trigger <interface.*> <wan6> </etc/init.d/knockd> <start>",
        "procd_close_trigger",
    ]


def test_a_network_name_is_not_a_file_pattern(router, tmp_path, monkeypatch):
    (tmp_path / "wan7").touch()
    monkeypatch.chdir(tmp_path)
    router.uci("knockd", RULE.replace("'wan'", "'wan?'"))
    assert "procd_add_interface_trigger <interface.*> <wan?> </etc/init.d/knockd> <start>" in \
        router.triggers()
    assert router.interface() == ["wan?"]


def test_without_a_rule_the_hand_written_file_is_used(router):
    router.start()
    written, _ = router.checked()
    assert f"    include = {router.by_hand}\n" in written
    assert "UseSyslog" not in written  # it configures its own log
    router.by_hand.write_text("broken")
    assert any(line.startswith("/etc/knockd.conf:1:") for line in router.refused())


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
    command = nft 'add element inet fw4 knockd4 { %IP% . tcp . 22 timeout 1h }; delete element inet fw4 knockd4 { %IP% . tcp . 22 }; add element inet fw4 knockd4 { %IP% . tcp . 22 timeout 1h }'
    command_6 = ip6tables -I INPUT -s %IP% -j ACCEPT
    cmd_timeout = 3600
    stop_command = iptables -D INPUT -s %IP% -j ACCEPT
    stop_command_6 = ip6tables -D INPUT -s %IP% -j ACCEPT
"""


def test_the_old_misspelling_is_accepted(router):
    router.uci("knockd", RULE.replace("stop_command_6", "stop_command6"))
    router.start()
    assert "    stop_command_6 = ip6tables -D" in router.written.read_text()


def test_rules_without_a_name_are_separate_doors(router):
    anonymous = RULE.replace("config rule 'openSSH'", "config rule")
    router.uci("knockd", anonymous + anonymous.split("'wan'")[1])
    router.start()
    assert re.findall(r"^\[(.*)\]$", router.written.read_text(), re.MULTILINE) == [
        "options", "cfg1", "cfg2"]
    router.checked()


def test_a_line_break_in_a_value_adds_no_directive(router):
    router.uci("knockd", RULE.replace("'5'", "'5\n[more]\nsequence = 1'"))
    error, *others = router.refused()
    assert error.startswith(
        '/var/run/knockd.conf.new:7:19: seq_timeout "5 [more] sequence = 1": expected')
    assert others[0].endswith(" is what /etc/config/knockd became"), "an error is one line"


def test_the_configuration_is_readable_only_by_its_owner(router):
    router.uci("knockd", RULE)
    router.start()
    assert router.written.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in router.written.parent.iterdir()] == ["knockd.conf"]


@pytest.mark.parametrize("network, up, interface", [
    ("option device eth1", "pppoe-wan", "pppoe-wan"),  # its current device
    ("option device eth1", None, "eth1"),
    ("option ifname eth0.2", None, "eth0.2"),
    ("option proto pppoe\noption device eth1", None, "pppoe-wan"),  # its future device
    ("option proto pppoe\noption pppname isp", None, "isp"),
    ("option proto wireguard", None, "wan"),  # the device is named like the network
])
def test_a_network_is_its_device(router, network, up, interface):
    router.uci("network", f"config interface wan\n{network}\n")
    router.uci("knockd", RULE)
    if up:
        router.up("wan", up)
    router.start()
    assert router.interface() == [interface]


def test_a_disconnected_line_keeps_its_device(router):
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


def test_the_shipped_configuration_has_no_rule_and_is_valid(router):
    router.uci("knockd", (FILES / "knockd.config").read_text())
    router.start()
    assert f"    include = {router.by_hand}\n" in router.checked()[0]


def test_the_commented_rule_becomes_a_door(router):
    text = (FILES / "knockd.config").read_text()
    rule = re.sub(r"(?m)^#(?=config|\t)", "", text).replace("PORT,PORT:udp,PORT", "7421,96:udp,18")
    router.uci("knockd", rule)
    router.with_fw4()
    router.start()
    written, _ = router.checked()
    assert written.split("[options]\n")[1] == """\
    UseSyslog
    interface = eth1
    open_set = inet fw4 knockd4
    open_set_6 = inet fw4 knockd6
[ssh]
    sequence = 7421,96:udp,18
    tcpflags = syn
    open = 22
    open_for = 1h
"""


def test_the_rule_of_the_documentation_is_a_door(router):
    section = (TREE / "docs/openwrt.md").read_text().split("## Doors by UCI\n")[1]
    block = re.search(r"^    config options.*?(?=\n\S)", section, re.DOTALL | re.MULTILINE)[0]
    router.uci("knockd", block)
    router.start()
    written, _ = router.checked()
    assert "interface = eth1\n[ssh]\n" in written
    assert "    open = 22\n    open_for = 1h\n" in written


def test_places_that_change_with_time(router, tmp_path):
    """The daemon's own check of the configuration reads the file of secrets."""
    secrets = tmp_path / "secrets"
    secrets.write_text("alice JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n")
    rule = ("config rule 'phones'\n list sequence '7421'\n" + " list sequence 'totp'\n" * 4 +
            f" option secrets '{secrets}'\n option open '22'\n")
    router.uci("knockd", rule)
    secrets.chmod(0o600)
    router.start()
    written, _ = router.checked()
    assert f"    secrets = {secrets}\n" in written
    assert "    sequence = 7421,totp,totp,totp,totp\n" in written


OPEN = "config rule 'ssh'\n option sequence '7421,3096,5518'\n option open '22'\n"
SETS = "    open_set = inet fw4 knockd4\n    open_set_6 = inet fw4 knockd6\n"


@pytest.mark.parametrize("rule, options, fw4, expected", [
    (OPEN, "", True, True),
    (OPEN, "", False, False),  # fw3: a table of knockd's own
    (RULE, "", True, False),
    (OPEN, "config options 'own'\n option open_set 'inet fw4 mine'\n", True, False),
    (OPEN, "config options 'own'\n option open_set_6 'inet fw4 mine'\n", True, False),
    (OPEN + " option open_set 'inet fw4 mine'\n", "", True, True),  # the rule's own set wins
    (OPEN.replace("option open", "list open"), "", True, True),
    ("", "", True, True),  # doors written by hand may have Open
])
def test_the_sets_of_the_firewall_are_named(router, rule, options, fw4, expected):
    if fw4:
        router.with_fw4()
    for text in (rule + options, options + rule):
        router.uci("knockd", text)
        router.start()
        assert (SETS in router.checked()[0]) == expected


def test_a_list_of_ports_becomes_one_directive(router):
    router.uci("knockd", OPEN.replace(" option open '22'", " list open 22\n list open 51820:udp"))
    router.start()
    assert "    open = 22,51820:udp\n" in router.checked()[0]


FAULTY = RULE.replace("seq_timeout", "seq_timeuot")
# Messages about the generated file, whose lines follow the options.
COMPLAINT = '/var/run/knockd.conf.new:7:5: unknown directive "seq_timeuot"'


def test_a_faulty_configuration_is_reported_and_starts_nothing(router):
    """procd would restart it for ever, and fill the log."""
    router.uci("knockd", FAULTY)
    said = router.refused()
    assert said[0].startswith(COMPLAINT)
    assert said[-1] == "the configuration is faulty, knockd is not started"
    assert not router.written.exists()


def test_a_fault_that_is_fixed_in_uci_starts_it(router):
    """The triggers are registered despite the fault."""
    router.uci("knockd", FAULTY)
    assert "procd_add_reload_trigger <knockd> <network>" in router.call("start", check=False)[1]
    router.uci("knockd", RULE)
    assert "procd_open_instance" in router.call("reload")[1]


@pytest.mark.parametrize("action", ["start", "reload"])
def test_a_faulty_configuration_leaves_the_daemon_running(router, action):
    """procd is not called: it would stop a daemon without an instance."""
    router.uci("knockd", RULE)
    router.start()
    before = router.written.read_text()
    router.running()
    router.uci("knockd", FAULTY)
    status, lines = router.call(action, check=False)
    assert status != 0 and "procd_close_service <set>" not in lines
    assert router.log()[-1].endswith("the configuration is faulty, the old one stays in force")
    assert router.written.read_text() == before


def test_a_restart_with_a_faulty_configuration_uses_the_old_one(router):
    router.uci("knockd", RULE)
    instance = router.instance()
    before = router.written.read_text()
    router.running()  # the state while it still closes its doors
    router.uci("knockd", FAULTY)
    status, lines = router.call("restart", check=False)
    assert status != 0 and [line for line in instance if line not in lines] == []
    assert router.log()[-1].endswith("the configuration is faulty, starting with the old one")
    assert router.written.read_text() == before


def test_a_restart_starts_nothing_if_the_old_one_includes_the_fault(router):
    router.start()
    router.by_hand.write_text("broken")
    router.running()
    assert router.refused("restart")[-1] == "the configuration is faulty, knockd is not started"


@pytest.mark.parametrize("option, complaint", [
    ("option seqence '1'", 'unknown directive "seqence"'),
    ("option command6 'true'", 'unknown directive "command6"'),
])
def test_no_option_is_lost(router, option, complaint):
    router.uci("knockd", f"{RULE}{option}\n")
    assert complaint in router.refused()[0]


@pytest.mark.parametrize("option", ["log_rat", "name"])
def test_no_option_for_the_daemon_is_lost(router, option):
    for rule in (RULE, ""):
        router.uci("knockd", f"config options 'common'\noption {option} '5'\n{rule}")
        assert f'unknown directive "{option}"' in router.refused()[0]


def test_a_door_may_have_a_name_of_its_own(router):
    router.uci("knockd", f"{RULE}option name 'ssh of mine'\n")
    router.start()
    assert "\n[ssh of mine]\n" in router.checked()[0]


def test_options_reach_the_daemon(router):
    """Even without a rule; then the hand-written file follows and wins."""
    for rule in (RULE, ""):
        router.uci("knockd", f"{rule}config options\noption scan_limit '7'\n")
        router.start()
        assert "    scan_limit = 7\n" in router.checked()[0].split("[by-hand]")[0]


def test_a_section_of_unknown_type_is_reported(router):
    router.uci("knockd", RULE.replace("config rule", "config rules"))
    assert router.refused()[0] == (
        "/etc/config/knockd: section 'openSSH' is of type 'rules': expected options or rule")


def test_a_file_that_uci_cannot_parse_is_reported(router):
    """Hand-written doors do not replace those in the file."""
    router.uci("knockd", RULE.replace("'wan'", "'wan"))
    assert router.refused()[0].startswith("/etc/config/knockd: ")


def test_without_a_uci_file_the_hand_written_one_is_used(router):
    (router.root / "etc/config/knockd").unlink()
    router.start()
    assert f"include = {router.by_hand}\n" in router.checked()[0]


def test_lists_become_one_directive(router):
    lists = RULE.replace("option sequence '7421,3096,5518'",
                         "list sequence 7421\nlist sequence 3096:udp\nlist sequence 5518")
    lists = lists.replace("option tcpflags 'syn'", "list tcpflags syn\nlist tcpflags '!ack'")
    router.uci("knockd", lists)
    router.start()
    written, _ = router.checked()
    assert "    sequence = 7421,3096:udp,5518\n" in written
    assert "    tcpflags = syn,!ack\n" in written


def test_other_lists_are_a_directive_each(router):
    names = [router.root / f"{name}.conf" for name in "ab"]
    for name in names:
        name.write_text("")
    router.uci("knockd", "config options common\n" + "".join(f"list include {name}\n"
                                                             for name in names) + RULE)
    router.start()
    written, _ = router.checked()
    assert [f"    include = {name}\n" in written for name in names] == [True, True]


@pytest.mark.parametrize("value", ["0", "off", "false", "no", "disabled"])
def test_a_disabled_rule_is_not_a_door(router, value):
    router.uci("knockd", f"{RULE}option enabled {value}\n{RULE.replace('openSSH', 'other')}"
                         "option enabled 1\n")
    router.start()
    assert re.findall(r"^\[(.*)\]$", router.checked()[0], re.MULTILINE) == ["options", "other"]


def test_disabled_rules_do_not_enable_the_hand_written_doors(router):
    router.uci("knockd", f"{RULE}option enabled 0\n")
    router.start()
    assert "include" not in router.checked()[0]


def test_a_disabled_service_does_not_run(router):
    router.uci("knockd", f"config options common\noption enabled 0\n{RULE}")
    status, lines = router.call("start")
    assert "procd_open_instance" not in lines and "procd_close_service <set>" in lines
    assert "not started: enabled is 0 in /etc/config/knockd" in router.log()[-1]


def test_enabled_is_yes_or_no(router):
    router.uci("knockd", f"{RULE}option enabled perhaps\n")
    assert router.refused()[0] == (
        "/etc/config/knockd: section 'openSSH': enabled 'perhaps': expected 0 or 1")


class Procd:
    """procd's handling of the one instance: it sends the daemon the signal when a registered file
    has changed."""

    def __init__(self, router, server):
        self._router = router
        self._server = server
        self._files = None
        self.output = router.root / "output"
        self._process = None
        self.signals = 0

    def call(self, action):
        for line in self._router.call(action)[1]:
            if line.startswith("procd_set_param <file> "):
                self._take(re.findall("<(.*?)>", line)[1:])

    def _take(self, names):
        paths = [self._router.root / name[1:] for name in names]
        files = [path.read_text() if path.exists() else None for path in paths]
        if self._process is None:
            with self.output.open("wb") as output:
                self._process = self._server.start(
                    self._router.root / "usr/sbin/knockd", "-v", "-c", self._router.written,
                    stdout=output, stderr=output)
            wait_until(lambda: "starting up" in self.output.read_text(), "it listens",
                       self.output.read_text)
            self._router.running()
        elif files != self._files:
            self._process.send_signal(signal.SIGHUP)
            self.signals += 1
        self._files = files


@pytest.fixture
def procd(router, server):
    return Procd(router, server)


def test_a_reload_sees_changes_of_included_files(router, procd, server, client):
    """Included by the hand-written file, which itself is unchanged."""
    included = router.root / "etc/more.conf"
    included.write_text("")
    included.chmod(0o600)
    router.by_hand.write_text(f"[options]\nInterface = eth0\nStateFile = none\nControl = none\n"
                              f"Include = {included}\n")
    procd.call("start")
    included.write_text("[late]\nsequence = 7000:udp\ncommand = true\n")
    procd.call("reload")
    assert procd.signals == 1
    repeat_until(lambda: senders.with_nc(client, server.ipv4, "7000:udp"),
                 lambda: "late: OPEN SESAME" in procd.output.read_text(), "the new door",
                 procd.output.read_text)


def test_an_interface_that_changes_causes_no_reload(router, procd):
    """Its trigger is a start, and procd sees no change."""
    router.by_hand.write_text("[options]\nInterface = eth0\nStateFile = none\nControl = none\n")
    for action, signals in (("start", 0), ("reload", 1), ("start", 1), ("reload", 2)):
        procd.call(action)
        assert procd.signals == signals


def test_the_daemon_of_a_router_can_be_asked(router, procd, server):
    """Over the socket and with the group that UCI names."""
    control = router.root / "var/run/control"
    router.uci("knockd", f"config options common\noption interface eth0\noption control '{control}'\n"
                         f"option control_group daemon\noption statefile none\n{RULE}")
    procd.call("start")
    knockd = router.root / "usr/sbin/knockd"
    said = server.run(knockd, "--status", "-c", router.written).stdout
    assert "\n  openSSH " in said
    assert server.run("stat", "-c", "%G %a", control).stdout == "daemon 660\n"


class Firewall:
    """Replaces knockd-firewall: records each call, and whether a daemon was already running."""

    def __init__(self, router, status=0):
        self.calls = router.root / "calls"
        self.calls.touch()
        self._program = router.root / "usr/sbin/knockd-firewall"
        self.works(status)

    def works(self, status):
        self._program.write_text(f'#!/bin/sh\necho "$*" >>{self.calls}\n'
                                 f'echo "uci is busy"\nexit {status}\n')
        self._program.chmod(0o755)

    def lines(self):
        return self.calls.read_text().splitlines()


def test_forwards_of_an_earlier_boot_are_forgotten_once(router):
    """Even if nothing can be started."""
    firewall = Firewall(router)
    router.uci("knockd", FAULTY)
    router.call("start", check=False)
    assert firewall.lines() == ["forget-all"]
    router.uci("knockd", RULE)
    for action in ("start", "reload", "restart"):
        router.call(action)
    assert firewall.lines() == ["forget-all"]


def test_forwards_that_cannot_be_forgotten_are_reported_and_retried(router):
    firewall = Firewall(router, status=1)
    assert "procd_open_instance" in router.start()
    assert router.log()[0] == ("user.err knockd: knockd-firewall forget-all failed, forwards of an"
                               " earlier boot may be open: uci is busy")
    firewall.works(0)
    for _ in range(2):
        router.start()
    assert firewall.lines() == ["forget-all"] * 2


def test_forwards_of_a_running_daemon_are_kept(router):
    firewall = Firewall(router)
    router.running()
    router.start()
    assert firewall.lines() == []


def test_without_the_firewall_helper_nothing_is_forgotten(router):
    router.start()
    assert router.log() == []


def feed(*arguments, **options):
    """Runs make with the feed's Makefile."""
    return run("make", "-C", str(TREE / "openwrt"), f"TOPDIR={STAND_INS}", *arguments, **options)


@pytest.fixture
def packages(installed, tmp_path):
    """The contents of the feed's packages: {package: {path: mode}}."""
    feed(f"KNOCKD_SOURCE={TREE}", f"PKG_INSTALL_DIR={installed}", f"OUT={tmp_path}/packages",
         "packages")
    return {package.name: {str(path.relative_to(package)): path.stat().st_mode & 0o777
                           for path in package.rglob("*") if path.is_file()}
            for package in (tmp_path / "packages").iterdir()}


def test_nothing_is_built_without_a_checksum(tmp_path):
    done = feed(f"OUT={tmp_path}/packages", "packages", check=False)
    assert done.returncode != 0
    assert "PKG_HASH is empty" in done.stdout and "KNOCKD_SOURCE" in done.stdout
    assert not (tmp_path / "packages").exists()


def test_a_feed_without_a_checksum_can_still_be_listed():
    """Runtime dependencies are not repeated as build dependencies."""
    listed = feed("-s", "DUMP=1", "dumpinfo").stdout
    maintainer = "Maintainer: knockd developers <knockd@knockd.invalid>\nBuild-Depends: \n"
    assert "".join(f"Package: {name}\n{maintainer}"
                   for name in ("knockd", "knockd-fleet", "knock")) in listed


def test_a_build_from_a_clone_stays_in_its_build_folder(tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(TREE, clone, ignore=shutil.ignore_patterns("build*", ".git", "__pycache__"))
    before = {path.name for path in clone.iterdir()}
    feed(f"KNOCKD_SOURCE={clone}", "configure", timeout=60)
    assert {path.name for path in clone.iterdir()} == before | {"build"}
    # The folder of the table's lock and the control socket: a router has no /run.
    assert "KNOCKD_RUNDIR:PATH=/var/run/knockd\n" in (clone / "build/openwrt/CMakeCache.txt").read_text()


@pytest.mark.parametrize("argument, installed_to, called", [
    ("remove", "", True), ("upgrade", "", False), ("remove", "/image", False)])
def test_removal_opens_shut_ports_and_an_upgrade_does_not(tmp_path, argument, installed_to, called):
    """The script as OpenWrt's make writes it. The daemon takes a while to end."""
    makefile = (TREE / "openwrt/Makefile").read_text()
    script = re.search(r"define Package/knockd/prerm\n(.*?)endef", makefile, re.DOTALL)[1]
    program, calls = tmp_path / "knockd", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >>{calls}\n[ "$(grep -c unshut {calls})" = 2 ]\n')
    program.chmod(0o755)
    file = tmp_path / "prerm"
    for path in ("/usr/sbin/knockd", "/etc/init.d/knockd"):
        script = script.replace(path, str(program))
    file.write_text(script.replace("$$", "$"))
    run("busybox", "ash", str(file), argument, env={**os.environ, "IPKG_INSTROOT": installed_to})
    assert calls.exists() == called
    unshut = "--unshut -c /var/run/knockd.conf\n"
    assert not called or calls.read_text() == "stop\n" + 2 * unshut


def test_contents_of_the_packages(packages):
    assert packages == {
        "knock": {"usr/bin/knock": 0o755},
        "knockd": {
            "usr/sbin/knockd": 0o755,
            "usr/sbin/knockd-firewall": 0o755,
            "etc/config/knockd": 0o600,
            "etc/init.d/knockd": 0o755,
            "etc/knockd.conf": 0o600,
            "etc/uci-defaults/50-knockd": 0o755,
            "lib/upgrade/keep.d/knockd": 0o644,
            "usr/share/nftables.d/chain-pre/input_wan/20-knockd.nft": 0o644,
            "usr/share/nftables.d/table-post/20-knockd.nft": 0o644,
        },
        "knockd-fleet": {
            "usr/sbin/knockd-fleet": 0o755,
            "etc/config/knockd-fleet": 0o600,
            "etc/init.d/knockd-fleet": 0o755,
            "lib/upgrade/keep.d/knockd-fleet": 0o644,
        },
    }


# --- knockd-fleet

FLEET = """
config fleet 'common'
    option enabled '1'
    option broker 'broker.example'
    option gateway 'gw1'
    list doors 'ssh'
    list doors 'vpn'
"""


@pytest.fixture
def fleet(router):
    if "KNOCKD_FLEET_BINARY" not in os.environ:
        pytest.skip("this build has no knockd-fleet")
    (router.root / "usr/sbin/knockd-fleet").symlink_to(os.environ["KNOCKD_FLEET_BINARY"])
    router.script = "knockd-fleet.init"
    return router


def test_the_fleet_runs_as_its_own_user_with_the_options_of_uci(fleet):
    fleet.uci("knockd-fleet", FLEET)
    assert fleet.instance() == [
        "procd_open_instance",
        "procd_set_param <command> </usr/sbin/knockd-fleet> <-c> </var/run/knockd-fleet.conf>",
        "procd_set_param <file> </var/run/knockd-fleet.conf>",
        "procd_set_param <user> <_knockd-fleet>",
        "procd_set_param <no_new_privs> <1>",
        "procd_set_param <respawn> <3600> <5> <0>",
        "procd_set_param <stderr> <1>",
        "procd_close_instance",
    ]
    text = (fleet.root / "var/run/knockd-fleet.conf").read_text()
    assert [line.strip() for line in text.splitlines()[1:]] == [
        "[options]", "UseSyslog", "broker = broker.example", "gateway = gw1", "doors = ssh,vpn"]


def test_the_shipped_fleet_configuration_does_not_start(fleet):
    fleet.uci("knockd-fleet", (FILES / "knockd-fleet.config").read_text())
    assert not any("procd_open_instance" in line for line in fleet.start())
    assert any("enabled is 0" in line for line in fleet.log())


def test_a_faulty_fleet_configuration_is_reported_and_not_started(fleet):
    fleet.uci("knockd-fleet", FLEET.replace("option broker", "option brokr"))
    status, lines = fleet.call("start", check=False)
    assert status != 0 and not any("procd_open_instance" in line for line in lines)
    assert any('unknown key "brokr": expected Broker' in line for line in fleet.log()), fleet.log()
