# SPDX-License-Identifier: MIT
"""knockd-firewall before real nft and iptables in the test network, and before stand-ins of uci and
firewalld. And the sets and rules for fw4, in a table like fw4's."""

import json
import os
import re

import pytest

from conftest import TREE
from network import run
from waiting import wait_until

PROGRAM = TREE / "firewall/knockd-firewall"
STAND_INS = TREE / "tests/packaging/firewall"
# As an administrator writes it: nothing comes in or through, but of connections that stand.
ALL_DROPPED = """
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop
        ct state established,related accept
        icmpv6 type != echo-request accept
    }
    chain forward {
        type filter hook forward priority filter; policy drop
        ct state established,related accept
        icmpv6 type != echo-request accept
    }
}
"""


class Firewall:
    """knockd-firewall on a host, with $KNOCKD_FIREWALL, or if that is empty with what it finds."""

    def __init__(self, host, shell, folder, kind=""):
        self._host = host
        self.shell = shell
        self._argv = [*shell, PROGRAM]
        self.environment = {**os.environ, "KNOCKD_FIREWALL": kind,
                            "KNOCKD_LOCK": str(folder / "lock"), "STAND_IN_STATE": str(folder)}

    def run(self, *arguments):
        return self._host.run(*self._argv, *arguments, check=False, env=self.environment)

    def __call__(self, *arguments):
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout
        assert done.stdout == ""


def shut(host, kind):
    """The same rules by either tool."""
    if kind == "nft":
        host.run("nft", ALL_DROPPED)
        return
    for iptables in ("iptables", "ip6tables"):
        for chain in ("INPUT", "FORWARD"):
            host.run(iptables, "-A", chain, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED",
                     "-j", "ACCEPT")
            if iptables == "ip6tables":
                host.run(iptables, "-A", chain, "-p", "icmpv6", "-j", "ACCEPT")
            host.run(iptables, "-P", chain, "DROP")


def rules(host, kind):
    """All that the firewall holds."""
    if kind == "nft":
        return host.run("nft", "list", "ruleset").stdout
    return "".join(host.run(iptables, "-t", table, "-S").stdout
                   for iptables in ("iptables", "ip6tables") for table in ("filter", "nat"))


@pytest.fixture(params=["nft", "iptables"])
def kind(request):
    return request.param


@pytest.fixture
def shut_server(server, kind):
    shut(server, kind)
    return server


@pytest.fixture
def firewall(shut_server, shell, tmp_path, kind):
    """With the real tools; which, it finds out."""
    return Firewall(shut_server, shell, tmp_path)


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_is_opened_to_one_address_and_closed(network, firewall, kind, family):
    server, client, stranger = network.server, network.client, network.stranger
    address = server.address(family)
    server.serve(22)
    shut_up = rules(server, kind)
    assert not client.reaches(address, 22)

    firewall("open-port", "KnockdSSH", client.address(family), 22)
    assert client.reaches(address, 22, timeout=2)
    assert not stranger.reaches(address, 22)
    assert f"KnockdSSH_{client.address(family)}_22" in rules(server, kind)

    opened = rules(server, kind)
    firewall("open-port", "KnockdSSH", client.address(family), 22)
    assert rules(server, kind) == opened

    for _ in range(2):
        firewall("close-port", "KnockdSSH", client.address(family), 22)
        assert rules(server, kind) == shut_up


@pytest.fixture
def router(network, kind):
    """The server between client and stranger, who answers by way of it."""
    server, client, stranger = network.server, network.client, network.stranger
    server.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1",
               "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
    # Without one, a router cannot ask for the neighbours of others.
    server.run("ip", "addr", "add", "fe80::1/64", "dev", "eth0", "nodad")
    stranger.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_redirects=0")
    for family in (4, 6):
        stranger.run("ip", f"-{family}", "route", "add", client.address(family), "via",
                     server.address(family))
    stranger.serve(80)
    return server


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("form", ["new", "old"])
def test_a_forward_leads_one_address_to_a_machine_behind(network, router, firewall, kind,
                                                            family, form):
    client = network.client
    source, inside = client.address(family), network.stranger.address(family)
    if form == "new":
        port, name = 81, f"KnockdFW_{source}_81"
        add = ("forward-port", "KnockdFW", source, 81, inside, 80)
        remove = ("remove-forward-port", "KnockdFW", source, 81)
    else:
        port, name = 80, f"Knockd_{source}_80"
        add, remove = (80, source, inside, "-I"), (80, source, inside, "-D")
    assert not client.reaches(router.address(family), port)

    for _ in range(2):
        firewall(*add)
    assert client.reaches(router.address(family), port, timeout=2)
    assert rules(router, kind).count(name) == 2  # one leads there, one lets through
    for _ in range(2):
        firewall(*remove)
    assert not client.reaches(router.address(family), port)
    assert name not in rules(router, kind)


