# SPDX-License-Identifier: MIT
"""Doors without a shell: ports that knockd itself keeps shut, and sets of an administrator's
ruleset. With real nftables and real connections."""

import itertools
import shutil
import signal
import socket
import subprocess

import pytest

import senders
from daemon import Daemon
from network import OWN_MOUNTS, run
from nftables import elements, nft
from storm import Storm, source
from waiting import wait_until

SSH, WEB = 22, 80
KNOCKS = "7421,3096:udp,5518"


def config(*extra, options="", port=SSH, seconds=60, name="ssh", knocks=KNOCKS):
    return "\n".join(["[options]", options, f"[{name}]", f"Sequence = {knocks}", "TCPFlags = syn",
                      f"Open = {port}", f"Open_For = {seconds}", *extra, ""])


@pytest.fixture
def served(server):
    server.serve(SSH)
    server.serve(WEB)
    return server


@pytest.fixture
def start(served, knockd, tmp_path):
    """start(config, *arguments): a daemon; each has its own folder."""
    daemons = []

    def begin(text, *arguments, **options):
        daemon = Daemon(served, knockd, tmp_path / f"run{len(daemons)}", text, *arguments,
                        **options)
        daemons.append(daemon)
        return daemon

    return begin


@pytest.fixture
def knock(client, knock_binary):
    return lambda address, knocks=KNOCKS: senders.with_knock(client, address, knocks, knock_binary)


def wait_for_elements(host, wanted, set_name="open4_32", **options):
    wait_until(lambda: set(elements(host, set_name, **options)) == wanted, f"elements {wanted}",
               lambda: str(elements(host, set_name, **options)))


@pytest.mark.parametrize("family", [4, 6])
def test_a_port_is_shut_at_start_and_opens_only_for_the_knocker(network, start, knock, family):
    server, client, stranger = network.server, network.client, network.stranger
    address = server.address(family)
    assert client.reaches(address, SSH)
    daemon = start(config(seconds=2))
    assert not client.reaches(address, SSH)
    assert client.reaches(address, WEB)
    assert server.reaches("::1" if family == 6 else "127.0.0.1", SSH), "loopback is left alone"

    knock(address)
    daemon.wait_for(rf"ssh: opened tcp 22 to {client.address(family)} for 2 s")
    assert client.reaches(address, SSH)
    assert not stranger.reaches(address, SSH)

    daemon.wait_for(rf"ssh: closed tcp 22 to {client.address(family)}")
    assert not client.reaches(address, SSH)
    assert daemon.stop() == 0
    assert not client.reaches(address, SSH), "the table stays when the daemon ends"


def test_other_interfaces_are_left_alone(network, start):
    # Both are at one switch: each must answer only for its own address.
    network.server.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    network.plug(network.server, "eth1", mac="02:00:00:00:01:01", ipv4="198.51.100.1",
                 ipv6="2001:db8:1::1")
    network.plug(network.client, "eth1", mac="02:00:00:00:01:02", ipv4="198.51.100.2",
                 ipv6="2001:db8:1::2")
    start(config())
    assert not network.client.reaches(network.server.ipv4, SSH)
    assert network.client.reaches("198.51.100.1", SSH)
    assert network.client.reaches("2001:db8:1::1", SSH)


def test_only_the_port_that_is_named_opens(network, start, knock):
    daemon = start(config("[web]", "Sequence = 9000,8000,7000", f"Open = {WEB}"))
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    assert network.client.reaches(network.server.ipv4, SSH)
    assert not network.client.reaches(network.server.ipv4, WEB)


def test_a_knock_while_it_is_open_renews_the_time(network, start, knock):
    daemon = start(config(seconds=100))
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    key = f"{network.client.ipv4} tcp 22"
    wait_until(lambda: elements(network.server, "open4_32")[key] <= 98, "time passes")
    knock(network.server.ipv4)
    daemon.wait_for(".*OPEN SESAME", 2)
    wait_until(lambda: elements(network.server, "open4_32")[key] >= 99, "it has its full time anew",
               daemon.report)
    assert len(daemon.matching("ssh: opened .*")) == 1


