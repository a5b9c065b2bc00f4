# SPDX-License-Identifier: MIT
"""The main job: a knock opens a real port in a real firewall, only for the knocker, and for the
configured time."""

import pytest

import senders
from waiting import wait_until

SECRET = 2222  # the port behind the firewall
SEQUENCE = "7000,8000:udp,9000"


def allow(tool, how):
    return f"{tool} -w {how} INPUT -s %IP% -p tcp --dport {SECRET} -j ACCEPT"


def config(start_command, stop_command, cmd_timeout=1, sequence=SEQUENCE, extra=""):
    return f"""
[options]
    UseSyslog
[secret]
    sequence      = {sequence}
    seq_timeout   = 15
    tcpflags      = syn
    start_command = {start_command}
    cmd_timeout   = {cmd_timeout}
    stop_command  = {stop_command}
    {extra}
"""


IPTABLES = config(allow("iptables", "-A"), allow("iptables", "-D"))
IP6TABLES = config("true", "true", extra=f"start_command_6 = {allow('ip6tables', '-A')}\n"
                                         f"stop_command_6 = {allow('ip6tables', '-D')}")


@pytest.fixture
def guarded(server):
    """The server, with a service behind a policy that drops everything."""
    for tool in ("iptables", "ip6tables"):
        server.run(tool, "-P", "INPUT", "DROP")
    # Without neighbour discovery there is no IPv6 at all.
    server.run("ip6tables", "-A", "INPUT", "-p", "icmpv6", "-j", "ACCEPT")
    server.serve(SECRET)
    return server


def assert_opens_and_shuts(daemon, network, family, knock):
    """The life of one door: shut, knocked at, open only for the knocker, shut again."""
    server, client, stranger = network.server, network.client, network.stranger
    address = server.address(family)
    assert not client.reaches(address, SECRET)

    knock()
    wait_until(lambda: client.reaches(address, SECRET), "the door opens", daemon.report)
    assert not stranger.reaches(address, SECRET)

    knocker = client.address(family)
    daemon.wait_for(rf"{knocker}: secret: command timeout")
    wait_until(lambda: not client.reaches(address, SECRET), "the door shuts", daemon.report)


def test_door_opens_only_for_the_knocker_with_iptables(network, guarded, start):
    daemon = start(IPTABLES)
    assert_opens_and_shuts(daemon, network, 4, lambda: senders.with_knock(
        network.client, guarded.ipv4, SEQUENCE))
    assert guarded.run("iptables", "-S", "INPUT").stdout == "-P INPUT DROP\n"


def test_door_opens_only_for_the_knocker_with_ip6tables(network, guarded, start):
    daemon = start(IP6TABLES)
    before = guarded.run("ip6tables", "-S", "INPUT").stdout
    assert_opens_and_shuts(daemon, network, 6, lambda: senders.with_knock(
        network.client, guarded.ipv6, SEQUENCE))
    assert guarded.run("ip6tables", "-S", "INPUT").stdout == before


NFT_RULES = f"""
table inet filter {{
  set knockers {{ type ipv4_addr; }}
  set knockers6 {{ type ipv6_addr; }}
  chain input {{
    type filter hook input priority 0; policy drop;
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    ip saddr @knockers tcp dport {SECRET} accept
    ip6 saddr @knockers6 tcp dport {SECRET} accept
  }}
}}
"""
NFT = config("nft add element inet filter knockers { %IP% }",
             "nft delete element inet filter knockers { %IP% }",
             extra="start_command_6 = nft add element inet filter knockers6 { %IP% }\n"
                   "stop_command_6 = nft delete element inet filter knockers6 { %IP% }")


@pytest.mark.parametrize("family", [4, 6])
def test_door_opens_only_for_the_knocker_with_nft(network, start, tmp_path, family):
    server = network.server
    (tmp_path / "rules.nft").write_text(NFT_RULES)
    server.run("nft", "-f", tmp_path / "rules.nft")
    server.serve(SECRET)
    before = server.run("nft", "list", "ruleset").stdout

    daemon = start(NFT)
    assert_opens_and_shuts(daemon, network, family, lambda: senders.with_knock(
        network.client, server.address(family), SEQUENCE))
    assert server.run("nft", "list", "ruleset").stdout == before


def test_an_nft_rule_can_be_added_and_removed(network, start, tmp_path):
    """The way of guides: a rule is added, and found again by its handle."""
    server = network.server
    (tmp_path / "rules.nft").write_text(NFT_RULES)
    server.run("nft", "-f", tmp_path / "rules.nft")
    server.serve(SECRET)
    rule = f"inet filter input ip saddr %IP% tcp dport {SECRET} accept"
    handle = (f"nft -a list chain inet filter input"
              f" | sed -n 's/.*saddr %IP% tcp dport {SECRET} .*# handle //p'")

    daemon = start(config(f"nft insert rule {rule}",
                          f"nft delete rule inet filter input handle $({handle})"))
    assert_opens_and_shuts(daemon, network, 4, lambda: senders.with_knock(
        network.client, server.ipv4, SEQUENCE))


def tcp_of(knocks):
    return knocks.replace(":udp", "")


def udp_of(knocks):
    return ",".join(f"{port}:udp" for port, _ in senders.parts(knocks))


KINDS = {"tcp": tcp_of(SEQUENCE), "udp": udp_of(SEQUENCE), "mixed": SEQUENCE}
SENDERS = {"knock": senders.with_knock, "nc": senders.with_nc, "nmap": senders.with_nmap,
           "hping3": senders.with_hping3, "connect": senders.with_connect}


@pytest.fixture
def heard(server, client, start, ledger):
    """heard(sender, knocks, family) knocks at a door that appends its opening and closing to the
    ledger, and waits for both."""

    def knock_and_wait(sender, knocks, family):
        daemon = start(config(ledger.command("opened"), ledger.command("shut"), 0, knocks))
        sender(client, server.address(family), knocks)
        for event in ("opened", "shut"):
            ledger.wait_for(f"{event} {client.address(family)}", also_found=daemon.report)

    return knock_and_wait


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sender, family", [
    (sender, family) for sender in SENDERS for family in (4, 6)
    if (sender, family) != ("hping3", 6)])  # it does not support IPv6
def test_every_sender_is_heard(heard, sender, family, kind):
    heard(SENDERS[sender], KINDS[kind], family)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("sender", ["knock", "nc", "connect"])
def test_knocks_are_heard_before_a_firewall_drops_them(heard, guarded, sender, family):
    heard(SENDERS[sender], KINDS["mixed"], family)


def test_repeated_syns_do_not_spoil_the_knock(heard, guarded, is_reference):
    """A DROP policy gives no answer, so after 1 s telnet's kernel repeats each SYN."""
    if is_reference:
        pytest.skip("0.8 takes a repeated SYN for a wrong knock")
    guarded.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "7000:9000", "-j", "DROP")

    def connect_patiently(client, address, knocks):
        senders.with_connect(client, address, knocks, patience=1.5)

    heard(connect_patiently, "7000,8000,9000", 4)
    rule = guarded.run("iptables", "-nvxL", "INPUT").stdout.splitlines()[-1]
    assert int(rule.split()[0]) >= 6, f"the SYNs were not repeated: {rule}"