def test_several_ports_and_udp_at_once(client, shut_server, firewall, kind):
    before = rules(shut_server, kind)
    firewall("open-port", "all", client.ipv4, 22, "443:tcp", "1194:udp")
    added = rules(shut_server, kind)
    for name, protocol, port in (("22", "tcp", 22), ("443", "tcp", 443), ("1194_udp", "udp", 1194)):
        rule = next(line for line in added.splitlines() if f'"all_192.0.2.2_{name}"' in line)
        assert re.search(rf"{protocol} .*dport {port} ", rule)
    firewall("close-port", "all", client.ipv4, 22, "443:tcp", "1194:udp")
    assert rules(shut_server, kind) == before


def test_names_that_are_alike_are_not_mixed_up(shut_server, firewall, kind):
    firewall("open-port", "ssh", "192.0.2.1", 22)
    firewall("open-port", "ssh", "192.0.2.1", 2222)
    firewall("open-port", "sshd", "192.0.2.1", 22)
    firewall("close-port", "ssh", "192.0.2.1", 22)
    left = rules(shut_server, kind)
    assert '"ssh_192.0.2.1_2222"' in left and '"sshd_192.0.2.1_22"' in left
    assert '"ssh_192.0.2.1_22"' not in left


def test_doors_that_open_at_once_give_one_rule(client, shut_server, shell, tmp_path, kind):
    firewall = Firewall(shut_server, shell, tmp_path)
    argv = [*shell, PROGRAM, "open-port", "ssh", client.ipv4, "22"]
    several = [shut_server.start(*argv, env=firewall.environment) for _ in range(8)]
    assert [process.wait(30) for process in several] == [0] * 8
    assert rules(shut_server, kind).count("ssh_192.0.2.2_22") == 1