def connect(host, address, port=SSH):
    connection = host.socket()
    connection.settimeout(2)
    connection.connect((address, port))
    return connection


@pytest.fixture
def echo(server):
    """A service that answers each line."""
    script = ("import socket,threading\n"
              f"s=socket.create_server(('', {SSH}))\n"
              "def serve(c):\n"
              "  for line in c.makefile('rb'): c.sendall(line)\n"
              "while True: threading.Thread(target=serve,args=(s.accept()[0],)).start()\n")
    server.start("/usr/bin/python3", "-c", script)
    wait_until(lambda: f":{SSH} " in server.run("ss", "-ltn").stdout, "the service listens")
    return server


def is_alive(connection):
    """The client speaks first."""
    try:
        connection.sendall(b"ping\n")
        return connection.recv(16) == b"ping\n"
    except OSError:
        return False


@pytest.mark.parametrize("keep", ["yes", "no"])
def test_connections_made_while_it_was_open(network, echo, knockd, knock, tmp_path, keep):
    daemon = Daemon(echo, knockd, tmp_path / "run",
                    config(f"Keep_Established = {keep}", seconds=3))
    knock(echo.ipv4)
    daemon.wait_for("ssh: opened .*")
    connection = connect(network.client, echo.ipv4)
    assert is_alive(connection)
    daemon.wait_for("ssh: closed .*")
    assert is_alive(connection) == (keep == "yes")


def test_an_established_session_continues(network, echo, knockd, tmp_path):
    """Established before the first load; it survives a reload, a flush and a new daemon. conntrack
    has no entry for it."""
    session = connect(network.client, echo.ipv4)
    daemon = Daemon(echo, knockd, tmp_path / "run", config())
    assert not network.client.reaches(echo.ipv4, SSH)
    assert is_alive(session)
    daemon.config_file.write_text(daemon.config_file.read_text().replace("22", "22,443"))
    daemon.send(signal.SIGHUP)
    wait_until(lambda: "443" in echo.run("nft", "list", "set", "inet", "knockd", "shut").stdout,
               "port 443 is shut too", daemon.report)
    assert is_alive(session)
    nft(echo, "flush ruleset")
    daemon.wait_for("table knockd was changed by another program: made anew")
    assert is_alive(session)
    assert daemon.stop() == 0
    Daemon(echo, knockd, tmp_path / "next", config())
    assert is_alive(session)


def test_kill_9_opens_nothing_and_the_next_start_takes_up_the_time_left(network, start, knock,
                                                                         tmp_path):
    daemon = start(config(seconds=30))
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    key = f"{network.client.ipv4} tcp 22"
    wait_until(lambda: elements(network.server, "open4_32")[key] <= 28, "two seconds pass")
    daemon.send(signal.SIGKILL)
    daemon.wait_for_end()
    assert network.client.reaches(network.server.ipv4, SSH)
    assert not network.stranger.reaches(network.server.ipv4, SSH)
    nft(network.server, "flush set inet knockd open4_32")
    daemon = start(config(seconds=30))
    left = elements(network.server, "open4_32")[key]
    assert 0 < left <= 28
    assert network.client.reaches(network.server.ipv4, SSH)
    assert daemon.stop() == 0
    daemon.wait_for("ssh: closed .*")
    assert elements(network.server, "open4_32") == {}


def test_changes_by_others_to_the_ruleset_are_repaired(network, start, knock):
    """Flushed, deleted, changed: shut again, open only for current knockers with their time
    left."""
    server, client, stranger = network.server, network.client, network.stranger
    daemon = start(config(seconds=100))
    knock(server.ipv4)
    daemon.wait_for("ssh: opened .*")
    key = f"{client.ipv4} tcp 22"
    for number, change in enumerate([
            ["flush ruleset"], ["delete table inet knockd"], ["flush chain inet knockd shut"],
            ["insert rule inet knockd shut accept"], ["flush set inet knockd open4_32"],
            ["delete element inet knockd shut { tcp . 22 }"],
            ["flush ruleset", "table inet filter { chain input { type filter hook input priority 0"
             "; policy drop; ip saddr 192.0.2.0/24 accept; }", "}"],
            [f"add element inet knockd open4_32 {{ {stranger.ipv4} . tcp . 22 }}"]]):
        nft(server, *change)
        wait_until(lambda: set(elements(server, "open4_32")) == {key}, f"put right after {change}",
                   lambda: f"{elements(server, 'open4_32')}\n{daemon.report_end()}")
        wait_until(lambda: not stranger.reaches(server.ipv4, SSH), f"shut after {change}",
                   daemon.report_end)
        assert client.reaches(server.ipv4, SSH), f"{number}: {change}"
        assert 0 < elements(server, "open4_32")[key] <= 100


