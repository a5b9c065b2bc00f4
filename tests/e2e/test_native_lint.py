# SPDX-License-Identifier: MIT
"""-t for doors without a shell, with a real ruleset and real interfaces."""

import subprocess

from daemon import findings
from network import run

DOOR = "[ssh]\nSequence = 7421,3096:udp,5518\nTCPFlags = syn\nOpen = 22\n"
FILTER = ("table inet filter {{ chain input {{ type filter hook input priority 0; policy drop;"
          " ct state established accept; {} }}; }}\n")


def warnings(server, knockd, file, text, *arguments):
    file.write_text(text)
    file.chmod(0o600)
    printed = findings(server.run(knockd, "-t", "-c", file, *arguments).stdout)
    assert printed[-1] == "configuration OK"
    return printed[:-1]


def load(server, ruleset):
    subprocess.run(server.argv("nft", "-f", "-"), input=ruleset, text=True, check=True, timeout=30)


def test_a_chain_that_drops_afterwards_is_named(server, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    assert warnings(server, knockd, file, DOOR) == []
    load(server, FILTER.format(""))
    warning, = warnings(server, knockd, file, DOOR)
    assert "port 22: chain inet filter input, which comes after knockd's own table" in warning
    load(server, "flush ruleset\n" + FILTER.format("tcp dport { 22, 80 } accept;"))
    assert warnings(server, knockd, file, DOOR) == []


def test_a_chain_of_iptables_is_named_too(server, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    server.run("iptables-nft", "-A", "INPUT", "-j", "REJECT")
    warning, = warnings(server, knockd, file, DOOR)
    assert "port 22: chain ip filter INPUT" in warning
    server.run("iptables-nft", "-I", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT")
    assert warnings(server, knockd, file, DOOR) == []


def test_knockds_own_table_is_not_named(server, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    text = f"[options]\nControl = none\nStateFile = {tmp_path}/open-doors\n" + DOOR
    file.write_text(text)
    server.run(knockd, "--shut", "-c", file)
    assert warnings(server, knockd, file, text) == []
    server.run(knockd, "--unshut", "-c", file)


def test_a_set_is_checked(server, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    text = DOOR + "Open_Set = inet own four\nOpen_Set_6 = inet own six\n"
    load(server, "table inet own { set four { type ipv4_addr; }\n"
                 "set six { type ipv6_addr . inet_proto . inet_service; flags timeout; }\n }\n")
    warning, = warnings(server, knockd, file, text)
    assert warning.endswith("set inet own four has no 'flags timeout': the kernel would shut nobody "
                            "out again")


def test_interfaces_at_which_ports_stay_open_are_named(network, server, knockd, tmp_path):
    network.plug(server, "eth1", mac="02:00:00:00:01:01", ipv4="198.51.100.1", ipv6="2001:db8:1::1")
    file = tmp_path / "knockd.conf"
    warning, = warnings(server, knockd, file, DOOR)
    assert "Open: at eth1 (198.51.100.1) knockd does not listen" in warning
    warning, = warnings(server, knockd, file, DOOR, "-i", "eth1")
    assert f"Open: at eth0 ({server.ipv4}) knockd does not listen" in warning
    for arguments in (["-i", "eth0,eth1"], ["-i", "any"]):
        assert warnings(server, knockd, file, DOOR, *arguments) == []
    assert warnings(server, knockd, file, "[options]\nInterface = any\n" + DOOR) == []


def test_an_interface_with_only_link_local_addresses_is_not_named(network, server, knockd, tmp_path):
    network.plug(server, "eth1", mac="02:00:00:00:01:01", ipv4="169.254.7.1", ipv6="fe80::7")
    assert warnings(server, knockd, tmp_path / "knockd.conf", DOOR) == []


def test_a_bridge_is_covered_by_one_of_its_ports(server, knockd, tmp_path):
    here = ["ip", "-n", server.namespace]
    run(*here, "addr", "flush", "dev", "eth0")
    run(*here, "link", "add", "br0", "type", "bridge")
    run(*here, "link", "set", "br0", "up")
    run(*here, "link", "set", "eth0", "master", "br0")
    run(*here, "addr", "add", f"{server.ipv4}/24", "dev", "br0")
    assert warnings(server, knockd, tmp_path / "knockd.conf", DOOR) == []