def test_the_commands_of_older_guides_work_under_their_names(network, router, firewall, tmp_path,
                                                             kind):
    """As they stand there, with the blanks of there."""
    for name in ("uciknockd.sh", "forward.sh"):
        (tmp_path / name).symlink_to(PROGRAM)
    guides = "".join(path.read_text() for path in (TREE / "tests/data/config/good").glob("seed001*"))
    commands = re.findall(r"= */(?:etc|path/to)/((?:uciknockd|forward)\.sh .*)$", guides, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        name, *arguments = command.replace("%IP%", network.client.ipv4).split()
        done = router.run(*firewall.shell, tmp_path / name, *arguments, check=False,
                          env=firewall.environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        opens = not re.search(r"close|remove|-D", command)
        mark = f"{arguments[1] if name == 'uciknockd.sh' else 'Knockd'}_{network.client.ipv4}_"
        assert (mark in rules(router, kind)) == opens, f"{command}\n{rules(router, kind)}"


def test_a_drawn_door_is_one_that_the_daemon_takes(shell, knockd, tmp_path):
    made = set()
    for number in range(20):
        door = run(*shell, str(PROGRAM), "new-door", "ssh", "22", "1194:udp").stdout
        config = tmp_path / f"{number}.conf"
        config.write_text(door)
        config.chmod(0o600)
        said = run(str(knockd), "-t", "-c", str(config),
                   env={**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}).stdout
        assert said == "configuration OK\n", f"{door}\n{said}"
        knocks = re.search(r"Sequence += (.*)", door)[1].replace(",", " ")
        assert f"knock HOST {knocks}\n" in door
        assert "Start_Command = knockd-firewall open-port ssh %IP% 22 1194:udp\n" in door
        made.add(knocks)
    assert len(made) == 20


REFUSED = [
    ("new-door", "options", "22"),
    ("new-door", "a b", "22"),
    ("new-door", "ssh"),
    ("new-door", "ssh", "22\nCommand = reboot"),
    ("open-port", "ssh", "192.0.2.7; reboot", "22"),
    ("open-port", "ssh", "192.0.2.256", "22"),
    ("open-port", "ssh", "192.0.2.010", "22"),
    ("open-port", "ssh", "192.0.2", "22"),
    ("open-port", "ssh", "192.0.2.7/0", "22"),
    ("open-port", "ssh", "host.example", "22"),
    ("open-port", "ssh", "1:2:3::4 accept", "22"),
    ("open-port", "ssh", "", "22"),
    ("open-port", "ssh", "-j", "22"),
    ("open-port", "a b", "192.0.2.7", "22"),
    ("open-port", "$(reboot)", "192.0.2.7", "22"),
    ("open-port", "-x", "192.0.2.7", "22"),
    ("open-port", "", "192.0.2.7", "22"),
    ("open-port", "ssh", "192.0.2.7", "0"),
    ("open-port", "ssh", "192.0.2.7", "65536"),
    ("open-port", "ssh", "192.0.2.7", "22:sctp"),
    ("open-port", "ssh", "192.0.2.7", "22:23"),
    ("open-port", "ssh", "192.0.2.7", "22,23"),
    ("open-port", "ssh", "192.0.2.7", "22", "x"),
    ("open-port", "ssh", "192.0.2.7"),
    ("open-door", "ssh", "192.0.2.7", "22"),
    ("forward-port", "web", "192.0.2.7", "81", "fe80::1", "80"),
    ("forward-port", "web", "192.0.2.7", "81", "10.0.0.1", "80;"),
    ("forward-port", "web", "192.0.2.7", "81", "10.0.0.1"),
    ("22", "192.0.2.7", "10.0.0.1", "-X"),
    ("22", "192.0.2.7", "10.0.0.1"),
    (),
]


def test_what_is_no_name_address_or_port_is_refused(shut_server, firewall, kind):
    before = rules(shut_server, kind)
    for arguments in REFUSED:
        done = firewall.run(*arguments)
        assert done.returncode == 1, arguments
        assert done.stdout.startswith(("knockd-firewall: ", "usage: ")), arguments
    assert rules(shut_server, kind) == before


@pytest.fixture
def with_stand_ins(server, shell, tmp_path):
    """A host whose firewall is uci, or firewalld, as `kind` says."""
    def make(kind=""):
        firewall = Firewall(server, shell, tmp_path, kind)
        firewall.environment["PATH"] = f"{STAND_INS}:{firewall.environment['PATH']}"
        return firewall
    return make


class TestUci:
    @pytest.fixture
    def firewall(self, with_stand_ins):
        return with_stand_ins()  # where there is uci it is taken

    @pytest.fixture
    def state(self, tmp_path):
        """What is committed, and the commits and reloads."""
        def read():
            assert not (tmp_path / "changes.json").exists(), "not committed"
            path, calls = tmp_path / "firewall.json", tmp_path / "calls"
            return (list(json.loads(path.read_text()).values()) if path.exists() else [],
                    calls.read_text().splitlines() if calls.exists() else [])
        return read

    def test_an_open_port_is_a_rule_that_luci_shows(self, firewall, state):
        for _ in range(2):
            firewall("open-port", "KnockdSSH", "1.1.1.1", 22)
        assert state() == (
            [{"": "rule", "name": "KnockdSSH_1.1.1.1_22", "src": "wan", "family": "ipv4",
              "src_ip": "1.1.1.1", "proto": "tcp", "dest_port": "22", "target": "ACCEPT"}],
            ["commit", "fw4 -q reload"])
        for _ in range(2):
            firewall("close-port", "KnockdSSH", "1.1.1.1", 22)
        assert state() == ([], ["commit", "fw4 -q reload"] * 2)

    def test_a_forward_is_a_redirect(self, firewall, state):
        for _ in range(2):
            firewall("forward-port", "KnockdFW", "2001:db8::7", 81, "2001:db8::99", 80)
        assert state()[0] == [
            {"": "redirect", "name": "KnockdFW_2001:db8::7_81", "src": "wan", "family": "ipv6",
             "src_ip": "2001:db8::7", "proto": "tcp", "src_dport": "81",
             "dest_ip": "2001:db8::99", "dest_port": "80", "target": "DNAT", "dest": "lan"}]
        firewall("remove-forward-port", "KnockdFW", "2001:db8::7", 81)
        assert state()[0] == []

    def test_several_ports_reload_once(self, firewall, state):
        firewall("open-port", "all", "1.1.1.1", 22, 80, "1194:udp")
        sections, calls = state()
        assert [section["name"] for section in sections] == [
            "all_1.1.1.1_22", "all_1.1.1.1_80", "all_1.1.1.1_1194_udp"]
        assert calls == ["commit", "fw4 -q reload"]

    def test_a_rule_that_fails_leaves_nothing(self, firewall, state):
        firewall.environment["UCI_REFUSES"] = "ACCEPT"
        assert firewall.run("open-port", "ssh", "1.1.1.1", 22).returncode == 1
        assert state() == ([], [])


class TestFirewalld:
    @pytest.fixture
    def firewall(self, with_stand_ins):
        return with_stand_ins("firewalld")

    RULE = 'rule family="ipv4" source address="1.1.1.1" port port="22" protocol="tcp" accept'

    def test_an_open_port_is_a_rich_rule(self, firewall, tmp_path):
        for _ in range(2):
            firewall("open-port", "ssh", "1.1.1.1", 22)
        assert (tmp_path / "default").read_text() == f"{self.RULE}\n"
        for _ in range(2):
            firewall("close-port", "ssh", "1.1.1.1", 22)
        assert (tmp_path / "default").read_text() == ""

    def test_the_zone_can_be_chosen(self, firewall, tmp_path):
        firewall.environment["KNOCKD_ZONE"] = "public"
        firewall("open-port", "ssh", "1.1.1.1", 22)
        assert (tmp_path / "public").read_text() == f"{self.RULE}\n"

    def test_a_forward_is_removed_wherever_it_leads(self, firewall, tmp_path):
        firewall("forward-port", "web", "1.1.1.1", 81, "10.0.0.9", 80)
        firewall("forward-port", "web", "1.1.1.1", 82, "10.0.0.9", 80)
        forward = ('rule family="ipv4" source address="1.1.1.1" forward-port port="{}"'
                   ' protocol="tcp" to-port="80" to-addr="10.0.0.9"\n')
        assert (tmp_path / "default").read_text() == forward.format(81) + forward.format(82)
        firewall("remove-forward-port", "web", "1.1.1.1", 81)
        assert (tmp_path / "default").read_text() == forward.format(82)


class TestSetsOfFw4:
    """What OpenWrt's package lays beside fw4, which renders its table anew at every reload."""

    @pytest.fixture
    def reload(self, server, tmp_path):
        files = TREE / "openwrt/files"
        ruleset = tmp_path / "fw4.nft"
        ruleset.write_text(f"""
            table inet fw4
            flush table inet fw4
            table inet fw4 {{
                chain input {{
                    type filter hook input priority filter; policy drop
                    ct state established,related accept
                    icmpv6 type != echo-request accept
                    iifname "eth0" jump input_wan
                }}
                chain input_wan {{
                    include "{files}/input_wan.nft"
                    drop
                }}
                include "{files}/sets.nft"
            }}
            """)

        def reload():
            server.run("nft", "-f", ruleset)
        reload()
        return reload

    @pytest.mark.parametrize("family", [4, 6])
    def test_an_element_opens_a_port_and_outlives_a_reload(self, network, reload, family):
        server, client, stranger = network.server, network.client, network.stranger
        address = server.address(family)
        server.serve(22)
        server.serve(23)
        assert not client.reaches(address, 22)
        server.run("nft", f"add element inet fw4 knockd{family}"
                          f" {{ {client.address(family)} . tcp . 22 timeout 1h }}")
        assert client.reaches(address, 22, timeout=2)
        reload()
        assert client.reaches(address, 22, timeout=2)
        assert not client.reaches(address, 23)
        assert not stranger.reaches(address, 22)

    def test_the_kernel_closes_by_itself(self, network, reload):
        server, client = network.server, network.client
        server.serve(22)
        server.run("nft", f"add element inet fw4 knockd4 {{ {client.ipv4} . tcp . 22 timeout 1s }}")
        wait_until(lambda: not client.reaches(server.ipv4, 22), "the end of the element")
        assert client.ipv4 not in server.run("nft", "list", "set", "inet", "fw4", "knockd4").stdout