def test_a_published_port_is_shut_and_opened_as_well(network, start, knock):
    """A container's veth behind a prerouting rule."""
    server, client = network.server, network.client
    run("ip", "netns", "add", f"{server.namespace}-box")
    try:
        box = ["ip", "-n", f"{server.namespace}-box"]
        run("ip", "-n", server.namespace, "link", "add", "veth0", "type", "veth", "peer", "name",
            "eth0", "netns", f"{server.namespace}-box")
        run("ip", "-n", server.namespace, "addr", "add", "172.17.0.1/24", "dev", "veth0")
        run("ip", "-n", server.namespace, "link", "set", "veth0", "up")
        run(*box, "addr", "add", "172.17.0.2/24", "dev", "eth0")
        run(*box, "link", "set", "eth0", "up")
        run(*box, "route", "add", "default", "via", "172.17.0.1")
        server.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        nft(server, "table ip nat {", "chain prerouting { type nat hook prerouting priority dstnat;"
            " tcp dport 8080 dnat to 172.17.0.2:80; }", "}")
        service = ("import socket\ns=socket.create_server(('',80))\n"
                   "while True:\n  c=s.accept()[0]\n  c.sendall(b'welcome')\n  c.close()\n")
        inside = ["ip", "netns", "exec", f"{server.namespace}-box"]
        with subprocess.Popen([*inside, "/usr/bin/python3", "-c", service]) as container:
            try:
                wait_until(lambda: client.reaches(server.ipv4, 8080), "the published port answers")
                daemon = start(config(port=8080))
                assert not client.reaches(server.ipv4, 8080)
                knock(server.ipv4)
                daemon.wait_for("ssh: opened .*")
                assert client.reaches(server.ipv4, 8080)
                assert not network.stranger.reaches(server.ipv4, 8080)
            finally:
                container.kill()
    finally:
        run("ip", "netns", "del", f"{server.namespace}-box")


def test_a_prefix_admits_the_neighbour_but_not_the_next_network(network, start, knock):
    daemon = start(config("Open_Prefix = 31 127", "Start_Command = echo in %IP% $KNOCKD_IP"))
    assert not network.stranger.reaches(network.server.ipv4, SSH)
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened tcp 22 to 192.0.2.2/31 for 60 s")
    assert network.client.reaches(network.server.ipv4, SSH)
    assert network.stranger.reaches(network.server.ipv4, SSH), "192.0.2.3 is its neighbour"
    run("ip", "-n", network.client.namespace, "addr", "add", "192.0.2.4/24", "dev", "eth0")
    with network.client.socket() as other:
        other.settimeout(0.3)
        other.bind(("192.0.2.4", 0))
        with pytest.raises(OSError):
            other.connect((network.server.ipv4, SSH))
    wait_until(lambda: "in 192.0.2.2/31 192.0.2.2" in daemon.output(), "the command's %IP%",
               daemon.report)


@pytest.mark.parametrize("key", ["ipv4_addr", "ipv4_addr . inet_proto . inet_service"])
def test_an_administrators_set(network, start, knock, key):
    server, client = network.server, network.client
    match = "ip saddr" if key == "ipv4_addr" else "ip saddr . meta l4proto . th dport"
    nft(server, "table inet own {", f"set allowed {{ type {key}; flags timeout; }}",
        f"chain input {{ type filter hook input priority 0; {match} @allowed accept;",
        f"tcp dport {SSH} drop", "}", "}")
    daemon = start(config("Open_Set = inet own allowed", seconds=2))
    assert server.run("nft", "list", "table", "inet", "knockd", check=False).returncode != 0
    assert not client.reaches(server.ipv4, SSH)
    knock(server.ipv4)
    daemon.wait_for(rf"ssh: opened tcp 22 to {client.ipv4} for 2 s")
    assert client.reaches(server.ipv4, SSH)
    daemon.wait_for("ssh: closed .*")
    assert not client.reaches(server.ipv4, SSH)


def test_a_set_that_becomes_one_of_networks_admits_nobody(network, start, knock):
    """A plain address would be a range there, up to the last address of all."""
    server, client, stranger = network.server, network.client, network.stranger

    def ruleset(flags):
        nft(server, "table inet own", "delete table inet own", "table inet own {",
            f"set allowed {{ type ipv4_addr; flags {flags}; }}",
            "chain input { type filter hook input priority 0; ip saddr @allowed accept;",
            f"tcp dport {SSH} drop", "}", "}")

    ruleset("timeout")
    daemon = start(config("Open_Set = inet own allowed"))
    knock(server.ipv4)
    daemon.wait_for("ssh: opened .*")
    ruleset("interval, timeout")
    daemon.wait_for("cannot let in again: set inet own allowed has another type now, .*")
    assert elements(server, "allowed", ("inet", "own")) == {}
    assert not stranger.reaches(server.ipv4, SSH)
    ruleset("timeout")
    wait_for_elements(server, {client.ipv4}, "allowed", table=("inet", "own"))
    assert client.reaches(server.ipv4, SSH)
    assert daemon.stop() == 0
    assert daemon.matching("ssh: cannot .*") == []


def test_an_administrators_permanent_element_outlives_the_knock(network, start, knock):
    server, client = network.server, network.client
    nft(server, "table inet own {",
        f"set allowed {{ type ipv4_addr; flags timeout; elements = {{ {client.ipv4} }}", "}", "}")
    daemon = start(config("Open_Set = inet own allowed", seconds=1))
    knock(server.ipv4)
    daemon.wait_for("ssh: closed .*")
    assert elements(server, "allowed", ("inet", "own")) == {client.ipv4: None}


@pytest.mark.parametrize("ruleset, reason", [
    ("", r"there is no set inet own allowed"),
    ("set allowed { type ipv4_addr; }", r"set inet own allowed has no 'flags timeout'"),
    ("set allowed { type ipv6_addr; flags timeout; }", r"set inet own allowed is not of type .*"),
    ("set allowed { type inet_service; flags timeout; }", r"set inet own allowed is not of type .*"),
    ("set allowed { type ipv4_addr; size 1; flags timeout; elements = { 192.0.2.99 }",
     r"inet own allowed: the set is full")])
def test_a_set_that_cannot_be_used_is_one_line_and_the_daemon_goes_on(network, start, knock,
                                                                       ruleset, reason):
    server = network.server
    nft(server, "table inet own {", ruleset, *(["}"] if "elements" in ruleset else []), "}")
    daemon = start(config("Open_Set = inet own allowed"))
    knock(server.ipv4)
    daemon.wait_for(rf"ssh: cannot open tcp 22 to {network.client.ipv4}: {reason}")
    assert daemon.matching("ssh: opened .*") == []
    assert daemon.stop() == 0


def test_two_daemons_never_share_a_table(start):
    start(config())
    second = start(config(), listens=False)
    assert second.wait_for_end() == 1
    assert "port 22 is NOT shut: another daemon has the table knockd" in second.output()


def test_without_the_capability_to_shut_ports_it_does_not_start(start):
    daemon = start(config(), listens=False,
                   prefix=["capsh", "--drop=cap_net_admin", "--", "-c", "exec \"$@\"", "sh"])
    assert daemon.wait_for_end() == 1
    assert "port 22 is NOT shut: " in daemon.output()
    assert "Operation not permitted" in daemon.output()


def test_a_reload_that_drops_a_port_reports_it(network, start):
    daemon = start(config())
    daemon.config_file.write_text(daemon.config_file.read_text().replace("Open = 22", "Open = 443"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for("port 22 is no longer shut")
    assert network.client.reaches(network.server.ipv4, SSH)


def test_shut_before_the_daemon_and_unshut(network, served, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    file.write_text(config(options=f"StateFile = {tmp_path}/open-doors"))
    done = served.run(knockd, "--shut", "-c", file, "-i", "eth0")
    assert not network.client.reaches(served.ipv4, SSH)
    done = served.run(knockd, "--unshut", "-c", file)
    assert done.stdout == "port 22 is no longer shut\n"
    assert network.client.reaches(served.ipv4, SSH)
    assert served.run(knockd, "--unshut", "-c", file).stdout == ""


def test_shut_with_a_faulty_file(network, served, knockd, tmp_path):
    """Shuts the ports that could be read; if none, the ports that were shut last."""
    file = tmp_path / "knockd.conf"
    head = f"[options]\nControl = none\nStateFile = {tmp_path}/open-doors\n"
    file.write_text(head + config() + "nonsense\n")
    assert served.run(knockd, "--shut", "-c", file, "-i", "eth0", check=False).returncode == 1
    assert not network.client.reaches(served.ipv4, SSH)

    file.write_text(head + config())
    served.run(knockd, "--shut", "-c", file, "-i", "eth0")
    served.run("nft", "flush", "ruleset")
    file.write_text(head + "nonsense\n")
    done = served.run(knockd, "--shut", "-c", file, "-i", "eth0", check=False)
    assert done.returncode == 1
    assert "ports are shut as they were last" in done.stdout
    assert not network.client.reaches(served.ipv4, SSH)


def test_a_faulty_file_does_not_replace_the_saved_table(network, served, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    head = f"[options]\nStateFile = {tmp_path}/open-doors\n"
    for text, status in ((config(port="22,80"), 0), (config() + "nonsense\n", 1), ("nonsense\n", 1)):
        file.write_text(head + text)
        done = served.run(knockd, "--shut", "-c", file, "-i", "eth0", check=False)
        assert done.returncode == status, done.stdout
    assert not network.client.reaches(served.ipv4, WEB)


def test_shut_obeys_the_command_line(network, served, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    file.write_text(config(options=f"StateFile = {tmp_path}/open-doors\nInterface = eth9"))
    served.run(knockd, "--shut", "-c", file, "-i", "eth0", "-4")
    table = served.run("nft", "list", "table", "inet", "knockd").stdout
    assert 'elements = { "eth0" }' in table
    assert "open4_32" in table and "open6" not in table
    assert not network.client.reaches(served.ipv6, SSH), "nobody is let in over IPv6"


def test_listening_on_a_bridge_port_covers_its_bridge(network, knockd, tmp_path):
    server, client = network.server, network.client
    here = ["ip", "-n", server.namespace]
    run(*here, "addr", "flush", "dev", "eth0")
    run(*here, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
    run(*here, "link", "set", "br0", "up")
    run(*here, "link", "set", "eth0", "master", "br0")
    run(*here, "addr", "add", f"{server.ipv4}/24", "dev", "br0")
    server.serve(SSH)
    wait_until(lambda: client.reaches(server.ipv4, SSH), "the bridge forwards")
    Daemon(server, knockd, tmp_path / "run", config())
    assert not client.reaches(server.ipv4, SSH)


@pytest.mark.parametrize("destination", ["192.0.2.1", "192.0.2.255", "224.0.0.1"])
def test_udp_is_shut_unicast_broadcast_and_multicast(network, start, knock, destination):
    server, client = network.server, network.client
    with server.inside():
        heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind(("", 5353))
    heard.settimeout(0.5)
    sender = client.socket(kind=socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(client.ipv4))

    def arrives():
        sender.sendto(b"hello", (destination, 5353))
        try:
            return heard.recv(16) == b"hello"
        except TimeoutError:
            return False

    assert arrives()
    daemon = start(config(port="5353:udp"))
    assert not arrives()
    knock(server.ipv4)
    daemon.wait_for("ssh: opened udp 5353 .*")
    assert arrives()


def test_forged_knocks_fill_a_set_but_no_more(network, start):
    """Max_Open bounds the memory and the set of a door with one knock."""
    daemon = start(config("Max_Open = 50", knocks="7000:udp", options="Log_Rate = 0"))
    storm = Storm(network.client, network.server)
    for number in range(1, 201):
        storm.knock(source(number), 7000)
    daemon.wait_for(r"ssh: \d+ knocks? refused: .*")
    wait_until(lambda: len(elements(network.server, "open4_32")) == 50, "50 are in",
               daemon.report_end)
    storm.close()
    assert daemon.stop() == 0
    assert elements(network.server, "open4_32") == {}


def test_sigterm_closes_thousands_or_leaves_them_to_the_next_start(network, start):
    """They are closed in several turns; a busy machine may have no time for all."""
    text = config("Max_Open = 5000", knocks="7000:udp", options="Log_Rate = 0")
    daemon = start(text)
    storm = Storm(network.client, network.server)
    numbers = itertools.count(1)

    def opened():
        for _ in range(100):
            storm.knock(source(next(numbers)), 7000)
        return len(daemon.matching("ssh: opened .*")) > 2500

    def stopped():
        """The number of knockers who are still in."""
        assert daemon.stop() == 0
        left = len(elements(network.server, "open4_32"))
        told = daemon.left_open()
        assert bool(told) == bool(left), f"{left} left, {told} told"
        return left

    wait_until(opened, "2,500 are in", daemon.report_end)
    storm.close()
    before = len(elements(network.server, "open4_32"))
    while (left := stopped()) != 0:
        assert left < before, "it closed none"
        before = left
        daemon = start(text)


def test_two_doors_that_share_an_element(network, start, knock):
    """It has the longest time and is removed with the last opening."""
    daemon = start(config("[short]", "Sequence = 9000,8000,7000", "TCPFlags = syn", "Open = 22",
                          "Open_For = 1", seconds=100))
    key = f"{network.client.ipv4} tcp 22"
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    knock(network.server.ipv4, "9000,8000,7000")
    daemon.wait_for("short: closed .*")
    assert elements(network.server, "open4_32")[key] > 90
    assert network.client.reaches(network.server.ipv4, SSH)


def test_knockers_of_a_full_door_are_admitted_as_soon_as_there_is_room(network, start):
    """The kernel counts expired elements for a while: they would fill a set that is just large
    enough."""
    daemon = start(config("Max_Open = 1", seconds=1, knocks="7000:udp", options="Log_Rate = 0"))
    storm = Storm(network.client, network.server)
    numbers = itertools.count(1)

    def opened():
        storm.knock(source(next(numbers)), 7000)
        return len(daemon.matching("ssh: opened .*")) >= 3

    wait_until(opened, "three came in, one after the other", daemon.report_end)
    storm.close()
    assert daemon.matching("ssh: cannot open .*") == []


def test_a_reload_with_another_prefix_shuts_nobody_out(network, start, knock):
    server, client = network.server, network.client
    daemon = start(config(seconds=100))
    knock(server.ipv4)
    daemon.wait_for("ssh: opened .*")
    text = daemon.config_file.read_text()
    daemon.config_file.write_text(text.replace("Open = 22", "Open = 22\nOpen_Prefix = 24 64"))
    daemon.send(signal.SIGHUP)
    wait_until(lambda: server.run("nft", "list", "set", "inet", "knockd", "open4_24",
                                  check=False).returncode == 0, "the table is new", daemon.report)
    wait_until(lambda: client.reaches(server.ipv4, SSH), "the knocker is in", daemon.report)
    assert not network.stranger.reaches(server.ipv4, SSH)


def test_a_start_with_another_prefix_shuts_nobody_out(network, start, knock):
    keep = "Shutdown = keep"
    daemon = start(config(options=keep, seconds=100))
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    assert daemon.stop() == 0
    daemon = start(config("Open_Prefix = 24 64", options=keep, seconds=100))
    assert network.client.reaches(network.server.ipv4, SSH), daemon.report()
    assert not network.stranger.reaches(network.server.ipv4, SSH)


def test_an_element_shortened_by_others_gets_its_time_back(network, start, knock):
    daemon = start(config(seconds=100))
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    element = f"inet knockd open4_32 {{ {network.client.ipv4} . tcp . 22"
    nft(network.server, f"delete element {element} }}", f"add element {element} timeout 5s }}")
    wait_until(lambda: elements(network.server, "open4_32")[f"{network.client.ipv4} tcp 22"] > 90,
               "it has its time", daemon.report)


def test_a_table_of_another_program_is_left_alone(network, start):
    nft(network.server, "table inet filter {", "  chain input {",
        "    type filter hook input priority 0", "  }", "}")
    before = network.server.run("nft", "list", "ruleset").stdout
    daemon = start(config(options="Table = filter"), listens=False)
    assert daemon.wait_for_end() == 1
    assert "port 22 is NOT shut: table inet filter is another program's" in daemon.lines()
    assert network.server.run("nft", "list", "ruleset").stdout == before


def test_unshut_beside_a_daemon_changes_nothing_and_reports_it(network, start, knockd):
    daemon = start(config())
    done = network.server.run(knockd, "--unshut", "-c", daemon.config_file, check=False)
    assert done.returncode == 1
    assert done.stdout == "knockd: another daemon has the table knockd, nothing was changed\n"
    assert not network.client.reaches(network.server.ipv4, SSH)
    assert daemon.matching("table knockd was changed .*") == []


@pytest.fixture
def fake_nft(tmp_path):
    """fake_nft(script): replaces nft(8) by this script for daemons that are started with the prefix
    `fake_nft.prefix`, in their own mount namespace."""
    program = tmp_path / "nft"

    def become(script):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    real = tmp_path / "real-nft"
    shutil.copy(shutil.which("nft"), real)
    become.real = f'exec {real} "$@"'
    become(become.real)
    become.prefix = [*OWN_MOUNTS, "sh", "-c",
                     'mount --bind "$0" /usr/sbin/nft && exec "$@"', program]
    return become


IDLE = "cat >/dev/null"
FAILING = "echo 'Error: no luck' >&2; exit 1"
KILLED = "kill -9 $$"


@pytest.mark.parametrize("script, reason", [(IDLE, "nft changed nothing"),
                                            (FAILING, "nft: no luck"),
                                            (KILLED, "nft: killed by signal 9 (Killed)")])
def test_an_nft_that_does_nothing_is_noticed(network, start, fake_nft, script, reason):
    """With the table of an earlier run, and at a reload."""
    daemon = start(config(), prefix=fake_nft.prefix)
    assert daemon.stop() == 0
    fake_nft(script)
    daemon = start(config(port="22,80"), prefix=fake_nft.prefix, listens=False)
    assert daemon.wait_for_end() == 1
    assert f"port 80 is NOT shut: {reason}" in daemon.lines()


@pytest.mark.parametrize("script, reason", [(IDLE, "nft changed nothing"),
                                            (FAILING, "nft: no luck")])
def test_a_reload_never_fails_open_silently(network, start, fake_nft, script, reason):
    network.server.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    network.plug(network.server, "eth1", mac="02:00:00:00:01:01", ipv4="198.51.100.1")
    daemon = start(config(options="Interface = eth0"), prefix=fake_nft.prefix, interface=None)
    text = daemon.config_file.read_text()
    fake_nft(script)

    daemon.config_file.write_text(text.replace("Interface = eth0", "Interface = eth0, eth1"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(f"port 22 is NOT shut: {reason}")

    daemon.config_file.write_text(text.replace("Interface = eth0", "Interface = any"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(f"port 22 is NOT shut: {reason}", 2)

    daemon.config_file.write_text(text.replace("Open = 22", "Start_Command = true"))
    daemon.send(signal.SIGHUP)
    daemon.wait_for(f"table knockd stays as it was: {reason}")
    assert daemon.matching(".*no longer shut") == []
    assert not network.client.reaches(network.server.ipv4, SSH)


def test_a_failed_repair_is_logged_once_and_retried_until_it_succeeds(network, start, fake_nft,
                                                                      tmp_path):
    daemon = start(config(), prefix=fake_nft.prefix)
    tries = tmp_path / "tries"
    fake_nft(f"echo >>{tries}; {FAILING}")
    nft(network.server, "flush ruleset")
    wait_until(lambda: tries.exists() and len(tries.read_text()) >= 3, "three repairs were tried",
               daemon.report)
    fake_nft(fake_nft.real)
    daemon.wait_for("table knockd was changed by another program: made anew")
    assert not network.client.reaches(network.server.ipv4, SSH)
    assert daemon.matching("port 22 is NOT shut: .*") == ["port 22 is NOT shut: nft: no luck"]


def test_nft_is_found_where_a_router_has_it(network, start, tmp_path):
    for folder in ("sbin", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(shutil.which("nft"), tmp_path / "bin/nft")
    mounts = f"mount --bind {tmp_path}/sbin /usr/sbin && mount --bind {tmp_path}/bin /usr/bin"
    start(config(), prefix=[*OWN_MOUNTS, "sh", "-c",
                            mounts + ' && exec "$0" "$@"'])
    assert not network.client.reaches(network.server.ipv4, SSH)


def test_ports_that_an_earlier_run_left_shut_are_named(network, start):
    daemon = start(config(port="22,80"))
    assert daemon.stop() == 0
    daemon = start(config())
    assert daemon.matching("port 80 is no longer shut")
    assert daemon.stop() == 0
    daemon = start(config().replace("Open = 22", "Start_Command = true"))
    assert daemon.matching("port 22 stays shut for all by a table of an earlier run; .*")
    assert not network.client.reaches(network.server.ipv4, SSH)


def test_a_start_with_another_name_removes_the_former_table(network, start, knock):
    """The former table would shut the knocker out."""
    daemon = start(config(port="22,80"))
    assert daemon.stop() == 0
    daemon = start(config(options="Table = mine"))
    assert daemon.matching("port 80 is no longer shut")
    assert network.client.reaches(network.server.ipv4, WEB)
    knock(network.server.ipv4)
    daemon.wait_for("ssh: opened .*")
    assert network.client.reaches(network.server.ipv4, SSH)
    assert not network.stranger.reaches(network.server.ipv4, SSH)


def test_unshut_finds_the_table_under_its_earlier_name(network, served, knockd, tmp_path):
    file = tmp_path / "knockd.conf"
    file.write_text(config(options=f"StateFile = {tmp_path}/open-doors"))
    served.run(knockd, "--shut", "-c", file, "-i", "eth0")
    file.write_text(config(options=f"StateFile = {tmp_path}/open-doors\nTable = mine"))
    done = served.run(knockd, "--unshut", "-c", file)
    assert done.stdout == "port 22 is no longer shut\n"
    assert network.client.reaches(served.ipv4, SSH)


def test_a_hung_nft_does_not_delay_the_exit(network, start, fake_nft, tmp_path):
    daemon = start(config(), prefix=fake_nft.prefix)
    fake_nft(f"touch {tmp_path}/hangs; exec sleep 60")
    nft(network.server, "flush ruleset")
    wait_until((tmp_path / "hangs").exists, "nft hangs", daemon.report)
    assert daemon.stop(timeout=4) == 0  # it would end the hung one after five seconds


@pytest.mark.parametrize("why", ["repair", "reload"])
def test_a_hung_nft_delays_no_other_door(network, start, fake_nft, tmp_path, knock, why):
    other = ["[other]", "Sequence = 9000,8000,7000", "Start_Command = echo in"]
    daemon = start(config(*other), prefix=fake_nft.prefix)
    fake_nft(f"touch {tmp_path}/hangs; exec sleep 60")
    if why == "repair":
        nft(network.server, "flush ruleset")
    else:
        daemon.config_file.write_text(daemon.config_file.read_text().replace("= 22", "= 22,80"))
        daemon.send(signal.SIGHUP)
    wait_until((tmp_path / "hangs").exists, "nft hangs", daemon.report)
    knock(network.server.ipv4, "9000,8000,7000")
    daemon.wait_for("port .* is NOT shut: nft: did not end in time")
    lines = [line for line in daemon.lines() if "OPEN SESAME" in line or "NOT shut" in line]
    assert "OPEN SESAME" in lines[0], daemon.report()


def test_a_hung_nft_is_killed_and_shuts_nothing(start, fake_nft):
    fake_nft("exec sleep 60")
    daemon = start(config(), prefix=fake_nft.prefix, listens=False)
    assert daemon.wait_for_end(timeout=30) == 1
    assert "port 22 is NOT shut: nft: did not end in time" in daemon.lines()
